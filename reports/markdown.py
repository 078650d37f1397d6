"""Summaries in Markdown, for a pull request or the page of a CI job; what a driver chose is text there, not markup."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from harness.results import DriverReport, Report
from reports.comparison import Change, Comparison
from reports.digest import counts, failures, split
from reports.text import one_line
from reports.words import VERDICT_SYMBOL, verdict_meaning

_SHOWN = 50
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub Actions names the file that a job's page shows."""


def escaped(value: object, limit: int = 300) -> str:
    """A text that a driver may have chosen, on one line, with nothing in it that Markdown or HTML would act upon."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", one_line(value, limit))


def code(value: object, limit: int = 2000) -> str:
    """A text as a code span that can be copied; in a table or outside of one."""
    text = one_line(value, limit).replace("|", "\N{BROKEN BAR}")
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}"


def report_markdown(report: Report) -> str:
    """A run: each driver's verdict, its counts, and what failed with the line that runs it again."""
    about = f"level {report.level.value}; testbeds {', '.join(escaped(name) for name in report.told_testbeds)}"
    lines = ["## Backend activity attributes", "", f"{about}; seed {report.seed}", ""]
    for driver in report.drivers:
        lines += _driver(report, driver)
    lines += [f"- harness error: {escaped(error)}" for error in report.errors[:_SHOWN]]
    if not report.drivers:
        lines.append("No driver was examined.")
    return "\n".join(lines).rstrip() + "\n"


def _driver(report: Report, driver: DriverReport) -> list[str]:
    name, verdict = escaped(driver.description.driver), driver.verdict
    tally = ", ".join(f"{number} {outcome}" for outcome, number in counts(split(report, driver)[0]).items()) or "none"
    lines = [f"### {name}: {VERDICT_SYMBOL[verdict]} {verdict} ({report.level.value})", ""]
    lines += [verdict_meaning(driver), "", f"Clauses: {tally}", ""]
    failed = failures(report, driver)
    if failed:
        lines += ["| clause | testbed | found | again |", "|---|---|---|---|"]
        for failure in failed[:_SHOWN]:
            clause = escaped(failure.result.clause if failure.result else failure.check.check)
            again = code(failure.reproduce) if failure.reproduce else ""
            lines.append(f"| {clause} | {escaped(failure.check.testbed)} | {escaped(failure.message)} | {again} |")
        lines += [f"… and {len(failed) - _SHOWN} more, in report.html"] if len(failed) > _SHOWN else []
    else:
        lines += [f"- {escaped(reason)}" for reason in driver.reasons[:_SHOWN]]
    return [*lines, ""]


def comparison_markdown(found: Comparison, reasons: Sequence[str]) -> str:
    """A comparison of two runs, with the reasons for which a gate is shut."""
    lines = ["## Backend activity attributes: comparison", ""]
    lines += [f"**Gate: {'shut, ' + ', '.join(reasons) if reasons else 'open'}**", ""]
    lines += [f"- {escaped(d.driver)}: {d.old or 'not run'} → {d.new or 'not run'}" for d in found.drivers]
    lines += [f"- {escaped(note)}" for note in found.notes]
    lines.append("")
    rows = [check for change in Change for check in found.of(change)]
    if rows:
        lines += ["| change | driver | check | testbed | before | now |", "|---|---|---|---|---|---|"]
        for row in rows[:_SHOWN]:
            cells = (row.change, row.driver, row.check, row.testbed, row.old or "not run", row.new or "not run")
            lines.append("| " + " | ".join(escaped(cell) for cell in cells) + " |")
        lines += [f"… and {len(rows) - _SHOWN} more", ""] if len(rows) > _SHOWN else [""]
    if found.timings:
        lines += ["| timing | testbed | driver | new/old | 95 % interval |", "|---|---|---|---|---|"]
        for driver, timing in found.timings[:_SHOWN]:
            where = " | ".join(escaped(cell) for cell in (timing.method, timing.testbed, driver))
            lines.append(f"| {where} | {timing.ratio:.3f} | {timing.low:.3f} … {timing.high:.3f} |")
        lines.append("")
    lines.append(f"{found.unchanged} checks are unchanged.")
    return "\n".join(lines) + "\n"


def write_step_summary(text: str) -> str | None:
    """Append `text` to the file that GitHub Actions names, if it does; returns what went wrong, or None."""
    name = os.environ.get(STEP_SUMMARY)
    if not name:
        return None
    try:
        with Path(name).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(text + "\n")
    except (OSError, ValueError) as error:
        return f"{STEP_SUMMARY}={name}: the summary can't be written there: {error}"
    return None
