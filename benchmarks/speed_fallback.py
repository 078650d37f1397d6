"""Fault-injection runs of a whole fallback, each from a new environment, with all its checks: runs a second a core.

Two rows: every single fault at every moment of a fallback while hosts write, all in one check, as a campaign runs
them; and one fault after the other, each a check of its own with a restarted driver. In both the time holds the
collection of what a run leaves behind: inside a check the collector does not run, and a loop that does nothing but run
checks would not let it run between them either.
"""

from __future__ import annotations

import functools
import gc
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

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
"""The faults that a check of its own lets a fallback meet."""

ROUNDS = 20
"""How often each of them is met."""


def campaign(seed: int) -> tuple[int, bool]:
    """Run every single fault at every moment of a fallback; how many runs that were, and whether all held."""
    result = _result("conformance.test_schedules", "test_every_single_fault_at_every_step", {"flow": "fallback"}, seed)
    return result["rare_paths"]["schedules"], result["outcome"] == Outcome.PASSED


def single_checks(seed: int, rounds: int = ROUNDS) -> tuple[int, bool]:
    """Run the check of the fallback under faults, the faults in turn, each run with another seed; as `campaign`."""
    runs = rounds * len(STEPS)
    held = True
    for number in range(runs):
        parameters = {"way": "fallback", "fault": STEPS[number % len(STEPS)]}
        function = "test_nothing_is_left_after_a_fault_and_one_clean_up"
        result = _result("conformance.test_replication", function, parameters, seed * runs + number)
        held &= result["outcome"] == Outcome.PASSED
        gc.collect(0)  # a cell's does so by itself, at what it allocates next
    return runs, held


@functools.cache  # the driver is looked up once for each run of the suite, too
def _candidate() -> dict[str, Any]:
    return replace(CandidateSpec.for_driver("reference"), config={"publication": PUBLICATION}).to_dict()


def _result(module: str, function: str, parameters: dict[str, str], seed: int) -> dict[str, Any]:
    return run_check(
        module=module, function=function, parameters=parameters, candidate=_candidate(), testbed="iscsi-sim", seed=seed
    )


def main(what: str, rounds: int) -> None:
    """Measure in this process, under the patched clock that drivers run under; prints JSON."""
    call: Callable[[int], tuple[int, bool]]
    call = campaign if what == "campaign" else lambda seed: single_checks(seed, rounds)
    install(virtual=True)
    with TemporaryDirectory(prefix="bytecode-") as folder:  # a restart imports the driver anew
        sys.dont_write_bytecode, sys.pycache_prefix = False, folder
        single_checks(2, 2)  # imports, signatures
        began = process_time()
        runs, held = call(0)
        spent = process_time() - began
    print(json.dumps({"cpu": spent, "runs": runs, "held": held}))


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    yield _row("every fault of a whole fallback, hosts writing", "campaign", runs, 1)
    yield _row("a fault run of a whole fallback, a check of its own", "checks", runs, 1 if tiny else ROUNDS)


def _row(title: str, what: str, repetitions: int, rounds: int) -> Row:
    target = ">= 1,000"
    answers = [peer_process("benchmarks.speed_fallback", what, rounds) for _ in range(repetitions)]
    found = [answer for answer in answers if not isinstance(answer, Missing)]
    if len(found) < repetitions:
        return Row(title, "does not run", target=target, met=False, note=str(answers))
    rate = statistics.median(answer["runs"] / answer["cpu"] for answer in found)
    held = all(answer["held"] for answer in found)
    note = f"{found[0]['runs']} runs; " + ("all passed" if held else "SOME DID NOT PASS")
    return Row(title, f"{rate:,.0f} /s a core", target=target, met=held and rate >= 1000, note=note)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
