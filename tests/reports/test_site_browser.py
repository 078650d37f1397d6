"""The pages in a real browser: they fit, and can be sorted, filtered, followed from witness to timeline, and zoomed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_samples import MS
from site_samples import SITES
from test_report_browser import BROWSER, OPTIONS

from reports.site import write_site

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")

FRAME = """
<body style="margin:0"><iframe id="page" style="border:0;width:WIDTHpx;height:900px"></iframe><script>
const frame = document.getElementById("page");
const encode = value => btoa(unescape(encodeURIComponent(JSON.stringify(value))));
const told = value => document.body.append("measured:" + encode(value) + ";");
const load = url => new Promise(done => { frame.onload = () => done(frame.contentDocument); frame.src = url; });
const next = act => new Promise(done => { frame.onload = () => done(frame.contentDocument); act(); });
(async () => { SCRIPT })().then(told, error => told({error: String(error)}));
</script></body>
"""

FIT = """
const seen = {};
for (const url of PAGES) {
  const page = await load(url);
  page.querySelectorAll("details").forEach(d => d.open = true);
  const wide = [...page.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .skip") &&
    e.getBoundingClientRect().right > frame.contentWindow.innerWidth + 1).map(e => e.tagName + "." + e.className);
  seen[url] = [frame.contentWindow.innerWidth, page.scrollingElement.scrollWidth, wide];
}
return seen;
"""

USE = """
const seen = {};
const table = (page, caption) => [...page.querySelectorAll("table")].find(t => t.caption.textContent.includes(caption));
const rows = t => [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].textContent);
const filter = t => t.closest(".scroll").previousElementSibling;
const type = (input, text) => {
  input.value = text;
  input.dispatchEvent(new Event(input.tagName === "SELECT" ? "change" : "input"));
};
const view = page => page.querySelector("figure.timeline .lens").getAttribute("viewBox").split(" ").map(Number);
const axis = page => [...page.querySelectorAll("figure.timeline .axis text")].map(t => t.textContent);

