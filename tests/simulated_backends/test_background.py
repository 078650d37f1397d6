"""Background load in batches against one I/O after the other."""

from __future__ import annotations

from bisect import bisect

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime import SECOND
from harness.runtime.agenda import Agenda
from simulated_backends.background import _BATCH, BackgroundFigures, BackgroundLoad, Tally
from simulated_backends.fabric import Fabric, Link

MS = 1_000_000
FIGURES = BackgroundFigures(gap_ns=20_000, block_bytes=4096, service_ns=9_000, jitter_ns=20_000, round_trip_ns=7_000)
END = 500 * MS


def sent_at(begin: int, changes: list[tuple[int, int]]) -> int | None:
    """When a block is sent that the link begins with at `begin`; `changes` are times and the bandwidth from then on."""
    left = 4096 * SECOND
    for (_, bandwidth), (until, _) in zip(changes, [*changes[1:], (END + 1, 0)], strict=True):
        if until <= begin or not bandwidth:
            begin = max(begin, until)
            continue
        if begin + left // bandwidth <= until:
            return begin + left // bandwidth
        left -= (until - begin) * bandwidth
        begin = until
    return None


def one_by_one(changes: list[tuple[int, int]], marks: list[int], seed: int) -> list[list[int]]:
    """The latencies of those that arrive before each mark, and of those after the last."""
    random = np.random.Generator(np.random.PCG64(seed))
    found: list[list[int]] = [[] for _ in range(len(marks) + 1)]
    at = disk_free = 0
    link_free: int | None = 0
    while True:
        gaps = random.standard_exponential(_BATCH) * FIGURES.gap_ns
        jitters = random.integers(0, FIGURES.jitter_ns + 1, _BATCH)
        for gap, jitter in zip(gaps.tolist(), jitters.tolist(), strict=True):
            at += int(gap) + 1
            if at >= END:
                return found
            link_free = None if link_free is None else sent_at(max(at, link_free), changes)
            if link_free is None or link_free > END:
                link_free, latency = None, END - at
            else:
                disk_free = max(link_free, disk_free) + FIGURES.service_ns + jitter
                latency = disk_free - at + FIGURES.round_trip_ns
            found[bisect(marks, at)].append(latency)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(150, 2000) | st.sampled_from([0, 1])), max_size=6),
    st.lists(st.integers(1, 500), max_size=6),
    st.lists(st.integers(1, 499), max_size=3, unique=True),
    st.integers(0, 99),
)
def test_batches_add_up_to_single_ios(
    slower: list[tuple[int, int]], looks: list[int], marks: list[int], seed: int
) -> None:
    """However often somebody looks and the bandwidth changes, latencies are those of I/Os served one by one, each
    counted in the tally of its arrival; a link that is down holds them up, and what is held at the end is over then."""
    env = Agenda()
    fabric = Fabric(env)
    link = Link("port", 1000 * MS)
    tallies = [Tally() for _ in range(len(marks) + 1)]
    load = BackgroundLoad(fabric, [link], FIGURES, seed, tallies[0])
    changes = {0: 1000 * MS}
    for at, capacity in slower:
        changes[at * MS] = capacity * MS
        env.alarm(at * MS, lambda c=capacity: fabric.set_capacity(link, c * MS))
    for number, at in enumerate(sorted(marks), 1):
        env.alarm(at * MS, lambda n=number: load.count_in(tallies[n]))
    for at in looks:
        env.alarm(at * MS, load.catch_up)
    env.alarm(END, load.stop)
    while env.next_at() is not None:
        env.step()
    expected = one_by_one(sorted(changes.items()), [at * MS for at in sorted(marks)], seed)
    assert [(t.ios, t.waiting_ns, t.longest_ns) for t in tallies] == [
        (len(latencies), sum(latencies), max(latencies, default=0)) for latencies in expected
    ]
    before = load.sent_bytes
    load.catch_up()
    assert load.sent_bytes == before
