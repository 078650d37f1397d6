"""Background load: I/Os that arrive whatever happens, which nobody observes one by one, worked out in batches.

Arrivals are Poisson; each goes through the link and then the disk, first come, first served, one at a time (two
queues in a row). Between two control events, when bandwidths stand still, the waits follow from Lindley's recursion,
which NumPy does for thousands of I/Os at once, in integer nanoseconds, so that it does not matter where the batches are
cut. No event is scheduled: the load catches up when somebody asks, and before the fabric changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.runtime import SECOND
from simulated_backends.fabric import Fabric, Path

_BATCH = 1 << 14
"""So many I/Os are drawn and worked out at once."""

Nanoseconds = NDArray[np.int64]


@dataclass(frozen=True)
class BackgroundFigures:
    """A workload: mean gap between arrivals, bytes of an I/O, the disk's service time and the most jitter on top."""

    gap_ns: int
    block_bytes: int
    service_ns: int
    jitter_ns: int


class BackgroundLoad:
    """The load over one path from now on; `seed` decides the arrivals and the jitter.

    `arrived` counts the I/Os up to the last `catch_up`, `waiting_ns` sums their latencies (arrival to end of service),
    `longest_ns` is the largest.
    """

    def __init__(self, fabric: Fabric, path: Path, figures: BackgroundFigures, seed: int) -> None:
        self.arrived = 0
        self.waiting_ns = 0
        self.longest_ns = 0
        self._fabric = fabric
        self._path = tuple(path)
        self._figures = figures
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._last_ns = fabric.now()
        self._link_free_ns = self._disk_free_ns = 0
        self._arrivals: Nanoseconds = np.empty(0, np.int64)
        self._services: Nanoseconds = np.empty(0, np.int64)
        fabric.before_change(self.catch_up)

    def catch_up(self) -> None:
        """Work out the I/Os that arrived before now, at the bandwidth that stood until now."""
        now = self._fabric.now()
        link_ns = 0
        while True:
            if not len(self._arrivals):
                self._draw()
            count = int(np.searchsorted(self._arrivals, now))
            if not count:
                return
            if not link_ns:
                bandwidth = max(1, self._fabric.leftover(self._path))
                link_ns = max(1, self._figures.block_bytes * SECOND // bandwidth)
            self._serve(self._arrivals[:count], self._services[:count], link_ns)
            self._arrivals, self._services = self._arrivals[count:], self._services[count:]

    def _draw(self) -> None:
        gaps = self._random.standard_exponential(_BATCH) * self._figures.gap_ns
        self._arrivals = self._last_ns + np.cumsum(gaps.astype(np.int64) + 1)
        self._services = self._figures.service_ns + self._random.integers(0, self._figures.jitter_ns + 1, _BATCH)
        self._last_ns = int(self._arrivals[-1])

    def _serve(self, arrivals: Nanoseconds, services: Nanoseconds, link_ns: int) -> None:
        sent = _departures(arrivals, np.full(len(arrivals), link_ns, np.int64), self._link_free_ns)
        done = _departures(sent, services, self._disk_free_ns)
        self._link_free_ns, self._disk_free_ns = int(sent[-1]), int(done[-1])
        latencies = done - arrivals
        self.arrived += len(arrivals)
        self.waiting_ns += int(latencies.sum())
        self.longest_ns = max(self.longest_ns, int(latencies.max()))


def _departures(arrivals: Nanoseconds, services: Nanoseconds, free_ns: int) -> Nanoseconds:
    """When each leaves a server that takes one after the other and is free at `free_ns`; times in ns, same shapes."""
    through = np.cumsum(services)
    ready = np.maximum(arrivals, free_ns) - (through - services)
    return np.asarray(through + np.maximum.accumulate(ready), np.int64)
