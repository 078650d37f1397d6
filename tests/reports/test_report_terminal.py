"""The summary on a terminal says what matters, and lets no driver write to the terminal."""

from __future__ import annotations

import io
import re

import pytest
from report_samples import faulty, report
from rich.console import Console
from test_report_page import HOSTILE, broken, empty, hostile

from harness.results import Outcome, Report, Verdict
from reports import summary
from reports.markdown import report_markdown
from reports.words import verdict_meaning


def printed(run: Report, width: int = 100, encoding: str = "utf-8", terminal: bool = False) -> str:
    """What the summary prints."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    summary(
        run, Console(file=stream, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    )
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_each_driver_gets_its_verdict_in_words() -> None:
    """Each driver stands with verdict, meaning and counts by outcome; clauses without a check are told apart."""
    text = " ".join(printed(report()).split())
    assert "≈ consistent: Every applicable mandatory clause passed, but on declared or modelled evidence" in text
    assert "✗ non-conformant: At least one mandatory clause failed." in text
    assert "clauses: 14 passed, 1 not applicable; 2 more have no check in this version" in text


def test_a_failure_comes_with_message_and_rerun_line() -> None:
    """A failed clause has its message, and the line that reruns it unbroken even on a narrow terminal."""
    text = printed(report(), width=40)
    assert "✗ Q-9 A copy of a volume" in " ".join(text.split())
    assert "is torn" in " ".join(text.split())
    assert faulty().checks[-2].reproduce in text


def test_advice_stands_apart() -> None:
    """Advisory findings come under a heading of their own that says that they don't count."""
    reference, faulty_one = printed(report()).split("acme-fast  (")
    assert "Advice, which does not count" in reference
    assert "Findings" not in reference
    assert "Warning A-3 handel_scope" in faulty_one
    assert "Advice, which" not in faulty_one


@pytest.mark.parametrize("width", [40, 200])
def test_hostile_text_reaches_no_terminal(width: int) -> None:
    """Escapes, bells, direction marks and markup of a driver's are not passed on, and nothing is endless."""
    text = printed(hostile(), width=width)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert '<script>alert("x")' in text
    assert len(text) < 40_000
    run = report()
    run.drivers[0].description.driver = "[bold]name[/bold] :smile:"
    assert "[bold]name[/bold] :smile:" in printed(run, width=200)


def test_only_our_own_colours_are_sent() -> None:
    """On a terminal the only escapes are colours that the summary chose itself; red from a driver is not among them."""
    text = printed(hostile(), terminal=True)
    assert set(re.findall("\x1b(.)", text)) == {"["}
    assert "\x1b[31mred" not in text
    assert HOSTILE[:60] not in text


def test_a_plain_ascii_console_is_no_reason_to_fail() -> None:
    """Where the console can't show symbols, letters stand for them."""
    text = printed(report(), encoding="ascii")
    assert "x non-conformant" in text
    assert "~ consistent" in text


def test_errors_and_empty_runs_are_not_passes() -> None:
    """A run without checks, with errors, or without drivers says so."""
    assert "! harness error" in printed(empty())
    assert "! harness error: waiver Q-9 matched nothing" in printed(broken())
    assert "again: pytest" in printed(broken())
    assert "No driver was examined." in printed(report().model_copy(update={"drivers": []}))


def test_a_waived_failure_is_not_called_none() -> None:
    """What an incomplete verdict means says that failures were waived, by their clauses, or that nothing failed."""
    driver = faulty()
    driver.verdict = Verdict.INCOMPLETE
    for row in driver.clauses:
        row.outcome = Outcome.WAIVED if row.clause == "Q-9" else Outcome.PASSED
    assert "waived them: Q-9" in verdict_meaning(driver)
    assert "Nothing failed" not in report_markdown(report(driver))
    for row in driver.clauses:
        row.outcome = Outcome.UNVERIFIABLE
    assert "Nothing failed" in verdict_meaning(driver)
