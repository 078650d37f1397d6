"""Clauses that bind the taskflow can fail too: a taskflow broken in one way is found by the clause that forbids it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.clauses import CLAUSES
from conformance.suite import cases
from harness.cell import Kind
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import CheckResult
from tests.proof.faulty_taskflows import FLAWS
from tests.proof.support import cell, failed_clauses

NOTHING: dict[str, Any] = {}
HANDLES = {"handle_scope": "unrestricted"}
"""Quiesced, and yet in reach after the loss of a connection."""
EVERYTHING = {
    "stateless_activities": sorted(METHODS),
    "snapshot_replication": True,
    "backup_compression_techniques": ["zstd", "zlib"],
    "handle_scope": "unrestricted",
}


def failures(flaw: str, publication: dict[str, Any]) -> dict[str, str]:
    """The clauses that fail when a driver with that publication is run by a taskflow with that flaw."""
    spec = replace(CandidateSpec.for_driver("reference"), config={"publication": publication})
    results = []
    with cell() as where:
        for case in cases(*FLAWS[flaw][0]):
            arguments = {
                "flaw_name": flaw,
                **case.arguments(),
                "candidate": spec.to_dict(),
                "testbed": "iscsi-sim",
                "seed": 1,
            }
            outcome = where.call("tests.proof.faulty_taskflows:run_check", arguments, case.name, 60.0)
            assert outcome.kind is Kind.RETURNED, outcome
            results.append(CheckResult.model_validate(outcome.value))
            where.close()  # the flaw must not be applied twice
    return failed_clauses(results)


@pytest.mark.parametrize("flaw", FLAWS)
def test_faulty_taskflow_is_found_by_its_clause(flaw: str) -> None:
    """A flaw of the taskflow fails the clauses that forbid it, for a driver that publishes all, nothing, or handles."""
    clauses = FLAWS[flaw][0]
    found = {**failures(flaw, NOTHING), **failures(flaw, EVERYTHING)}
    if not set(clauses) <= set(found):
        found |= failures(flaw, HANDLES)
    assert set(clauses) <= set(found), (FLAWS[flaw][1].__doc__, found)


def test_flaws_name_clauses_that_bind_the_taskflow() -> None:
    """Each flaw names clauses that exist, are checked, and bind the taskflow."""
    for clauses, _ in FLAWS.values():
        for clause in clauses:
            assert CLAUSES[clause].checked
            assert "T" in CLAUSES[clause].who
