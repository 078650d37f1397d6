"""Background load in batches against one I/O after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime import SECOND
from harness.runtime.agenda import Agenda
from simulated_backends.background import _BATCH, BackgroundFigures, BackgroundLoad
from simulated_backends.fabric import Fabric, Link

MS = 1_000_000
FIGURES = BackgroundFigures(gap_ns=20_000, block_bytes=4096, service_ns=9_000, jitter_ns=20_000)


def one_by_one(until: int, changes: list[tuple[int, int]], seed: int) -> tuple[int, int, int]:
    """Count, sum and maximum of the latencies; `changes` are times and the bandwidth from then on."""
    random = np.random.Generator(np.random.PCG64(seed))
    at = link_free = disk_free = count = waiting = longest = 0
    while True:
        gaps = random.standard_exponential(_BATCH) * FIGURES.gap_ns
        jitters = random.integers(0, FIGURES.jitter_ns + 1, _BATCH)
        for gap, jitter in zip(gaps.tolist(), jitters.tolist(), strict=True):
            at += int(gap) + 1
            if at >= until:
                return count, waiting, longest
            # an I/O takes the bandwidth of the stretch in which it arrives
            bandwidth = next(value for change, value in reversed(changes) if change <= at)
            link_free = max(at, link_free) + 4096 * SECOND // bandwidth
            disk_free = max(link_free, disk_free) + FIGURES.service_ns + jitter
            count, waiting, longest = count + 1, waiting + disk_free - at, max(longest, disk_free - at)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(150, 2000)), max_size=6),
    st.lists(st.integers(1, 500), max_size=6),
    st.integers(0, 99),
)
def test_batches_add_up_to_single_ios(slower: list[tuple[int, int]], looks: list[int], seed: int) -> None:
    """However often somebody looks and the bandwidth changes, latencies are those of I/Os served one by one."""
    env = Agenda()
    fabric = Fabric(env)
    link = Link("port", 1000 * MS)
    load = BackgroundLoad(fabric, [link], FIGURES, seed)
    changes = {0: 1000 * MS}
    for at, capacity in slower:
        changes[at * MS] = capacity * MS
        env.alarm(at * MS, lambda c=capacity: fabric.set_capacity(link, c * MS))
    for at in (*looks, 500):
        env.alarm(at * MS, load.catch_up)
    while env.next_at() is not None:
        env.step()
    expected = one_by_one(500 * MS, sorted(changes.items()), seed)
    assert (load.arrived, load.waiting_ns, load.longest_ns) == expected