let page = await load("site/index.html");
page = await next(() => [...page.querySelectorAll("a")].find(a => a.textContent === "acme-fast").click());
seen.title = page.querySelector("h1").textContent;
const clauses = table(page, "Every clause"), bar = filter(clauses);
seen.all = rows(clauses).length;
type(bar.querySelector("input"), "torn");
seen.torn = rows(clauses);
seen.count = bar.querySelector("output").textContent;
type(bar.querySelector("input"), "");
type(bar.querySelector("select"), "unverifiable");
seen.unverifiable = rows(clauses);
type(bar.querySelector("select"), "");
const head = clauses.tHead.rows[0].cells[0], button = head.querySelector("button");
button.focus();
seen.focused = page.activeElement === button;
button.click(); button.click();
seen.sorted = [head.getAttribute("aria-sort"), rows(clauses).slice(0, 3)];
const bars = table(page, "Times count");
bars.tHead.rows[0].cells[4].querySelector("button").click();
seen.lengths = [...bars.tBodies[0].rows].map(r => Number(r.cells[4].dataset.sort));
const plain = axis(page);
const arrived = new Promise(done => frame.contentWindow.addEventListener("hashchange", done));
[...page.querySelectorAll("a")].find(a => a.textContent === "See it in the timeline").click();
await arrived;
const region = page.querySelector("figure.timeline .scroll");
seen.arrived = [frame.contentWindow.location.hash, page.activeElement === region];
const press = key => region.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown", {key, cancelable: true}));
press("+");
seen.closer = [view(page), axis(page).length > 2, axis(page).join() !== plain.join()];
press("ArrowRight");
seen.later = view(page);
press("0");
seen.whole = [view(page), axis(page).join() === plain.join()];
[...page.querySelectorAll(".zoom button")].find(b => b.textContent === "Witness").click();
const [from, , width] = view(page);
const marks = [...page.querySelectorAll(".witness-mark")].map(m => parseFloat(m.getAttribute("d").slice(1)));
seen.marks = marks.map(x => (x - from) / width);
page = await next(() => table(page, "Every clause").querySelector("a[href='clause-q-9.html']").click());
seen.clause = page.querySelector("h1").textContent;
page = await next(() => [...page.querySelectorAll("a")].find(a => a.textContent === "See it in the timeline").click());
await new Promise(done => setTimeout(done, 20));
seen.back = [frame.contentWindow.location.hash, page.activeElement === page.querySelector("figure.timeline .scroll")];
seen.scripts = page.scripts.length;
return seen;
"""

USE_WALK = """
const seen = {};
const table = (page, caption) => [...page.querySelectorAll("table")].find(t => t.caption.textContent.includes(caption));
const rows = t => [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].querySelector("a").textContent);
let page = await load("site/index.html");
page = await next(() => page.querySelector("a[href='in-tree-cinder-29-0-0.html']").click());
const classes = table(page, "How many of"), bar = classes.closest(".scroll").previousElementSibling;
const choice = bar.querySelector("select");
choice.value = "a call does not bind";
choice.dispatchEvent(new Event("change"));
seen.unbound = rows(classes);
const matrix = table(page, "Where each class");
const button = matrix.tHead.rows[0].cells[2].querySelector("button");
button.focus();
seen.focused = page.activeElement === button;
button.click();
seen.sorted = rows(matrix);
const arrived = new Promise(done => frame.contentWindow.addEventListener("hashchange", done));
classes.querySelector("a").click();
await arrived;
await new Promise(done => setTimeout(done, 20));
seen.open = [...page.querySelectorAll("details")].filter(d => d.open).map(d => d.id);
return seen;
"""


def _browse(folder: Path, script: str, width: int) -> dict[str, Any]:
    """Run a script in a page that holds the pages of `folder` in a frame; the console has to stay empty."""
    assert BROWSER is not None
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)).replace("SCRIPT", script), encoding="utf-8")
    options = [option for option in OPTIONS if "time-budget" not in option]
    command = [
        BROWSER,
        *options,
        "--virtual-time-budget=60000",
        f"--user-data-dir={folder / 'profile'}",
        frame.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r"measured:([\w+/=]+);", done.stdout)
    assert found is not None, done.stdout[:500]
    measured = json.loads(base64.b64decode(found[1]))
    assert isinstance(measured, dict)
    assert "error" not in measured, measured
    return measured


@pytest.mark.parametrize("width", [1280, 400])
def test_every_page_fits(tmp_path: Path, width: int) -> None:
    """At this width, with everything unfolded, no page scrolls sideways, hostile ones neither; no error is logged."""
    pages = []
    for kind, results in SITES.items():
        write_site(tmp_path / kind, *results)
        names = sorted(path.name for path in (tmp_path / kind).glob("*.html"))
        clauses = [name for name in names if name.startswith("clause-")]
        pages += [f"{kind}/{name}" for name in names if name not in clauses or name == "clause-q-9.html"]
    seen = _browse(tmp_path, FIT.replace("PAGES", json.dumps(pages)), width)
    assert list(seen) == pages
    assert len(pages) == 14
    for name, (inner, scrolled, wide) in seen.items():
        assert (inner, wide) == (width, []), name
        assert scrolled <= width, name


def test_pages_are_used_as_meant(tmp_path: Path) -> None:
    """A reader opens a driver, filters and sorts its tables, follows the witness to its timeline, and zooms by keys."""
    write_site(tmp_path / "site", *SITES["usual"])
    seen = _browse(tmp_path, USE, 1000)
    assert seen["title"] == "acme-fast"
    assert seen["all"] == 15
    assert seen["torn"] == ["Q-9"]
    assert seen["count"] == "1 of 15"
    assert seen["unverifiable"] == ["C-5"]
    assert seen["focused"]
    assert seen["sorted"] == ["descending", ["C-5", "H-2", "H-1"]]
    assert [length // MS for length in seen["lengths"]] == [50, 110, 120, 130, 383, 410]
    assert seen["arrived"] == ["#timeline-1", True]
    (view, labelled, moved) = seen["closer"]
    assert (view[0], view[2]) == (25_000, 50_000)
    assert (labelled, moved) == (True, True)
    assert (seen["later"][0], seen["later"][2]) == pytest.approx((45_000, 50_000))
    assert seen["whole"] == [[0, 0, 100_000, view[3]], True]
    assert len(seen["marks"]) == 2
    assert all(0 < at < 1 for at in seen["marks"])
    assert seen["clause"].startswith("A copy of a volume")
    assert seen["back"] == ["#timeline-1", True]
    assert seen["scripts"] == 1


def test_walk_over_drivers_is_used_as_meant(tmp_path: Path) -> None:
    """A reader keeps the classes to which calls do not bind, sorts all by a method, and unfolds a class by its name."""
    write_site(tmp_path / "site", *SITES["usual"])
    seen = _browse(tmp_path, USE_WALK, 1000)
    assert seen["unbound"] == ["AcmeDriver"]
    assert seen["focused"]
    assert seen["sorted"] == ["AcmeDriver", "Zed", "Twin", "Share", "Plain", "AcmeFibre"]
    assert seen["open"] == ["class-1"]
