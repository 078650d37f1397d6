"""The rare paths of a whole run: the batches of drawn schedules together, on each testbed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.schedules.markers import ENOUGH, MARKERS, missed
from harness.judging import combine
from harness.results import CheckResult, Outcome, RarePaths, Reached


def totals(results: Sequence[CheckResult]) -> dict[str, RarePaths]:
    """By testbed, what all drawn schedules of one driver aimed at and reached."""
    found: dict[str, RarePaths] = {}
    for result in results:
        if result.rare_paths is None or not result.rare_paths.drawn:
            continue
        total = found.setdefault(result.testbed, RarePaths(drawn=True, schedules=0))
        total.schedules += result.rare_paths.schedules
        for name, tally in result.rare_paths.paths.items():
            of_path = total.paths.setdefault(name, Reached(aimed=0, reached=0))
            of_path.aimed += tally.aimed
            of_path.reached += tally.reached
    return found


def leave_open_what_was_missed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results of one driver, where on each testbed the first batch of drawn schedules is unverifiable if all
    batches together should have reached a path and did not (`conformance.schedules.markers.ENOUGH`)."""
    open_on: dict[str, str] = {}
    for testbed, total in totals(results).items():
        lacking = missed((name, tally.aimed, tally.reached) for name, tally in total.paths.items())
        if lacking:
            open_on[testbed] = (
                f"of {total.schedules:,} drawn schedules, among which {ENOUGH} or more aimed there, none reached: "
                f"{'; '.join(lacking)}"
            )
    changed = []
    for result in results:
        if result.rare_paths is not None and result.rare_paths.drawn and result.testbed in open_on:
            result = _left_open(result, open_on.pop(result.testbed))
        changed.append(result)
    return changed


def _left_open(result: CheckResult, why: str) -> CheckResult:
    clauses = [
        c.model_copy(update={"outcome": Outcome.UNVERIFIABLE, "message": why, "evidence": None})
        if c.outcome is Outcome.PASSED
        else c
        for c in result.clauses
    ]
    outcome = result.outcome if result.outcome is Outcome.ERROR else combine(c.outcome for c in clauses)
    return result.model_copy(
        update={
            "clauses": clauses,
            "outcome": outcome,
            "message": why if outcome is Outcome.UNVERIFIABLE else result.message,
        }
    )


def in_words(results: Sequence[CheckResult]) -> Iterator[str]:
    """One line for each testbed: how many rare paths the drawn schedules of one driver reached."""
    for testbed, total in totals(results).items():
        reached = sum(1 for name in MARKERS if name in total.paths and total.paths[name].reached)
        said = f"{total.schedules:,} drawn schedules on {testbed} reached {reached} of {len(MARKERS)} rare paths"
        yield f"{said}; report.json names them with each check"
