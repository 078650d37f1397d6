"""Measuring and printing: CPU time, ours and a peer's in turns, medians of several repetitions."""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where there is nothing to meet, or no peer to compare with."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A peer that can't be run here, and why."""

    reason: str


def cpu(call: Callable[[], T]) -> tuple[float, T]:
    """Seconds of CPU time of this process that a call takes, and its value."""
    gc.collect()
    started = time.process_time()
    value = call()
    return time.process_time() - started, value


def in_turns(runs: int, ours: Callable[[], float], peer: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of `runs` measurements each, taken in turns, and the median of the ratios peer / ours."""
    pairs = [(ours(), peer()) for _ in range(runs)]
    ratios = (there / here for here, there in pairs)
    return (
        statistics.median(here for here, _ in pairs),
        statistics.median(there for _, there in pairs),
        statistics.median(ratios),
    )


def peer_process(module: str, *arguments: object) -> dict[str, Any] | Missing:
    """What a peer's module prints as JSON when run in a process of its own; `Missing` where it isn't installed."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    # SimGrid's module looks for its library beside itself only if told so
    libraries = os.pathsep.join(filter(None, [sysconfig.get_path("platlib"), os.environ.get("LD_LIBRARY_PATH", "")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if run.returncode:
        return Missing((run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1])
    return dict(json.loads(run.stdout.splitlines()[-1]))


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows under each other, with their notes."""
    for row in rows:
        verdict = {True: "met", False: "NOT MET", None: "-"}[row.met]
        print(f"{row.what:58} {row.ours:>18} {row.peer:>18} {row.ratio:>10} {row.target:>16}  {verdict}", flush=True)
        if row.note:
            print(f"    {row.note}", flush=True)


def print_head() -> None:
    """Print the head of the table."""
    print(f"{'what':58} {'ours':>18} {'peer':>18} {'ratio':>10} {'target':>16}  met")
