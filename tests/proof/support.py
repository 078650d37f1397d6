"""Runs whole suites through cells, the way the pytest plugin does, and collects what failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from conformance.faulty.catalogue import FaultyDriver
from conformance.suite import CheckCase, cases
from harness.cell import Cell, CellLimits, Kind
from harness.loading import CandidateSpec
from harness.results import CheckResult, Outcome

SIMULATED = ("iscsi-sim", "nfs-sim")

HONEST_RUN = "checks of an honest driver"
"""The property of a test's report that says how many checks an honest driver passed on a seed."""
HONEST_TEST = "::test_honest_driver_passes["
"""What is in the name of the tests that say so."""


@contextmanager
def cell(virtual: bool = True, hash_seed: int = 0) -> Iterator[Cell]:
    """A cell that is closed afterwards."""
    opened = Cell(CellLimits(), virtual=virtual, hash_seed=hash_seed)
    try:
        yield opened
    finally:
        opened.close()


def run(where: Cell, spec: CandidateSpec, case: CheckCase, testbed: str, seed: int) -> CheckResult:
    """Run one check in a cell."""
    arguments: dict[str, Any] = {
        **case.arguments(),
        "candidate": spec.to_dict(),
        "testbed": testbed,
        "seed": seed,
        "schedule": None,
        "reproduce": "",
    }
    outcome = where.call("conformance.runner:run_check", arguments, case.name, 60.0)
    assert outcome.kind is Kind.RETURNED, f"{case.name} on {testbed}: {outcome}"
    return CheckResult.model_validate(outcome.value)


SCHEDULES = "conformance.test_schedules"
"""The suite of schedules, whose every check is hundreds of runs."""


def single(*clauses: str) -> list[CheckCase]:
    """Every check (of `clauses`, by default of all) but those of schedules."""
    return [case for case in cases(*clauses) if case.module != SCHEDULES]


def run_all(spec: CandidateSpec, testbed: str, seed: int, *clauses: str) -> list[CheckResult]:
    """Run every check (of `clauses`, by default of all) but those of schedules in one cell."""
    with cell(virtual=testbed != "files") as where:
        return [run(where, spec, case, testbed, seed) for case in single(*clauses)]


def run_schedules(spec: CandidateSpec, testbed: str, seed: int) -> list[CheckResult]:
    """Run the checks of schedules in one cell."""
    with cell() as where:
        return [run(where, spec, case, testbed, seed) for case in cases() if case.module == SCHEDULES]


def bed_for(seed: int) -> str:
    """The simulated testbed whose turn it is: odd seeds run on iscsi-sim, even ones on nfs-sim."""
    return SIMULATED[(seed + 1) % 2]


def run_seeds(spec: CandidateSpec, seeds: Iterable[int]) -> Iterator[tuple[str, int, list[CheckResult]]]:
    """Run every check but those of schedules, in one cell, for each seed: odd ones on iscsi-sim, even on nfs-sim."""
    with cell() as where:
        for seed in seeds:
            testbed = bed_for(seed)
            yield testbed, seed, [run(where, spec, case, testbed, seed) for case in single()]


def failed_clauses(results: list[CheckResult]) -> dict[str, str]:
    """The clauses that failed, each with the first message and check."""
    found: dict[str, str] = {}
    for result in results:
        for clause in result.clauses:
            if clause.outcome is Outcome.FAILED:
                found.setdefault(clause.clause, f"{result.check}: {clause.message}")
    return found


def not_good(results: list[CheckResult]) -> list[str]:
    """Checks that neither passed nor were not applicable, with their message."""
    good = (Outcome.PASSED, Outcome.NOT_APPLICABLE)
    return [f"{r.check} [{r.testbed}] {r.outcome}: {r.message}" for r in results if r.outcome not in good]


def errors(results: list[CheckResult]) -> list[str]:
    """Checks that ended in an error of the harness."""
    return [f"{r.check}: {r.message}" for r in results if r.outcome is Outcome.ERROR]


def missed(faulty: FaultyDriver, results: list[CheckResult]) -> list[str]:
    """The clauses that had to find a faulty driver and did not."""
    return sorted(set(faulty.must_fail) - set(failed_clauses(results)))


def beyond(faulty: FaultyDriver, results: list[CheckResult]) -> dict[str, str]:
    """The clauses that failed beyond what a faulty driver declares, each with its message."""
    declared = (*faulty.must_fail, *faulty.may_fail)
    return {clause: told for clause, told in failed_clauses(results).items() if clause not in declared}
