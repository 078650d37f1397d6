"""The fabric works out only what a change can reach, the plain fabric everything; they agree exactly."""

from __future__ import annotations

from typing import Any

import plain_fabric
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime import SECOND
from harness.runtime.agenda import Agenda
from simulated_backends import fabric

LINKS = 7
Step = tuple[int, str, int, int]
"""When (ns), what, which, how much."""

steps = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda n: n * SECOND // 4),
        st.sampled_from(["start", "start", "start", "read", "cancel", "capacity"]),
        st.integers(0, 999),
        st.integers(0, 60),
    ),
    max_size=40,
)
paths = st.lists(
    st.lists(st.sampled_from(range(LINKS)), min_size=1, max_size=4, unique=True).map(tuple), min_size=1, max_size=9
)
# few bytes a second, so that rounding and ties between links decide much
capacities = st.lists(st.integers(0, 40), min_size=LINKS, max_size=LINKS)


def story(module: Any, capacities: list[int], paths: list[tuple[int, ...]], steps: list[Step]) -> list[Any]:
    """All that can be seen of a run over either fabric, down to the order of ends."""
    env = Agenda()
    made = module.Fabric(env)
    links = [module.Link(f"link {n}", capacity) for n, capacity in enumerate(capacities)]
    flows: list[Any] = []
    seen: list[Any] = []

    def look() -> None:
        seen.append((env.now, [flow.moved() for flow in flows], [flow.rate() for flow in flows]))
        seen.append([made.leftover([link]) for link in links])
        seen.append([(link.flows, link.used) if link.flows else None for link in links])
        seen.append([flow.number for flow in made.flows()])

    def read(path: list[Any], amount: int, strides: int) -> None:
        number = len(flows)

        def ended() -> None:
            seen.append(("end", env.now, number))
            if strides > 1:  # a reader goes on at the same instant, but not in the call that tells it
                env.alarm(0, lambda: read(path, amount, strides - 1))

        flows.append(made.start(path, amount, ended))

    def act(what: str, which: int, amount: int) -> None:
        if what in ("start", "read"):
            read([links[n] for n in paths[which % len(paths)]], amount, 4 if what == "read" else 1)
        elif what == "cancel" and flows:
            flows[which % len(flows)].cancel()
        elif what == "capacity":
            made.set_capacity(links[which % LINKS], amount)

    for at, what, which, amount in steps:
        env.alarm(at, lambda w=what, n=which, a=amount: act(w, n, a))
        env.alarm(at + 1, look)
    while env.next_at() is not None:
        env.step()
    look()
    return seen


@settings(deadline=None, max_examples=300)
@given(capacities, paths, steps)
def test_it_agrees_with_the_plain_fabric(
    capacities: list[int], paths: list[tuple[int, ...]], steps: list[Step]
) -> None:
    """Rates, bytes, leftovers, ends and their order are those of a fabric that works out everything at every change."""
    assert story(fabric, capacities, paths, steps) == story(plain_fabric, capacities, paths, steps)
