"""What a run of drawn schedules has to have reached, and what follows where it has not."""

from __future__ import annotations

import pytest

from conformance.rare_paths import in_words, leave_open_what_was_missed
from conformance.schedules.markers import CHANCE, ENOUGH, LEAST_SHARE, MARKERS
from conformance.schedules.single_faults import REQUIRED
from harness.results import CheckResult, ClauseResult, Evidence, Outcome, RarePaths, Reached

PATH = next(name for name, marker in MARKERS.items() if marker.aimed is not None)


def batch(number: int, aimed: int, reached: int, testbed: str = "iscsi-sim", drawn: bool = True) -> CheckResult:
    """A batch of schedules that passed, with what it aimed at and reached."""
    paths = {PATH: Reached(aimed=aimed, reached=reached)}
    return CheckResult(
        check=f"test_drawn_schedules[batch {number}]",
        driver="driver",
        testbed=testbed,
        seed=1,
        outcome=Outcome.PASSED,
        clauses=[
            ClauseResult(clause="R-9", outcome=Outcome.PASSED, evidence=Evidence.EXERCISED),
            ClauseResult(clause="H-2", outcome=Outcome.NOT_APPLICABLE),
        ],
        rare_paths=RarePaths(drawn=drawn, schedules=50, paths=paths),
    )


@pytest.mark.parametrize(
    ("batches", "is_open"),
    [
        ([(ENOUGH - 1, 0)], False),
        ([(ENOUGH, 0)], True),
        ([(ENOUGH, 1)], False),
        ([(ENOUGH // 2, 0), (ENOUGH, 0)], True),
        ([(ENOUGH, 0), (3, 1)], False),
    ],
)
def test_a_path_that_should_have_been_reached_leaves_the_run_open(
    batches: list[tuple[int, int]], is_open: bool
) -> None:
    """Only where enough schedules of all batches together aimed at a path and none reached it, a pass is taken back."""
    given = [batch(number, aimed, reached) for number, (aimed, reached) in enumerate(batches)]
    found = leave_open_what_was_missed(given)
    assert [r.outcome for r in found] == [Outcome.UNVERIFIABLE if is_open else Outcome.PASSED] + [Outcome.PASSED] * (
        len(batches) - 1
    )
    if is_open:
        passed, other = found[0].clauses
        assert passed.outcome is Outcome.UNVERIFIABLE and PATH in passed.message and passed.evidence is None
        assert other.outcome is Outcome.NOT_APPLICABLE


def test_testbeds_and_single_faults_count_apart() -> None:
    """What one testbed reached does not speak for another, and single faults do not speak for drawn schedules."""
    given = [
        batch(0, ENOUGH, 0),
        batch(0, ENOUGH, 9, testbed="nfs-sim"),
        batch(1, ENOUGH, 9, drawn=False),
    ]
    assert [r.outcome for r in leave_open_what_was_missed(given)] == [
        Outcome.UNVERIFIABLE,
        Outcome.PASSED,
        Outcome.PASSED,
    ]
    assert len(list(in_words(given))) == 2


def test_enough_is_what_chance_needs() -> None:
    """With the least share of them arriving, so many schedules all miss as seldom as is said, and fewer more often."""
    assert (1 - LEAST_SHARE) ** ENOUGH <= CHANCE < (1 - LEAST_SHARE) ** (ENOUGH - 1)
    assert {name for needed in REQUIRED.values() for name in needed} <= set(MARKERS)
