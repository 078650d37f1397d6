"""Single reads and writes over ports that a fault leaves next to nothing of their capacity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import SPREAD, TESTBEDS, World

from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import BLOCK
from harness.testbed import LoadSpec

MS = SECOND // 1000

WHOSE: dict[str, dict[str, str]] = {"backend": {"backend": "primary"}, "host": {"caller": "host-a"}}
"""Whose port is slow."""


def slow(fraction: float, for_ns: int = SECOND, whose: str = "backend") -> Fault:
    """A port that has only that share of its capacity from now on."""
    return Fault("link.slow", fraction=fraction, for_ns=for_ns, **WHOSE[whose])


@settings(deadline=None, max_examples=60)
@example("iscsi-sim", True, "backend", False, -9, 0, 1)
@example("nfs-sim", False, "host", True, -6, 200 * MS, 32)
@given(
    testbed=st.sampled_from(sorted(TESTBEDS)),
    writes=st.booleans(),
    whose=st.sampled_from(sorted(WHOSE)),
    queue=st.booleans(),
    power=st.integers(-12, -1),
    after_ns=st.integers(0, 2 * SECOND),
    count=st.integers(1, 2000),
)
def test_an_io_is_over_soon_after_the_slow_port_is(
    testbed: str, writes: bool, whose: str, queue: bool, power: int, after_ns: int, count: int
) -> None:
    """However slow a port was, and since when, an I/O takes no more than its rest at the full bandwidth after that,
    and never less than with healthy ports.
    """
    world = World(testbed, service_jitter_ns=0, disk_queue=queue)

    def body() -> None:
        attachment = world.volume()

        def io_ns() -> int:
            began_ns = world.runtime.now()
            if writes:
                attachment.write(0, world.recorder.draw_stamps(count), count)
            else:
                attachment.look(0, count * BLOCK)
            return world.runtime.now() - began_ns

        alone_ns = io_ns()
        ends_ns = world.runtime.now() + SECOND
        world.testbed.inject(slow(10.0**power, SECOND, whose))
        world.runtime.sleep(after_ns)
        took_ns = io_ns()
        assert alone_ns - MS <= took_ns <= max(0, ends_ns - world.runtime.now() + took_ns) + 2 * alone_ns + 10 * MS

    world.run(body)


def test_bytes_that_crawl_take_what_the_port_gives(world: World) -> None:
    """While the port is slow, a write takes about as long as its bytes do at what the port has left."""

    def body() -> int:
        attachment = world.volume()
        world.testbed.inject(slow(1e-5, 100 * SECOND))
        began_ns = world.runtime.now()
        attachment.write(0, world.recorder.next_stamp())
        return world.runtime.now() - began_ns

    capacity = world.store.figures.link_bytes_per_s / 1e5
    assert world.run(body) == pytest.approx(BLOCK * SECOND / capacity, rel=0.01)


@pytest.mark.parametrize("think_ns", [0, MS])
@pytest.mark.parametrize("fraction", [1e-12, 1e-6, 1e-4])
def test_a_load_goes_on_when_the_port_does(world: World, fraction: float, think_ns: int) -> None:
    """A workload's streams and writes in turn are as fast as before as soon as a slow port is whole again."""

    def body() -> list[int]:
        attachment = world.volume()
        load = attachment.load(LoadSpec(SPREAD, streams=2, think_ns=think_ns))
        counts = []
        for number in range(4):
            began = len(world.recorder.writes("volume"))
            if number == 1:
                world.testbed.inject(slow(fraction))
            world.runtime.sleep(SECOND)
            counts.append(len(world.recorder.writes("volume")) - began)
        load.stop()
        return counts

    before, during, after, later = world.run(body)
    assert during < before / 10
    assert later == pytest.approx(before, rel=0.05)
    assert after == pytest.approx(before, rel=0.05)


def test_writes_in_turn_go_on_when_the_port_does(world: World) -> None:
    """Writes that are given at once wait for a slow port as one that is given alone does."""

    def body() -> int:
        attachment = world.volume()
        world.testbed.inject(slow(1e-9))
        began_ns = world.runtime.now()
        attachment.write_each(SPREAD)
        return world.runtime.now() - began_ns

    assert SECOND < world.run(body) < SECOND + 100 * MS


@pytest.mark.parametrize("what", ["write", "read"])
@pytest.mark.parametrize("queue", [True, False])
def test_bytes_that_crawl_are_sent_again_on_the_next_session(
    make_world: Callable[..., World], queue: bool, what: str
) -> None:
    """An I/O whose session is lost while its bytes crawl is sent anew, and is over soon after the port is whole."""
    world = make_world(disk_queue=queue)

    def body() -> None:
        attachment = world.volume()
        io = partial(attachment.write, 0, world.recorder.next_stamp())
        if what == "read":
            io = partial(attachment.look, 0, BLOCK)
        world.testbed.inject(slow(1e-9, 10 * SECOND))
        task = world.runtime.spawn(what, io)
        world.runtime.sleep(SECOND)
        world.testbed.inject(Fault("connection.reset", volume="volume"))
        world.runtime.sleep(8 * SECOND)
        assert not list(world.store.image("volume"))
        assert len(list(world.testbed._fabric.flows())) == 1
        began_ns = world.runtime.now()
        task.wait()
        assert SECOND - MS < world.runtime.now() - began_ns < SECOND + 10 * MS
        assert not list(world.testbed._fabric.flows())

    world.run(body)


def test_a_caller_that_crashes_leaves_no_bytes_on_the_way(world: World) -> None:
    """Of a write whose task is abandoned nothing crawls on."""

    def body() -> None:
        attachment = world.volume()
        world.testbed.inject(slow(1e-9, 10 * SECOND))
        task = world.runtime.spawn("write", lambda: attachment.write(0, world.recorder.next_stamp()))
        world.runtime.sleep(SECOND)
        task.abandon()
        world.runtime.sleep(1)
        assert not list(world.testbed._fabric.flows())
        attachment.detach()

    world.run(body)
