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
EVERYTHING = {
    "stateless_activities": sorted(METHODS),
    "snapshot_replication": True,
    "backup_compression_techniques": ["zstd", "zlib"],
    "handle_scope": "unrestricted",
}


def failures(flaw: str) -> dict[str, str]:
    """The clauses that fail when drivers that publish nothing or everything are run by a taskflow with that flaw.

    Ends as soon as each of the flaw's clauses has failed.
    """
    wanted = FLAWS[flaw][0]
    results: list[CheckResult] = []
    with cell() as where:
        for case in cases(*wanted):
            for publication in (NOTHING, EVERYTHING):
                spec = replace(CandidateSpec.for_driver("reference"), config={"publication": publication})
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
            if set(wanted) <= set(failed_clauses(results)):
                break
    return failed_clauses(results)


@pytest.mark.parametrize("flaw", FLAWS)
def test_faulty_taskflow_is_found_by_its_clause(flaw: str) -> None:
    """A flaw of the taskflow fails the clauses that forbid it, for a driver that publishes all or nothing."""
    found = failures(flaw)
    assert set(FLAWS[flaw][0]) <= set(found), (FLAWS[flaw][1].__doc__, found)


def test_flaws_name_clauses_that_bind_the_taskflow() -> None:
    """Each flaw names clauses that exist, are checked, and bind the taskflow."""
    for clauses, _ in FLAWS.values():
        for clause in clauses:
            assert CLAUSES[clause].checked
            assert "T" in CLAUSES[clause].who
