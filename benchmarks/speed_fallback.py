"""A fault-injection run of a whole fallback, from a new environment, with all its checks: runs a second a core."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.measure import Row, cpu
from conformance.runner import run_check
from conformance.test_replication import FAULTS
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import Outcome

PUBLICATION = {"snapshot_replication": False, "stateless_activities": sorted(METHODS), "handle_scope": "user-specific"}
"""No native replication, so that the fallback is taken."""

STEPS = tuple(fault for fault in FAULTS if fault != "replicate fails")
"""The faults that a fallback can meet."""


def outcomes(runs: int) -> list[str]:
    """Run the check of the fallback under faults so often, each run with another seed, and the faults in turn."""
    candidate = replace(CandidateSpec.for_driver("reference"), config={"publication": PUBLICATION}).to_dict()
    found = []
    for seed in range(runs):
        result = run_check(
            module="conformance.test_replication",
            function="test_nothing_is_left_after_a_fault_and_one_clean_up",
            parameters={"way": "fallback", "fault": STEPS[seed % len(STEPS)]},
            candidate=candidate,
            testbed="iscsi-sim",
            seed=seed,
        )
        found.append(result["outcome"])
    return found


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The row of the table."""
    batch = len(STEPS) * (1 if tiny else 10)
    outcomes(len(STEPS))  # imports, signatures
    rates = []
    good = True
    for _ in range(runs):
        spent, found = cpu(lambda: outcomes(batch))
        rates.append(batch / spent)
        good = good and all(outcome == Outcome.PASSED for outcome in found)
    rate = statistics.median(rates)
    note = f"{batch} runs, the {len(STEPS)} faults in turn; " + ("all passed" if good else "SOME DID NOT PASS")
    yield Row(
        "a fault run of a whole fallback",
        f"{rate:,.0f} /s a core",
        target=">= 1,000",
        met=good and rate >= 1000,
        note=note,
    )
