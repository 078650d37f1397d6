"""What a driver's page shows, worked out of its part of a report."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from harness.results import ClauseInfo, ClauseSummary, DriverReport, Finding, Outcome, Report
from reports.certificate import attributes
from reports.digest import Failure, counts, drawn, failures, findings, split
from reports.site.lens import Drawing, draw, instants

MAX_FAILURES = 60
MAX_DRAWINGS = 12
MAX_CHECKS = 3000


@dataclass(frozen=True)
class Timing:
    """How long a method took on a testbed, in nanoseconds of virtual time, over all its invocations in the run."""

    method: str
    testbed: str
    count: int
    median_ns: float
    least_ns: int
    most_ns: int


@dataclass(frozen=True)
class ShownFailure:
    """A failure, with its number on the page and the drawing of its timeline, if it is drawn."""

    number: int
    failure: Failure
    drawing: Drawing | None


@dataclass(frozen=True)
class DriverPage:
    """A driver of a run. `href` is the file of its page."""

    href: str
    run: int
    report: DriverReport
    counts: dict[Outcome, int]
    rows: list[tuple[ClauseSummary, ClauseInfo | None]]
    unchecked: list[tuple[ClauseSummary, ClauseInfo | None]]
    failures: list[ShownFailure]
    failures_omitted: int
    findings: list[Finding]
    supported: list[str]
    unsupported: list[str]
    timings: list[Timing]
    drawings: list[tuple[str, Drawing]]
    checks_omitted: int

    @property
    def name(self) -> str:
        """The driver's own name, whatever it holds."""
        return self.report.description.driver


def driver_page(report: Report, driver: DriverReport, href: str, run: int) -> DriverPage:
    """What the page of a driver shows; `run` is the number of the report that it is from."""
    infos = {info.id: info for info in report.clauses}
    checked, unchecked = split(report, driver)
    failed = failures(report, driver)
    supported, unsupported = attributes(driver.description)
    drawings: list[tuple[str, Drawing]] = []
    by_check: dict[int, Drawing] = {}

    def drawing_of(failure: Failure) -> Drawing | None:
        check = failure.check
        if check.timeline is None or not check.timeline.steps:
            return None
        if id(check) not in by_check and len(drawings) < MAX_DRAWINGS:
            witness = failure.result.witness if failure.result else None
            made = draw(check.timeline, f"timeline-{len(drawings) + 1}", instants(witness or {}))
            by_check[id(check)] = made
            drawings.append((f"{check.check} on {check.testbed}", made))
        return by_check.get(id(check))

    shown = [ShownFailure(n, f, drawing_of(f)) for n, f in enumerate(failed[:MAX_FAILURES], 1)]
    example = drawn(driver)
    if not drawings and example is not None and example.timeline is not None:
        drawings.append((f"{example.check} on {example.testbed}", draw(example.timeline, "timeline-1")))
    return DriverPage(
        href=href,
        run=run,
        report=driver,
        counts=counts(checked),
        rows=[(row, infos.get(row.clause)) for row in checked],
        unchecked=[(row, infos.get(row.clause)) for row in unchecked],
        failures=shown,
        failures_omitted=max(0, len(failed) - MAX_FAILURES),
        findings=findings(driver),
        supported=supported,
        unsupported=unsupported,
        timings=_timings(driver),
        drawings=drawings,
        checks_omitted=max(0, len(driver.checks) - MAX_CHECKS),
    )


def _timings(driver: DriverReport) -> list[Timing]:
    found: dict[tuple[str, str], list[int]] = {}
    for check in driver.checks:
        for method, durations in check.durations_ns.items():
            found.setdefault((method, check.testbed), []).extend(durations)
    return [
        Timing(method, testbed, len(each), statistics.median(each), min(each), max(each))
        for (method, testbed), each in sorted(found.items())
        if each
    ]
