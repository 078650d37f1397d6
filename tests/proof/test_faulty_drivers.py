"""The suites can fail: each faulty driver is found, by the clause that has to find it, and by no other."""

from __future__ import annotations

import pytest

from conformance.clauses import CLAUSES
from conformance.faulty.catalogue import FaultyDriver, catalogue
from harness.loading import CandidateSpec
from harness.results import CheckResult
from tests.proof.support import (
    SIMULATED,
    bed_for,
    beyond,
    cell,
    errors,
    missed,
    run,
    run_all,
    run_schedules,
    single,
)

FAULTY = catalogue()
ON_FILES = ("CrawlingSnapshot", "MoveWithoutMirror", "ReturnsTooSoon", "SecondCopy", "LabelLies")


def judge(faulty: FaultyDriver, testbed: str, seed: int, *clauses: str) -> None:
    """Run the checks and compare what failed with what the driver declares."""
    results = run_all(CandidateSpec.for_driver(faulty.reference), testbed, seed, *clauses)
    assert not errors(results), errors(results)
    assert not missed(faulty, results), f"{faulty.flaw} {missed(faulty, results)} did not find it"
    assert not beyond(faulty, results), f"{faulty.flaw} Beyond its consequences failed {beyond(faulty, results)}"


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_driver_is_found_by_its_clause(faulty: FaultyDriver) -> None:
    """The checks of the clauses that a faulty driver declares find it, and none beyond its consequences fails."""
    judge(faulty, SIMULATED[FAULTY.index(faulty) % 2], 1, *faulty.must_fail)


@pytest.mark.long
@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_driver_breaks_nothing_else(faulty: FaultyDriver) -> None:
    """Of all checks, run on the other testbed, none beyond the declared consequences of a faulty driver fails."""
    judge(faulty, SIMULATED[(FAULTY.index(faulty) + 1) % 2], 1)


@pytest.mark.long
@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_driver_is_found_on_every_seed(faulty: FaultyDriver) -> None:
    """On each of 20 seeds all clauses that a faulty driver declares find it, and none beyond its consequences fails.

    Seeds take turns with the simulated testbeds; `make proof` runs every check of each seed on both.
    """
    spec = CandidateSpec.for_driver(faulty.reference)
    with cell() as where:
        for seed in range(1, 21):
            testbed = SIMULATED[seed % 2]
            results: list[CheckResult] = []
            for case in single(*faulty.must_fail):
                if set(missed(faulty, results)) & set(case.clauses):  # what has been found need not be found again
                    results.append(run(where, spec, case, testbed, seed))
            assert not errors(results), (seed, errors(results))
            assert not missed(faulty, results), f"seed {seed}: {missed(faulty, results)} did not find it"
            assert not beyond(faulty, results), f"seed {seed}: beyond its consequences: {beyond(faulty, results)}"


@pytest.mark.parametrize("name", [*ON_FILES, pytest.param("OpenToAll", marks=pytest.mark.long)])
def test_faulty_driver_is_found_on_real_files(name: str) -> None:
    """The same clauses find faulty drivers on real files, under the wall clock."""
    faulty = next(f for f in FAULTY if f.name == name)
    judge(faulty, "files", 1, *faulty.must_fail)


def test_catalogue_covers_every_section_with_clauses_that_exist() -> None:
    """Each section of the specification has at least two faulty drivers, whose clauses bind drivers and are checked."""
    by_section: dict[str, int] = {}
    for faulty in FAULTY:
        for section in {clause[0] for clause in faulty.must_fail}:
            by_section[section] = by_section.get(section, 0) + 1
        assert faulty.flaw.endswith("."), f"{faulty.name} says in one sentence what is wrong with it"
        for clause in (*faulty.must_fail, *faulty.may_fail):
            assert CLAUSES[clause].checked, f"{faulty.name} names {clause}, of which there is no check"
    assert {section: by_section.get(section, 0) >= 2 for section in "AQRHC"} == dict.fromkeys("AQRHC", True)


@pytest.mark.long
@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_driver_breaks_nothing_else_whatever_goes_wrong(faulty: FaultyDriver) -> None:
    """Under schedules nothing fails beyond the consequences that a faulty driver declares, each on a seed of its own.

    `make proof` asserts it on 20 seeds each, which takes hours; seeds take turns with the simulated testbeds.
    """
    seed = 1 + FAULTY.index(faulty) % 20
    results = run_schedules(CandidateSpec.for_driver(faulty.reference), bed_for(seed), seed)
    assert not errors(results), errors(results)
    assert not beyond(faulty, results), f"seed {seed}: beyond its consequences: {beyond(faulty, results)}"
