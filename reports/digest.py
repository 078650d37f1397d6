"""What the page and the terminal both show of a driver: failures, counts, findings, the activity to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from harness.judging import combine
from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    ClauseSummary,
    DriverReport,
    Finding,
    Outcome,
    Report,
    Severity,
)

_BAD = (Outcome.FAILED, Outcome.ERROR)


@dataclass(frozen=True)
class Failure:
    """One check that failed or broke, with the clause result that says so; without one, as a whole."""

    check: CheckResult
    result: ClauseResult | None
    info: ClauseInfo | None

    @property
    def outcome(self) -> Outcome:
        """Failed, or error."""
        return self.result.outcome if self.result else self.check.outcome

    @property
    def message(self) -> str:
        """What went wrong, as the clause's result tells it, else the check."""
        return (self.result.message if self.result else "") or self.check.message

    @property
    def reproduce(self) -> str:
        """The command line that runs just this again."""
        return (self.result.reproduce if self.result else "") or self.check.reproduce

    @property
    def advisory(self) -> bool:
        """Whether it has no bearing on the verdict."""
        return self.info is not None and not self.info.mandatory


def failures(report: Report, driver: DriverReport) -> list[Failure]:
    """Every failure and error, mandatory clauses first, then as the checks came."""
    infos = {info.id: info for info in report.clauses}
    found = []
    for check in driver.checks:
        bad = [result for result in check.clauses if result.outcome in _BAD]
        found += [Failure(check, result, infos.get(result.clause)) for result in bad]
        if not bad and check.outcome in _BAD:
            found.append(Failure(check, None, None))
    return sorted(found, key=lambda failure: failure.advisory)


def standing(check: CheckResult, mandatory: Collection[str]) -> Outcome:
    """What a check comes to: advisory failures are left out of account, a violation of no clause is a failure."""
    violated = any(f.severity is Severity.VIOLATION and f.clause is None for f in check.findings)
    if check.outcome is Outcome.FAILED and not violated:
        failed = [r.clause for r in check.clauses if r.outcome is Outcome.FAILED]
        if failed and not any(clause in mandatory for clause in failed):
            rest = [r.outcome for r in check.clauses if r.outcome is not Outcome.FAILED]
            return combine(rest) if rest else Outcome.PASSED
    return Outcome.FAILED if violated and check.outcome not in (Outcome.ERROR, Outcome.WAIVED) else check.outcome


def counts(rows: Iterable[ClauseSummary]) -> dict[Outcome, int]:
    """How many clauses had each outcome, in the order of `Outcome`, without those that none had."""
    found = Counter(row.outcome for row in rows)
    return {outcome: found[outcome] for outcome in Outcome if found[outcome]}


def split(report: Report, driver: DriverReport) -> tuple[list[ClauseSummary], list[ClauseSummary]]:
    """The driver's clause rows: those that this version checks, and those that it doesn't."""
    unchecked = {info.id for info in report.clauses if not info.checked}
    open_rows = [row for row in driver.clauses if row.clause in unchecked and not row.checks]
    return [row for row in driver.clauses if row not in open_rows], open_rows


def findings(driver: DriverReport) -> list[Finding]:
    """The findings of the publication and of the checks, each once, the gravest first."""
    order = list(Severity)
    found: list[Finding] = []
    for finding in [*driver.description.findings, *(f for check in driver.checks for f in check.findings)]:
        if finding not in found:
            found.append(finding)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def drawn(driver: DriverReport) -> CheckResult | None:
    """The check whose activity is drawn: a failed one if it has a timeline, else the one with the most steps."""
    with_timeline = [check for check in driver.checks if check.timeline and check.timeline.steps]
    failed = [check for check in with_timeline if check.outcome is Outcome.FAILED]
    return max(
        failed or with_timeline, key=lambda check: len(check.timeline.steps if check.timeline else ()), default=None
    )
