"""The suites can fail: each faulty driver is found, by the clause that has to find it, and by no other."""

from __future__ import annotations

import pytest

from conformance.clauses import CLAUSES
from conformance.faulty.catalogue import FaultyDriver, catalogue
from harness.loading import CandidateSpec
from harness.results import Outcome
from tests.proof.support import failed_clauses, run_all

FAULTY = catalogue()
ON_FILES = ("CrawlingSnapshot", "MoveWithoutMirror", "ReturnsTooSoon", "SecondCopy", "OpenToAll", "LabelLies")


def judge(faulty: FaultyDriver, testbed: str, seed: int, *clauses: str) -> None:
    """Run the checks and compare what failed with what the driver declares."""
    results = run_all(CandidateSpec.for_driver(faulty.reference), testbed, seed, *clauses)
    errors = [f"{r.check}: {r.message}" for r in results if r.outcome is Outcome.ERROR]
    failed = failed_clauses(results)
    missed = set(faulty.must_fail) - set(failed)
    beyond = {c: m for c, m in failed.items() if c not in (*faulty.must_fail, *faulty.may_fail)}
    assert not errors, errors
    assert not missed, f"{faulty.flaw} {sorted(missed)} did not find it"
    assert not beyond, f"{faulty.flaw} Beyond its declared consequences failed {beyond}"


@pytest.mark.parametrize("testbed", ["iscsi-sim", "nfs-sim"])
@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_driver_is_found_by_its_clause(faulty: FaultyDriver, testbed: str) -> None:
    """A faulty driver fails the clauses that it declares, and none beyond their declared consequences."""
    judge(faulty, testbed, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_driver_is_found_on_every_seed(faulty: FaultyDriver, seed: int) -> None:
    """What finds a faulty driver does not depend on the seed."""
    judge(faulty, "iscsi-sim", seed)


@pytest.mark.parametrize("name", ON_FILES)
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
