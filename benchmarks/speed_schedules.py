"""Fault schedules: what 5,000 of them take with two workers, the whole run as a user starts it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.measure import ROOT, Row
from conformance.session import ExitCode

TARGET_S = 10.0
WORKERS = 2


def run(schedules: int, bytecode: str) -> tuple[float, float]:
    """Run so many drawn schedules of the reference driver on iscsi-sim; returns seconds of wall and processor time.

    `bytecode` is where Python finds the bytecode of what it imports, as it does where the harness has been used before.
    Raises RuntimeError where the run does not end as it has to.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    check = str(ROOT / "conformance" / "test_schedules.py") + "::test_drawn_schedules"
    with tempfile.TemporaryDirectory() as report:
        options = ["-q", "-n", str(WORKERS), "--driver", "reference", "--testbed", "iscsi-sim", "--report", report]
        command = [sys.executable, "-m", "pytest", check, *options, "--schedules", str(schedules)]
        before, began = os.times(), time.perf_counter()
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
        wall_s, after = time.perf_counter() - began, os.times()
    if ended.returncode != ExitCode.INCOMPLETE:  # what one check alone always is
        raise RuntimeError(f"{' '.join(command)} ended with status {ended.returncode}: {ended.stdout[-2000:]}")
    return wall_s, after.children_user + after.children_system - before.children_user - before.children_system


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    schedules = 100 if tiny else 5000
    with tempfile.TemporaryDirectory() as bytecode:
        run(100, bytecode)  # leaves the bytecode
        found = [run(schedules, bytecode) for _ in range(1 if tiny else runs)]
    wall_s, processor_s = (statistics.median(times) for times in zip(*found, strict=True))
    yield Row(
        f"{schedules:,} fault schedules, one driver on one testbed, -n {WORKERS}",
        f"{wall_s:.1f} s",
        target=f"<= {TARGET_S:g} s",
        met=wall_s <= TARGET_S,
        note=f"wall time of the whole run; {processor_s:.1f} s of processor time",
    )
