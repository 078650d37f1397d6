"""Studies that cost nothing, and one that meets with accidents: what sweeps are tried on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.sweeps.conduct import conduct
from scenarios.sweeps.executor import Executor
from scenarios.sweeps.grid import Grid, RunSpec, parse_axis
from scenarios.sweeps.pool import ProcessPool
from scenarios.sweeps.work import Done, Failed, Work, run_batch

SWEEP = {"harness": "0", "scenario": "plain", "digest": "d", "grid": "g"}
ACCIDENTS = ("parent killed", "worker killed", "interrupted", "poison", "raises")


def grid(replications: int = 10) -> Grid:
    """Two axes, two variants."""
    axes = (parse_axis("link.bandwidth=1,10Gb"), parse_axis("volume.size=1,2GiB"))
    return Grid(axes, ("native", "fallback"), replications, first_seed=5)


def plain(spec: RunSpec) -> dict[str, Any]:
    """A row that depends on the run alone."""
    return {"run": spec.number, "variant": spec.variant, **dict(spec.values), "seed": spec.seed, "x": spec.seed / 3}


@dataclass(frozen=True)
class Accident:
    """As `plain`, but one run meets with an accident; `log` gets a line for each run that was run."""

    kind: str
    log: Path
    at: int = 17

    def __call__(self, spec: RunSpec) -> dict[str, Any]:
        """The row."""
        marker = self.log.with_suffix(".happened")
        if spec.number == self.at and (self.kind == "poison" or not marker.exists()):
            marker.touch()
            match self.kind:
                case "parent killed":
                    os.kill(os.getppid(), signal.SIGKILL)
                    signal.pause()  # until this process, too, is ended by its watch
                case "worker killed" | "poison":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "interrupted":
                    os.kill(os.getppid(), signal.SIGINT)
                    signal.pause()
                case "raises":
                    raise RuntimeError("no such volume")
        with self.log.open("a") as log:
            log.write(f"{spec.number}\n")
        return plain(spec)


class Here:
    """An executor in this process that gives its batches back last come, first served."""

    slots = 3

    def __init__(self, work: Work) -> None:
        self._work = work
        self._batches: list[tuple[int, ...]] = []

    @property
    def outstanding(self) -> int:
        """See `Executor`."""
        return len(self._batches)

    def submit(self, numbers: tuple[int, ...]) -> None:
        """See `Executor`."""
        self._batches.append(numbers)

    def next(self) -> Done | Failed:
        """See `Executor`."""
        return run_batch(self._work, self._batches.pop())

    def close(self) -> None:
        """See `Executor`."""


def pool(run_one: Any, jobs: int = 2, of: Grid | None = None) -> Callable[[], Executor]:
    """What makes a pool of processes for a study."""
    return lambda: ProcessPool(Work(run_one, of or grid()), jobs)


if __name__ == "__main__":  # a sweep in a process of its own, so that it can be killed: KIND DIRECTORY
    kind, where = sys.argv[1], Path(sys.argv[2])
    conduct(where, grid(), SWEEP, pool(Accident(kind, where.with_suffix(".log"))))
