"""Background I/O served one by one, first come, first served, with the draws of the load that does it in batches."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import numpy as np

from harness.runtime import SECOND
from simulated_backends.background import _BATCH, BackgroundFigures

Bandwidths = Sequence[tuple[int, int]]
"""Times (ns), the first of them 0, and the bandwidth from then on (bytes a second)."""


def sent_at(begin: int, block: int, bandwidths: Bandwidths, end: int) -> int | None:
    """When a block is sent that the link begins with at `begin`; None if not by `end`."""
    left = block * SECOND
    for (_, bandwidth), (until, _) in zip(bandwidths, [*bandwidths[1:], (end, 0)], strict=True):
        if until <= begin:
            continue
        if bandwidth and begin + left // bandwidth <= until:
            return begin + left // bandwidth
        left -= (until - begin) * bandwidth
        begin = until
    return None


def latencies(
    figures: BackgroundFigures, bandwidths: Bandwidths, marks: Sequence[int], end: int, seed: int
) -> list[list[int]]:
    """The latencies of those that arrive before each of the marks (times), and of those from the last to `end`.

    What the link has not sent by the end is over then.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    found: list[list[int]] = [[] for _ in range(len(marks) + 1)]
    at = disk_free = 0
    link_free: int | None = 0  # None: not before the end
    while True:
        gaps = random.standard_exponential(_BATCH) * figures.gap_ns
        jitters = random.integers(0, figures.jitter_ns + 1, _BATCH)
        for gap, jitter in zip(gaps.tolist(), jitters.tolist(), strict=True):
            at += int(gap) + 1
            if at >= end:
                return found
            if link_free is not None:
                link_free = sent_at(max(at, link_free), figures.block_bytes, bandwidths, end)
            latency = end - at
            if link_free is not None:
                disk_free = max(link_free, disk_free) + figures.service_ns + jitter
                latency = disk_free - at + figures.round_trip_ns
            found[bisect(marks, at)].append(latency)
