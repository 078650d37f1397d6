"""Fault schedules: what 5,000 of them take with two workers.

`python -m benchmarks.speed_schedules BATCHES` is the part that runs in a process of its own, as in a cell.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.measure import ROOT, Row
from conformance.session import ExitCode

TARGET_S = 10.0
WORKERS = 2
A_BATCH = 50


def batches(count: int) -> float:
    """Run so many batches of drawn schedules of the reference driver on iscsi-sim in this process.

    Returns the seconds of processor time that one schedule takes, an uncounted batch having gone before. Raises
    RuntimeError where a check fails.
    """
    from harness.runtime import patches

    patches.install(True)
    from conformance.runner import run_check
    from harness.loading import CandidateSpec

    spec = CandidateSpec.for_driver("reference").to_dict()
    began = 0.0
    for number in range(count + 1):
        if number == 1:
            began = time.process_time()
        result = run_check(
            module="conformance.test_schedules",
            function="test_drawn_schedules",
            parameters={"batch": f"batch {number}"},
            candidate=spec,
            testbed="iscsi-sim",
            seed=1,
        )
        if result["outcome"] != "passed":
            raise RuntimeError(result["message"])
    return (time.process_time() - began) / (count * A_BATCH)


def around() -> float:
    """Seconds of processor time that pytest, its workers and the report take around the smallest run.

    As where the harness has been used before: Python finds the bytecode of the modules that it imports.
    """
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{directory}/bytecode"}
        check = str(ROOT / "conformance" / "test_schedules.py") + "::test_drawn_schedules"
        options = ["-q", "-n", str(WORKERS), "--driver", "reference", "--testbed", "iscsi-sim", "--report", directory]
        command = [sys.executable, "-m", "pytest", check, *options, "--schedules", str(A_BATCH)]
        for _ in range(2):  # the first of them leaves the bytecode
            before = os.times()
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
            after = os.times()
    if ended.returncode != ExitCode.INCOMPLETE:  # what one check alone always is
        raise RuntimeError(f"{' '.join(command)} ended with status {ended.returncode}: {ended.stdout[-2000:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    schedules, count = 5000, 1 if tiny else 10
    command = [sys.executable, "-m", "benchmarks.speed_schedules", str(count)]
    found = []
    for _ in range(1 if tiny else runs):
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found.append(float(ended.stdout))
    each_s = sorted(found)[len(found) // 2]
    around_s = around()
    whole_s = (schedules * each_s + around_s) / WORKERS
    yield Row(
        f"{schedules:,} fault schedules, one driver on one testbed, -n {WORKERS}",
        f"{whole_s:.1f} s",
        target=f"<= {TARGET_S:g} s",
        met=whole_s <= TARGET_S,
        note=f"processor time over {WORKERS} cores: {each_s * 1e3:.2f} ms a schedule, {around_s:.1f} s around them",
    )


if __name__ == "__main__":
    print(batches(int(sys.argv[1])))
