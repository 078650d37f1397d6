"""Clauses that bind the taskflow can fail too: a taskflow broken in one way is found by the clause that forbids it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.clauses import CLAUSES
from conformance.faulty_taskflows.catalogue import catalogue
from conformance.faulty_taskflows.registry import FaultyTaskflow
from conformance.suite import cases
from harness.cell import Kind
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import CheckResult
from tests.proof.support import cell, failed_clauses

FAULTY = catalogue()
NOTHING: dict[str, Any] = {}
HANDLES = {"handle_scope": "unrestricted"}
"""Quiesced, and yet in reach after the loss of a connection."""
EVERYTHING = {
    "stateless_activities": sorted(METHODS),
    "snapshot_replication": True,
    "backup_compression_techniques": ["zstd", "zlib"],
    "handle_scope": "unrestricted",
}


def failures(faulty: FaultyTaskflow) -> dict[str, str]:
    """The clauses that fail when drivers that publish nothing, everything or handles are run by a faulty taskflow.

    Ends as soon as each of the flaw's clauses has failed.
    """
    results: list[CheckResult] = []
    with cell() as where:
        for case in cases(*faulty.must_fail):
            for publication in (NOTHING, EVERYTHING, HANDLES):
                spec = replace(CandidateSpec.for_driver("reference"), config={"publication": publication})
                arguments = {
                    "flaw_name": faulty.name,
                    **case.arguments(),
                    "candidate": spec.to_dict(),
                    "testbed": faulty.testbed,
                    "seed": 1,
                }
                outcome = where.call("conformance.faulty_taskflows.catalogue:run_check", arguments, case.name, 60.0)
                assert outcome.kind is Kind.RETURNED, outcome
                results.append(CheckResult.model_validate(outcome.value))
            if set(faulty.must_fail) <= set(failed_clauses(results)):
                break
    return failed_clauses(results)


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda f: f.name)
def test_faulty_taskflow_is_found_by_its_clause(faulty: FaultyTaskflow) -> None:
    """A flaw of the taskflow fails the clauses that forbid it, for a driver that publishes nothing, all, or handles."""
    found = failures(faulty)
    assert set(faulty.must_fail) <= set(found), (faulty.flaw, found)


def test_flaws_name_clauses_that_bind_the_taskflow() -> None:
    """Each flaw says in one sentence what is wrong, and names clauses that are checked and bind the taskflow."""
    for faulty in FAULTY:
        assert faulty.flaw.endswith("."), f"{faulty.name} says in one sentence what is wrong with it"
        for clause in faulty.must_fail:
            assert CLAUSES[clause].checked
            assert "T" in CLAUSES[clause].who
