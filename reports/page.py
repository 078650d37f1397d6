"""The HTML page of a run: one file that needs nothing else, neither network nor JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from harness.results import CheckResult, ClauseInfo, ClauseSummary, DriverReport, Evidence, Outcome, Report
from reports import words
from reports.digest import Failure, counts, drawn, failures, findings, split
from reports.plain import plain
from reports.text import clean, duration, one_line
from reports.timeline import caption, draw_timeline

MAX_FAILURES = 60
MAX_CHECKS = 3000
_WITNESS_ROWS = 40


@dataclass(frozen=True)
class ClauseGroup:
    """The clauses of one section of the specification."""

    letter: str
    title: str
    rows: list[tuple[ClauseSummary, ClauseInfo | None]]


@dataclass(frozen=True)
class DriverView:
    """What the template needs of one driver, worked out beforehand."""

    anchor: str
    report: DriverReport
    counts: dict[Outcome, int]
    groups: list[ClauseGroup]
    unchecked: list[tuple[ClauseSummary, ClauseInfo | None]]
    failures: list[Failure]
    failures_omitted: int
    findings: list[Any]
    checks: list[CheckResult]
    checks_omitted: int
    figure: Markup | None
    figure_caption: str
    figure_check: str


def _groups(rows: list[tuple[ClauseSummary, ClauseInfo | None]]) -> list[ClauseGroup]:
    groups = []
    for letter, members in groupby(rows, key=lambda row: row[0].clause.partition("-")[0]):
        groups.append(ClauseGroup(letter, words.SECTION_TITLE.get(letter, "Other"), list(members)))
    return groups


def _view(report: Report, driver: DriverReport, number: int) -> DriverView:
    infos = {info.id: info for info in report.clauses}
    checked, unchecked = split(report, driver)
    failed = failures(report, driver)
    source = drawn(driver)
    timeline = source.timeline if source else None
    return DriverView(
        anchor=f"driver-{number}",
        report=driver,
        counts=counts(checked),
        groups=_groups([(row, infos.get(row.clause)) for row in checked]),
        unchecked=[(row, infos.get(row.clause)) for row in unchecked],
        failures=failed[:MAX_FAILURES],
        failures_omitted=max(0, len(failed) - MAX_FAILURES),
        findings=findings(driver),
        checks=driver.checks[:MAX_CHECKS],
        checks_omitted=max(0, len(driver.checks) - MAX_CHECKS),
        # the only text that is not escaped by the template: escaped where it was made
        figure=Markup(draw_timeline(timeline, prefix=f"figure-{number}-")) if timeline else None,
        figure_caption=caption(timeline) if timeline else "",
        figure_check=source.check if source else "",
    )


def show(value: object) -> str:
    """A value of a publication or a witness, short and readable."""
    value = plain(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(show(item) for item in value[:50]) + (" …" if len(value) > 50 else "") or "none"
    if isinstance(value, dict):
        pairs = [f"{name}: {show(item)}" for name, item in list(value.items())[:20]]
        return "; ".join(pairs) + (" …" if len(value) > 20 else "") or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def facts(witness: dict[str, Any]) -> list[tuple[str, str]]:
    """A witness as rows of a table, groups within it taken apart: "shown write: block", "7"."""
    rows: list[tuple[str, str]] = []
    for name, value in witness.items():
        label = name.replace("_", " ")
        if isinstance(value, dict) and value:
            rows += [(f"{label}: {str(part).replace('_', ' ')}", show(item)) for part, item in value.items()]
        else:
            rows.append((label, show(value)))
    more = len(rows) - _WITNESS_ROWS
    return rows if more <= 0 else [*rows[:_WITNESS_ROWS], ("more", f"{more} further rows are in report.json")]


def _finalize(value: Any) -> Any:
    """Whatever a template puts out: cleaned and bounded, unless it is our own markup."""
    return value if isinstance(value, Markup) else clean(value)


def environment() -> Environment:
    """The templates, with what they may use; whatever they put out is escaped and cleaned."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": one_line, "show": show, "facts": facts, "duration": duration, "long": clean}
    environment.globals |= {"words": words, "Outcome": Outcome, "Evidence": Evidence}
    return environment


def render(report: Report) -> str:
    """The page, as text; the same report gives the same text."""
    views = [_view(report, driver, number) for number, driver in enumerate(report.drivers, 1)]
    return environment().get_template("report.html.j2").render(report=report, drivers=views)
