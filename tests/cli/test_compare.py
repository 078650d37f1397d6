"""`activity-harness compare`: what it prints, and when it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.session import ExitCode
from harness.results import CheckResult, Description, DriverReport, Outcome, Report, Verdict
from reports.plain import to_json


def _report(path: Path, **outcomes: Outcome) -> None:
    about = Description(driver="acme", target="a:B", vendor_code=True, published={}, effective={}, defaults=[])
    checks = [CheckResult(check=n, driver="acme", testbed="iscsi-sim", seed=1, outcome=o) for n, o in outcomes.items()]
    driver = DriverReport(description=about, verdict=Verdict.CONFORMANT, checks=checks)
    made = Report(harness_version="0", python_version="3", seed=1, testbeds=["iscsi-sim"], command="", clauses=[],
                  drivers=[driver])  # fmt: skip
    path.write_text(to_json(made))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A directory with an old and a new report, in which one check has broken and one was skipped."""
    _report(tmp_path / "old.json", same=Outcome.PASSED, breaks=Outcome.PASSED, skips=Outcome.PASSED)
    _report(tmp_path / "new.json", same=Outcome.PASSED, breaks=Outcome.FAILED, skips=Outcome.UNVERIFIABLE)
    return tmp_path


def compare(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    program = [sys.executable, "-m", "harness.cli", "compare", *arguments]
    return subprocess.run(program, cwd=directory, capture_output=True, text=True, timeout=300, check=False)


def test_text(reports: Path) -> None:
    """Each change is printed with its check, and why the gate is shut; the status is 8."""
    done = compare(reports, "old.json", "new.json")
    assert done.returncode == ExitCode.CHANGED, done.stderr
    for part in (
        "new failure (1)",
        "breaks [iscsi-sim] acme: passed → failed",
        "newly skipped (1)",
        "skips [iscsi-sim] acme: passed → unverifiable",
        "1 checks unchanged",
        "gate shut: 1 new failure, 1 newly skipped",
    ):
        assert part in done.stdout


@pytest.mark.parametrize(
    ("gates", "status"),
    [
        (("--fail-on", "never"), ExitCode.CONFORMANT),
        (("--fail-on", "timing"), ExitCode.CONFORMANT),
        (("--fail-on", "timing", "--fail-on", "any-failure"), ExitCode.CHANGED),
        (("--fail-on", "newly-skipped"), ExitCode.CHANGED),
        (("--fail-on", "never", "--fail-on", "timing"), ExitCode.USAGE_ERROR),
        (("--fail-on", "nonsense"), ExitCode.USAGE_ERROR),
    ],
)
def test_gates(reports: Path, gates: tuple[str, ...], status: ExitCode) -> None:
    """The status follows from what --fail-on names, once or several times."""
    assert compare(reports, "old.json", "new.json", *gates).returncode == status


def test_json_and_markdown(reports: Path) -> None:
    """The comparison is one JSON document, or Markdown with a row for each change."""
    document = json.loads(compare(reports, "old.json", "new.json", "--format", "json").stdout)
    assert [(c["change"], c["check"]) for c in document["checks"]] == [
        ("new failure", "breaks"),
        ("newly skipped", "skips"),
    ]
    assert document["gate"] == ["1 new failure", "1 newly skipped"]
    text = compare(reports, "old.json", "new.json", "--format", "markdown").stdout
    assert "| new failure | acme | breaks | iscsi\\-sim | passed | failed |" in text


def test_summary_for_github(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where GitHub names a file for a summary, the comparison is appended to it as Markdown."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(reports / "summary.md"))
    compare(reports, "old.json", "new.json")
    assert "**Gate: shut, 1 new failure, 1 newly skipped**" in (reports / "summary.md").read_text()


@pytest.mark.parametrize(
    ("name", "said"), [("absent.json", "there is no such file"), ("half.json", "is not complete JSON")]
)
def test_report_that_is_none(reports: Path, name: str, said: str) -> None:
    """A report that can't be read, or is none, is a usage error that names it, never an open gate."""
    (reports / "half.json").write_text((reports / "old.json").read_text()[:100])
    done = compare(reports, name, "new.json")
    assert done.returncode == ExitCode.USAGE_ERROR
    assert f"ERROR: {name}: {said}" in done.stderr
