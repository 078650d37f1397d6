"""What is done with a batch where it is run: the same in a process of the pool and in a worker of a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scenarios.sweeps.grid import Grid, RunSpec
from scenarios.sweeps.journal import Row

_one_at_a_time = threading.Lock()


class RunOne(Protocol):
    """Makes the row of one run. Pickles; the same run always gives the same row, wherever it is made."""

    def __call__(self, spec: RunSpec) -> Row:
        """The row of that run. What it raises ends the sweep."""


@dataclass(frozen=True)
class Work:
    """What all batches of a sweep have in common; sent to each process once."""

    run_one: RunOne
    grid: Grid


@dataclass(frozen=True)
class Done:
    """A finished batch: rows by the number of their runs, and the seconds of wall and processor time it took."""

    rows: tuple[tuple[int, Row], ...]
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Failed:
    """A batch in which a run failed: what was finished before, which run it was, and what went wrong in it."""

    rows: tuple[tuple[int, Row], ...]
    spec: RunSpec
    problem: str


def run_batch(work: Work, numbers: Sequence[int]) -> Done | Failed:
    """Make the rows of those runs.

    A worker of a cluster may have several threads; runs still go one after the other, as a processor has one core.
    """
    rows: list[tuple[int, Row]] = []
    with _one_at_a_time:
        began, began_cpu = time.perf_counter(), time.process_time()
        for number in numbers:
            spec = work.grid.run(number)
            try:
                rows.append((number, work.run_one(spec)))
            except Exception as error:
                return Failed(tuple(rows), spec, f"{type(error).__name__}: {error}")
        return Done(tuple(rows), time.perf_counter() - began, time.process_time() - began_cpu)
