"""A fault-injection run of a whole fallback, from a new environment, with all its checks: runs a second a core."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory
from time import process_time

from benchmarks.measure import Missing, Row, peer_process
from conformance.runner import run_check
from conformance.test_replication import FAULTS
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import Outcome
from harness.runtime.patches import install

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


def main(batch: int) -> None:
    """Measure in this process, under the patched clock that drivers run under; prints JSON."""
    clock = process_time
    install(virtual=True)
    with TemporaryDirectory(prefix="bytecode-") as folder:  # a restart imports the driver anew
        sys.dont_write_bytecode, sys.pycache_prefix = False, folder
        outcomes(2 * len(STEPS))  # imports, signatures
        began = clock()
        found = outcomes(batch)
        spent = clock() - began
    print(json.dumps({"cpu": spent, "passed": sum(outcome == Outcome.PASSED for outcome in found)}))


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The row of the table."""
    batch = len(STEPS) * (1 if tiny else 20)
    answers = [peer_process("benchmarks.speed_fallback", batch) for _ in range(runs)]
    found = [answer for answer in answers if not isinstance(answer, Missing)]
    what, target = "a fault run of a whole fallback", ">= 1,000"
    if len(found) < runs:
        yield Row(what, "does not run", target=target, met=False, note=str(answers))
        return
    rate = statistics.median(batch / answer["cpu"] for answer in found)
    good = all(answer["passed"] == batch for answer in found)
    note = f"{batch} runs, the {len(STEPS)} faults in turn; " + ("all passed" if good else "SOME DID NOT PASS")
    yield Row(what, f"{rate:,.0f} /s a core", target=target, met=good and rate >= 1000, note=note)


if __name__ == "__main__":
    main(int(sys.argv[1]))
