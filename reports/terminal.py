"""The summary of a run on a terminal: verdicts in words, what failed and how to run it again, what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results import DriverReport, Finding, Outcome, Report, Severity, Verdict
from reports.digest import Failure, counts, failures, findings, split
from reports.text import clean, one_line
from reports.words import OUTCOME_SYMBOL, SEVERITY_WORD, VERDICT_SYMBOL, verdict_meaning

if TYPE_CHECKING:
    from rich.console import Console

_MESSAGE = 600
_SHOWN = 20

_VERDICT_STYLE = {
    Verdict.CONFORMANT: "bold green",
    Verdict.CONSISTENT: "bold cyan",
    Verdict.NON_CONFORMANT: "bold red",
    Verdict.INCOMPLETE: "bold yellow",
    Verdict.HARNESS_ERROR: "bold magenta",
}
_OUTCOME_STYLE = {Outcome.FAILED: "red", Outcome.ERROR: "magenta"}
_ASCII = {"✓": "+", "≈": "~", "✗": "x", "–": "-", "…": "...", "·": "|", "→": "->"}


class Printer:
    """Prints lines of plain text: no markup, no highlighting, nothing that the console's encoding lacks."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._encoding = console.encoding

    def _fit(self, text: str) -> str:
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            for character, plain in _ASCII.items():
                text = text.replace(character, plain)
            text = text.encode(self._encoding, "backslashreplace").decode(self._encoding)
        return text

    def line(self, *parts: str | tuple[str, str], indent: int = 0, whole: bool = False) -> None:
        """One paragraph, indented; `whole` lines are left to the terminal to wrap, so that they can be copied."""
        from rich.padding import Padding
        from rich.text import Text

        fitted = [self._fit(p) if isinstance(p, str) else (self._fit(p[0]), p[1]) for p in parts]
        text = Text.assemble(*fitted)
        if whole:
            self._console.print(Text(" " * indent) + text, soft_wrap=True, highlight=False)
        else:
            self._console.print(Padding(text, (0, 0, 0, indent), expand=False), highlight=False)


def _failure(out: Printer, failure: Failure) -> None:
    name = failure.result.clause if failure.result else one_line(failure.check.check, 200)
    title = f" {one_line(failure.info.title, 200)}" if failure.info else ""
    style = _OUTCOME_STYLE.get(failure.outcome, "")
    advisory = " (advisory: does not count)" if failure.advisory else ""
    out.line(
        (f"{OUTCOME_SYMBOL[failure.outcome]} {one_line(name, 200)}", style),
        f"{title} [{one_line(failure.check.testbed, 60)}]: {failure.outcome}{advisory}",
        indent=2,
    )
    if failure.message:
        out.line(clean(failure.message, _MESSAGE), indent=6)
    if failure.reproduce:
        out.line(("again: ", "dim"), (one_line(failure.reproduce, 4000), "bold"), indent=6, whole=True)


def _finding(out: Printer, finding: Finding) -> None:
    clause = f" {one_line(finding.clause, 40)}" if finding.clause else ""
    subject = f" {one_line(finding.subject, 120)}:" if finding.subject else ":" if clause else ""
    out.line(
        (f"{SEVERITY_WORD[finding.severity]}{clause}", "yellow" if finding.severity is Severity.VIOLATION else ""),
        f"{subject} {one_line(finding.found, _MESSAGE)}",
        indent=2,
    )
    if finding.remedy:
        out.line(("remedy: ", "dim"), one_line(finding.remedy, _MESSAGE), indent=6)


def _left_out(out: Printer, total: int) -> None:
    if total > _SHOWN:
        out.line(f"and {total - _SHOWN} more, in report.html", indent=2)


def _driver(out: Printer, report: Report, driver: DriverReport) -> None:
    about, verdict = driver.description, driver.verdict
    code = "the vendor's own code" if about.vendor_code else "a publication, without code"
    out.line((one_line(about.driver, 120), "bold"), f"  ({one_line(about.target, 200)}; {code})")
    out.line(
        (f"{VERDICT_SYMBOL[verdict]} {verdict}", _VERDICT_STYLE[verdict]), f": {verdict_meaning(driver)}", indent=2
    )
    for reason in driver.reasons[:_SHOWN]:
        out.line(f"· {one_line(reason, _MESSAGE)}", indent=4)
    _left_out(out, len(driver.reasons))
    checked, unchecked = split(report, driver)
    if driver.identity is not None:
        who = driver.identity
        out.line(
            f"identity (the vendor's word): {one_line(f'{who.vendor}, {who.product} {who.version}', 300)}", indent=2
        )
    tally = ", ".join(f"{number} {outcome}" for outcome, number in counts(checked).items()) or "none"
    beyond = f"; {len(unchecked)} more have no check in this version" if unchecked else ""
    out.line(f"clauses: {tally}{beyond}", indent=2)
    failed = failures(report, driver)
    if failed:
        out.line("")
        for failure in failed[:_SHOWN]:
            _failure(out, failure)
        _left_out(out, len(failed))
    found = findings(driver)
    weighty = [finding for finding in found if finding.severity is not Severity.ADVISORY]
    advice = [finding for finding in found if finding.severity is Severity.ADVISORY]
    for title, some in (("Findings", weighty), ("Advice, which does not count", advice)):
        if some:
            out.line("")
            out.line((title, "underline"), indent=2)
            for finding in some[:_SHOWN]:
                _finding(out, finding)
            _left_out(out, len(some))
    out.line("")


def summary(report: Report, console: Console) -> None:
    """Print for each driver the verdict and what it means, counts, failures with the line to run again, findings."""
    out = Printer(console)
    testbeds = ", ".join(one_line(name, 120) for name in report.told_testbeds) or "none"
    out.line(
        ("Backend activity attributes", "bold"), f"  level {report.level}; testbeds: {testbeds}; seed {report.seed}"
    )
    out.line("")
    if not report.drivers:
        out.line(("No driver was examined.", "bold magenta"))
    for driver in report.drivers:
        _driver(out, report, driver)
    for error in report.errors[:_SHOWN]:
        out.line(("! harness error: ", "bold magenta"), clean(error, _MESSAGE))
    _left_out(out, len(report.errors))
