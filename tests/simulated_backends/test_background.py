"""Background load in batches against one I/O after the other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime.agenda import Agenda
from simulated_backends.background import BackgroundFigures, BackgroundLoad, Tally
from simulated_backends.fabric import Fabric, Link
from tests.simulated_backends.first_come import latencies

MS = 1_000_000
FIGURES = BackgroundFigures(gap_ns=20_000, block_bytes=4096, service_ns=9_000, jitter_ns=20_000, round_trip_ns=7_000)
END = 500 * MS


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
    expected = latencies(FIGURES, sorted(changes.items()), [at * MS for at in sorted(marks)], END, seed)
    assert [(t.ios, t.waiting_ns, t.longest_ns) for t in tallies] == [
        (len(part), sum(part), max(part, default=0)) for part in expected
    ]
    before = load.sent_bytes
    load.catch_up()
    assert load.sent_bytes == before
