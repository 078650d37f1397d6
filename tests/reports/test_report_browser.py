"""The page in a real browser: no errors, and no need to scroll sideways, on a desk or in a hand."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from report_samples import report
from test_report_page import hostile

from harness.results import Report
from reports import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")

OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
    "--allow-file-access-from-files",
    "--dump-dom",
]
MEASURE = """
<body style="margin:0"><iframe id="page" src="page.html" style="border:0;width:WIDTHpx;height:900px"></iframe><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const inner = frame.contentWindow, root = inner.document.scrollingElement;
  inner.document.querySelectorAll("details").forEach(d => d.open = true);
  const wide = [...inner.document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .skip") &&
    e.getBoundingClientRect().right > inner.innerWidth + 1).map(e => e.tagName + "." + e.className);
  document.body.append("measured:" + btoa(JSON.stringify(
    {scroll: root.scrollWidth, inner: inner.innerWidth, wide, title: inner.document.title.length})) + ";");
};</script></body>
"""


@pytest.mark.parametrize("kind", [report, hostile], ids=["usual", "hostile"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits(tmp_path: Path, width: int, kind: Callable[[], Report]) -> None:
    """At this width, with everything unfolded, the page does not scroll sideways and the console stays empty."""
    assert BROWSER is not None
    write_report(kind(), tmp_path).rename(tmp_path / "page.html")
    (tmp_path / "measure.html").write_text(MEASURE.replace("WIDTH", str(width)))
    command = [BROWSER, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "measure.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r"measured:([\w+/=]+);", done.stdout)
    assert found is not None, done.stdout[:500]
    measured = json.loads(base64.b64decode(found[1]))
    assert measured["inner"] == width
    assert measured["scroll"] <= width
    assert measured["wide"] == []
    assert measured["title"] > 0
