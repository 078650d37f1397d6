"""What a testbed says of evidence gained on it reaches the reader wherever the evidence is shown."""

from __future__ import annotations

import io

import pytest
from report_samples import report
from rich.console import Console

from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.lio.testbed import LioTestbed
from harness.real_targets.tgt.testbed import TgtTestbed
from harness.results import Outcome, Report
from reports.certificate import make_certificate
from reports.markdown import report_markdown
from reports.page import render
from reports.site import site_texts
from reports.terminal import summary

NOTE = TgtTestbed.evidence_note


@pytest.fixture
def noted() -> Report:
    """The sample run, one of whose testbeds is tgt."""
    found = report()
    (name, *_) = found.testbeds
    found.testbeds = ["tgt" if each == name else each for each in found.testbeds]
    for driver in found.drivers:
        for check in driver.checks:
            if check.testbed == name:
                check.testbed, check.testbed_note = "tgt", NOTE
        for row in driver.clauses:
            row.testbeds = {"tgt" if each == name else each: outcome for each, outcome in row.testbeds.items()}
    return found


def test_note_stands_beside_the_evidence_of_each_clause_judged_there(noted: Report) -> None:
    """On the report's page, and on those of drivers and clauses, each clause that was judged on the testbed has the
    note beside its evidence, and no other has."""
    assert NOTE == LioTestbed.evidence_note == GaneshaTestbed.evidence_note == "I/O real, job table modelled"
    pages = site_texts([noted])
    judged = [
        [row for row in driver.clauses if row.evidence and row.testbeds.get("tgt") in (Outcome.PASSED, Outcome.FAILED)]
        for driver in noted.drivers
    ]
    assert all(judged)
    beside = f'<span class="seen">tgt: {NOTE}</span>'
    assert render(noted).count(beside) == sum(map(len, judged))
    told = [text.count(beside) for name, text in pages.items() if name.startswith("driver-")]
    assert told == list(map(len, judged))
    assert f"tgt: {NOTE}" in pages["clause-q-9.html"]


def test_note_is_in_summary_and_certificate(noted: Report) -> None:
    """The summaries name the note with the testbed, and the certificate has it for each driver."""
    out = io.StringIO()
    summary(noted, Console(file=out, width=400))
    assert f"tgt ({NOTE})" in out.getvalue()
    assert NOTE in report_markdown(noted).replace("\\", "")
    certificate = make_certificate(noted, "", "")
    assert [driver.testbed_notes for driver in certificate.drivers] == [{"tgt": NOTE} for _ in noted.drivers]
