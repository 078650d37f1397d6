"""The grid native against fallback as a sweep of 1,000 runs: seconds on two cores, and how well the cores are used.

Parallel efficiency is the time that the same runs take one after the other in one process that is warm, divided by the
cores times the time of the whole sweep: starting processes, handing over, journal and Parquet file count against it.
Wall time is what a user waits for; on a machine that does something else as well, processor time tells more, so the
note has both.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Missing, Row, peer_process
from scenarios.reading import load_scenario
from scenarios.sweeps.grid import Grid, axes_from
from scenarios.sweeps.scenario_runs import ScenarioRuns, grid_of
from scenarios.sweeps.work import Done, Work, run_batch

CORES = 2
SCENARIO = "native-or-fallback"
VARY: dict[str, tuple[str, ...]] = {
    "link.bandwidth": ("1Gb", "2.5Gb", "10Gb", "25Gb", "100Gb"),
    "volume.size": ("1GiB", "4GiB", "16GiB", "64GiB"),
}
TINY: dict[str, tuple[str, ...]] = {"link.bandwidth": ("10Gb", "25Gb"), "volume.size": ("1GiB",)}
REPLICATIONS = 25
MOST_SECONDS = 60.0
LEAST_EFFICIENCY = 0.9


@dataclass(frozen=True)
class Spent:
    """Wall time and processor time, children included, in seconds."""

    wall: float
    cpu: float


def grid(tiny: bool) -> Grid:
    """The grid; the tiny one has 4 runs."""
    return grid_of(load_scenario(SCENARIO), axes_from(TINY if tiny else VARY), 1 if tiny else REPLICATIONS, 1)


def in_sequence(tiny: bool) -> Spent:
    """All runs one after the other in this process, after a few that warm it up."""
    found = grid(tiny)
    work = Work(ScenarioRuns(load_scenario(SCENARIO), found.axes), found)
    run_batch(work, range(4))
    began = _now()
    done = run_batch(work, range(len(found)))
    if not isinstance(done, Done):
        raise RuntimeError(done.problem)
    return _since(began)


def as_a_sweep(tiny: bool) -> Spent:
    """The whole sweep, from the scenario's file to the Parquet file."""
    from scenarios.sweeps.sweep import write_sweep  # what this module imports, each worker imports as its main module

    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        began = _now()
        write_sweep(
            load_scenario(SCENARIO), TINY if tiny else VARY, Path(folder), 1 if tiny else REPLICATIONS, 1, jobs=CORES
        )
        return _since(began)


def _now() -> Spent:
    cpu = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        cpu += used.ru_utime + used.ru_stime
    return Spent(time.perf_counter(), cpu)


def _since(began: Spent) -> Spent:
    now = _now()
    return Spent(now.wall - began.wall, now.cpu - began.cpu)


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table; each measurement in a process of its own, the two kinds in turns."""
    pairs = []
    for _ in range(runs):
        answers = [peer_process("benchmarks.speed_sweeps", kind, "tiny" if tiny else "whole") for kind in KINDS]
        for answer in answers:
            if isinstance(answer, Missing):
                yield Row("a sweep, native against fallback", "does not run", met=False, note=answer.reason)
                return
        pairs.append([Spent(**answer) for answer in answers if not isinstance(answer, Missing)])
    count = len(grid(tiny))
    wall = statistics.median(swept.wall for _, swept in pairs)
    cpu = statistics.median(swept.cpu for _, swept in pairs)
    note = f"{cpu:.1f} s of processor time, which two idle cores have in {cpu / CORES:.1f} s"
    yield Row(f"sweep of {count:,} runs, native against fallback", f"{wall:.1f} s", target=f"< {MOST_SECONDS:.0f} s",
              met=wall < MOST_SECONDS, note=note)  # fmt: skip
    efficiency = statistics.median(alone.wall / (CORES * swept.wall) for alone, swept in pairs)
    by_cpu = statistics.median(alone.cpu / swept.cpu for alone, swept in pairs)
    alone_wall = statistics.median(alone.wall for alone, _ in pairs)
    yield Row(f"parallel efficiency on {CORES} cores", f"{wall:.1f} s", f"{alone_wall:.1f} s", f"{efficiency:.0%}",
              f">= {LEAST_EFFICIENCY:.0%}", efficiency >= LEAST_EFFICIENCY,
              f"by processor time {by_cpu:.0%}: what the runs alone take, of what the sweep takes")  # fmt: skip


KINDS = {"sequence": in_sequence, "sweep": as_a_sweep}

if __name__ == "__main__":
    spent = KINDS[sys.argv[1]](sys.argv[2] == "tiny")
    print(json.dumps({"wall": spent.wall, "cpu": spent.cpu}))
