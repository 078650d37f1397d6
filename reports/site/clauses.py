"""What a clause's page shows: its wording, what checks it, and its results for every driver, over all runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.results import ClauseInfo, ClauseSummary, Outcome
from reports.site.drivers import DriverPage, ShownFailure

MAX_WITNESSES = 20


@dataclass(frozen=True)
class CheckedBy:
    """A check that speaks of a clause: its name, what it shows, and its results, as (driver page, testbed, outcome)."""

    name: str
    title: str
    results: list[tuple[DriverPage, str, Outcome]]


@dataclass(frozen=True)
class ClausePage:
    """A clause. `info` is what the last report that has it says of it; `href` is the file of its page, `order` its
    place in the specification."""

    href: str
    order: int
    info: ClauseInfo
    results: list[tuple[DriverPage, ClauseSummary]] = field(default_factory=list)
    checks: list[CheckedBy] = field(default_factory=list)
    witnesses: list[tuple[DriverPage, ShownFailure]] = field(default_factory=list)
    witnesses_omitted: int = 0

    def outcome(self, driver: DriverPage) -> ClauseSummary | None:
        """The clause's result for a driver, or None if its run has none."""
        return next((row for page, row in self.results if page is driver), None)


def clause_page(info: ClauseInfo, href: str, order: int, drivers: Sequence[DriverPage]) -> ClausePage:
    """What the page of a clause shows."""
    results, witnesses = [], []
    found: dict[str, CheckedBy] = {}
    for page in drivers:
        results += [(page, row) for row in page.report.clauses if row.clause == info.id]
        witnesses += [
            (page, shown)
            for shown in page.failures
            if shown.failure.result is not None and shown.failure.result.clause == info.id
        ]
        for check in page.report.checks:
            for result in check.clauses:
                if result.clause == info.id:
                    by = found.setdefault(check.check, CheckedBy(check.check, check.title, []))
                    by.results.append((page, check.testbed, result.outcome))
    return ClausePage(
        href=href,
        order=order,
        info=info,
        results=results,
        checks=list(found.values()),
        witnesses=witnesses[:MAX_WITNESSES],
        witnesses_omitted=max(0, len(witnesses) - MAX_WITNESSES),
    )
