"""Flows over shared links: fair rates, exact ends, nothing lost."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime import SECOND
from harness.runtime.agenda import Agenda
from simulated_backends.fabric import Fabric, Flow, Link

MEGA = 1_000_000


def run(env: Agenda, until: int | None = None) -> None:
    """Process events up to and with time `until` (ns), or all."""
    while (at := env.next_at()) is not None and (until is None or at <= until):
        env.step()
    if until is not None and env.now < until:
        env.alarm(until - int(env.now), lambda: None)
        env.step()


def fair_rates(paths: list[tuple[int, ...]], capacities: list[int]) -> list[Fraction]:
    """Max-min fair rates by definition: raise all rates together, freezing the flows of each link that fills."""
    rates = [Fraction(0)] * len(paths)
    rising = set(range(len(paths)))
    while rising:
        room = []
        for link, capacity in enumerate(capacities):
            users = [i for i, path in enumerate(paths) if link in path]
            movers = [i for i in users if i in rising]
            if movers:
                used = sum((rates[i] for i in users), Fraction(0))
                room.append(((capacity - used) / len(movers), link))
        step = min(room)[0]
        for i in rising:
            rates[i] += step
        full = {link for left, link in room if left == step}
        rising = {i for i in rising if not full & set(paths[i])}
    return rates


@st.composite
def topologies(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, ...]]]:
    """Capacities of up to five links and the paths of up to twelve flows."""
    capacities = draw(st.lists(st.integers(1, 1000), min_size=1, max_size=5))
    links = st.lists(st.sampled_from(range(len(capacities))), min_size=1, max_size=4, unique=True)
    return [c * MEGA for c in capacities], draw(st.lists(links.map(tuple), min_size=1, max_size=12))


@settings(deadline=None)
@given(topologies())
def test_rates_are_max_min_fair(topology: tuple[list[int], list[tuple[int, ...]]]) -> None:
    """Every flow has the rate that progressive filling in exact fractions gives it, to within rounding."""
    capacities, paths = topology
    env = Agenda()
    fabric = Fabric(env)
    links = [Link(f"link {n}", capacity) for n, capacity in enumerate(capacities)]
    flows = [fabric.start([links[i] for i in path], 10**15, lambda: None) for path in paths]
    run(env, 1)
    for flow, expected in zip(flows, fair_rates(paths, capacities), strict=True):
        assert abs(flow.rate() - expected) <= 20 * len(paths)


@settings(deadline=None)
@given(
    topologies(),
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(0, 500 * MEGA)), min_size=12, max_size=12),
    st.lists(
        st.tuples(st.integers(0, 5 * SECOND), st.sampled_from(["cancel", "capacity"]), st.integers(0, 99)), max_size=6
    ),
)
def test_bytes_are_conserved(
    topology: tuple[list[int], list[tuple[int, ...]]],
    starts: list[tuple[int, int]],
    changes: list[tuple[int, str, int]],
) -> None:
    """No link moves more than its capacity allows, every flow that is left alone ends with all of its bytes."""
    capacities, paths = topology
    env = Agenda()
    fabric = Fabric(env)
    links = [Link(f"link {n}", capacity) for n, capacity in enumerate(capacities)]
    flows: list[Flow] = []
    ended: list[int] = []
    cancelled: list[Flow] = []

    def begin(path: tuple[int, ...], size: int) -> None:
        number = len(flows)
        flows.append(fabric.start([links[i] for i in path], size, lambda: ended.append(number)))

    def change(kind: str, which: int) -> None:
        if kind == "cancel" and flows and not flows[which % len(flows)].is_over:
            cancelled.append(flows[which % len(flows)])
            cancelled[-1].cancel()
        elif kind == "capacity":
            fabric.set_capacity(links[which % len(links)], max(MEGA, links[which % len(links)].capacity // 2))

    for path, (at, size) in zip(paths, starts, strict=False):
        env.alarm(at, lambda p=path, s=size: begin(p, s))
    for at, kind, which in changes:
        env.alarm(at, lambda k=kind, w=which: change(k, w))
    run(env)
    assert sorted(ended) == [n for n, flow in enumerate(flows) if flow not in cancelled]
    assert all(flow.moved() == flow.size for flow in flows if flow not in cancelled)
    assert all(0 <= flow.moved() <= flow.size for flow in cancelled)
    for number, link in enumerate(links):
        through = sum(flow.moved() for flow in flows if link in flow.path)
        assert through <= capacities[number] * int(env.now) // SECOND + len(flows)
        assert (link.used, link.flows) == (0, 0)


def test_end_is_rounded_up_to_the_next_nanosecond() -> None:
    """A flow ends at the first whole nanosecond at which all of its bytes have moved."""
    env = Agenda()
    ends: list[int] = []
    Fabric(env).start([Link("disk", 3)], 1, lambda: ends.append(int(env.now)))
    run(env)
    assert ends == [333_333_334]


def test_flows_speed_up_when_another_ends() -> None:
    """Two flows share a link evenly; the longer one gets all of it once the shorter one has ended."""
    env = Agenda()
    fabric = Fabric(env)
    disk = Link("disk", 100)
    ends: list[tuple[str, int]] = []
    fabric.start([disk], 100, lambda: ends.append(("short", int(env.now))))
    fabric.start([disk], 300, lambda: ends.append(("long", int(env.now))))
    run(env)
    assert ends == [("short", 2 * SECOND), ("long", 4 * SECOND)]


def test_a_link_without_capacity_stalls_its_flows() -> None:
    """A flow stands still while a link of its path is down, and goes on where it was."""
    env = Agenda()
    fabric = Fabric(env)
    disk = Link("disk", 100)
    ends: list[int] = []
    flow = fabric.start([disk], 200, lambda: ends.append(int(env.now)))
    env.alarm(SECOND, lambda: fabric.set_capacity(disk, 0))
    run(env, 5 * SECOND)
    assert (flow.moved(), ends) == (100, [])
    fabric.set_capacity(disk, 50)
    run(env)
    assert ends == [7 * SECOND]


def test_flows_that_end_together_end_in_the_order_of_their_start() -> None:
    """Ends at one instant are reported by the order of the starts, whatever the paths."""
    env = Agenda()
    fabric = Fabric(env)
    links = [Link(f"disk {n}", 100) for n in range(4)]
    ends: list[int] = []
    for number in range(12):
        fabric.start([links[number % 4]], 100, lambda n=number: ends.append(n))
    run(env)
    assert ends == list(range(12))


def test_wake_ups_do_not_pile_up() -> None:
    """A long flow leaves one wake-up, however many short ones come and go beside it."""
    env = Agenda()
    fabric = Fabric(env)
    disk = Link("disk", 1_000_000)
    fabric.start([disk], 10**12, lambda: None)
    for number in range(1000):
        env.alarm(number * 1_000_000, lambda: fabric.start([disk], 100, lambda: None))
    run(env, 2 * SECOND)
    assert len(env._queue) < 200


def test_a_reader_whose_flows_follow_each_other_takes_what_one_flow_takes() -> None:
    """Flows that begin at the instant at which the one before them ends keep its place, and leave all rates."""

    def story(strides: int) -> tuple[list[tuple[str, int]], list[str]]:
        env = Agenda()
        fabric = Fabric(env)
        disk, port = Link("disk", 100), Link("port", 1000)
        ends: list[tuple[str, int]] = []
        order: list[str] = []

        def read(left: int) -> None:
            if not left:
                ends.append(("read", int(env.now)))
                return

            def ended() -> None:
                env.alarm(0, lambda: read(left - 1))

            fabric.start([disk], 1200 // strides, ended)

        read(strides)
        fabric.start([disk, port], 1500, lambda: ends.append(("other", int(env.now))))
        env.alarm(
            5 * SECOND, lambda: order.extend("read" if len(flow.path) == 1 else "other" for flow in fabric.flows())
        )
        run(env)
        return ends, order

    assert story(1) == story(12) == ([("read", 24 * SECOND), ("other", 27 * SECOND)], ["read", "other"])


def test_foreground_gets_what_is_left_or_a_fair_share() -> None:
    """Foreground I/O gets an idle link whole, and beside flows what they leave but not less than an even share."""
    env = Agenda()
    fabric = Fabric(env)
    disk, port = Link("disk", 900), Link("port", 600)
    assert fabric.leftover([disk, port]) == 600
    fabric.start([disk], 10**9, lambda: None)
    assert fabric.leftover([disk, port]) == 450
    fabric.start([disk, port], 10**9, lambda: None)
    assert fabric.leftover([port]) == 300


@pytest.mark.parametrize(("path", "size"), [([], 1), (["disk", "disk"], 1), (["disk"], -1)])
def test_impossible_flows_are_refused(path: list[str], size: int) -> None:
    """A flow needs a path without repeats and a size that is not negative."""
    disk = Link("disk", 1)
    with pytest.raises(ValueError, match=r"path|bytes"):
        Fabric(Agenda()).start([disk for _ in path], size, lambda: None)
