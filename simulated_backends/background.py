"""Background load: I/Os that arrive whatever happens, which nobody observes one by one, worked out in batches.

Arrivals are Poisson; each goes through the link and then the disk, first come, first served, one at a time (two
queues in a row). Between two control events, when bandwidths stand still, the waits follow from Lindley's recursion,
which NumPy does for thousands of I/Os at once, in integer nanoseconds, so that it does not matter where the batches are
cut. An I/O that is on the link when its bandwidth changes has its rest sent at the new one; a link that is down sends
nothing. No event is scheduled: the load catches up when somebody asks, and before the fabric changes.
"""

from __future__ import annotations

from collections import deque
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
    """A workload: mean gap between arrivals, bytes of an I/O, the disk's service time and the most jitter on top.

    `round_trip_ns` is what an I/O takes beside the two queues.
    """

    gap_ns: int
    block_bytes: int
    service_ns: int
    jitter_ns: int
    round_trip_ns: int = 0


@dataclass
class Tally:
    """I/Os that were counted: how many, and the sum and the largest of their latencies (arrival to answer)."""

    ios: int = 0
    waiting_ns: int = 0
    longest_ns: int = 0

    def add(self, latencies: Nanoseconds) -> None:
        """Count I/Os, at least one, with these latencies."""
        self.ios += len(latencies)
        self.waiting_ns += int(latencies.sum())
        self.longest_ns = max(self.longest_ns, int(latencies.max()))


class BackgroundLoad:
    """The load over one path from now on, until it is stopped; `seed` decides the arrivals and the jitter.

    An I/O is counted, in the tally of the time when it arrived, once the link has sent it, up to the last `catch_up`.
    `sent_bytes` is what the link has sent.
    """

    def __init__(self, fabric: Fabric, path: Path, figures: BackgroundFigures, seed: int, tally: Tally) -> None:
        self.path = tuple(path)
        self.sent_bytes = 0
        self._fabric = fabric
        self._figures = figures
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._stopped = False
        self._caught_ns = self._last_ns = fabric.now()
        self._tallies = deque([(self._last_ns, tally)])  # from when on each counts those that arrive
        self._link_free_ns = self._disk_free_ns = 0
        # an I/O, and what the first in line has left to be sent, as a bandwidth times nanoseconds
        self._whole = self._left = figures.block_bytes * SECOND
        self._arrivals: Nanoseconds = np.empty(0, np.int64)
        self._services: Nanoseconds = np.empty(0, np.int64)
        fabric.before_change(self.catch_up)

    def count_in(self, tally: Tally) -> None:
        """Count the I/Os that arrive from now on in this tally."""
        now = self._fabric.now()
        if self._tallies[-1][0] == now:
            self._tallies.pop()
        self._tallies.append((now, tally))

    def catch_up(self) -> None:
        """Work out the I/Os that were sent before now, at the bandwidth that stood since the last time."""
        now, since = self._fabric.now(), self._caught_ns
        self._caught_ns = now
        if self._stopped or now == since:
            return
        bandwidth = self._fabric.leftover(self.path)
        if not bandwidth:
            return
        self._link_free_ns = max(self._link_free_ns, since)
        while self._send(bandwidth, now):
            pass

    def stop(self) -> None:
        """Catch up for the last time. I/Os that the link has not sent are answered now, as far as the count goes."""
        self.catch_up()
        self._stopped = True
        now = self._fabric.now()
        while count := self._arrived(now):
            self._count(self._arrivals[:count], now - self._arrivals[:count])
            self._drop(count)

    def _send(self, bandwidth: int, now: int) -> bool:
        """Send what can be sent up to now of those that are drawn; returns whether there may be more."""
        count = self._arrived(now)
        if not count:
            return False
        link_ns = max(1, self._whole // bandwidth)
        begin_ns = max(int(self._arrivals[0]), self._link_free_ns)
        arrivals = self._arrivals[: min(count, (now - begin_ns) // link_ns + 2)]  # no more get to the link's end
        links = np.full(len(arrivals), link_ns, np.int64)
        links[0] = max(1, self._left // bandwidth)
        sent = _departures(arrivals, links, self._link_free_ns)
        over = int(np.searchsorted(sent, now, side="right"))
        if over:
            self._serve(arrivals[:over], sent[:over], self._services[:over])
        if over == len(arrivals):
            self._drop(over)
            return True
        begin_ns = max(int(arrivals[over]), self._link_free_ns)
        self._drop(over)
        self._left -= (now - begin_ns) * bandwidth
        return False

    def _serve(self, arrivals: Nanoseconds, sent: Nanoseconds, services: Nanoseconds) -> None:
        done = _departures(sent, services, self._disk_free_ns)
        self._link_free_ns, self._disk_free_ns = int(sent[-1]), int(done[-1])
        self._left = self._whole
        self.sent_bytes += len(sent) * self._figures.block_bytes
        self._count(arrivals, done - arrivals + self._figures.round_trip_ns)

    def _count(self, arrivals: Nanoseconds, latencies: Nanoseconds) -> None:
        tallies = self._tallies
        while len(arrivals):
            until = len(arrivals) if len(tallies) == 1 else int(np.searchsorted(arrivals, tallies[1][0]))
            if until:
                tallies[0][1].add(latencies[:until])
                arrivals, latencies = arrivals[until:], latencies[until:]
            if len(arrivals):
                tallies.popleft()

    def _arrived(self, now: int) -> int:
        """How many of those that are drawn have arrived before now."""
        if not len(self._arrivals):
            self._draw()
        return int(np.searchsorted(self._arrivals, now))

    def _draw(self) -> None:
        gaps = self._random.standard_exponential(_BATCH) * self._figures.gap_ns
        self._arrivals = self._last_ns + np.cumsum(gaps.astype(np.int64) + 1)
        self._services = self._figures.service_ns + self._random.integers(0, self._figures.jitter_ns + 1, _BATCH)
        self._last_ns = int(self._arrivals[-1])

    def _drop(self, count: int) -> None:
        self._arrivals, self._services = self._arrivals[count:], self._services[count:]


def _departures(arrivals: Nanoseconds, services: Nanoseconds, free_ns: int) -> Nanoseconds:
    """When each leaves a server that takes one after the other and is free at `free_ns`; times in ns, same shapes."""
    through = np.cumsum(services)
    ready = np.maximum(arrivals, free_ns) - (through - services)
    return np.asarray(through + np.maximum.accumulate(ready), np.int64)
