"""Single reads and writes of hosts at a disk with a queue: first come, first served; without one nothing waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.runtime import SECOND, Abandoned
from harness.schedule import Fault
from harness.storage import BLOCK
from harness.testbed import LoadSpec
from simulated_backends.attachment import SimulatedAttachment

MS = 1_000_000

Io = tuple[int, str, bool, int]
"""The time since the one before was sent (ns), the host that sends it, whether it writes, and how many blocks."""

ios = st.lists(
    st.tuples(st.integers(0, 400_000), st.sampled_from(["host-a", "host-b"]), st.booleans(), st.integers(1, 32)),
    min_size=1,
    max_size=25,
)


def queueing(name: str = "iscsi-sim", **options: Any) -> World:
    """A testbed whose disks have a queue and serve without jitter."""
    return World(name, disk_queue=True, service_jitter_ns=0, **options)


def two_hosts(world: World) -> dict[str, SimulatedAttachment]:
    """Each host's attachment, to a volume of its own."""
    world.store.create_volume("volume of host-b", 1)
    return {"host-a": world.volume(), "host-b": world.primary.attach("volume of host-b", "host-b")}


def latencies(world: World, requests: list[Io]) -> list[int]:
    """How long each took from issue to answer (ns); every one at blocks of its own."""
    took: dict[int, int] = {}

    def body() -> None:
        attachments = two_hosts(world)

        def request(number: int, host: str, writes: bool, count: int) -> None:
            began_ns, block = world.runtime.now(), 32 * number
            if writes:
                attachments[host].write(block, world.recorder.draw_stamps(count), count)
            else:
                attachments[host].look(block * BLOCK, count * BLOCK)
            took[number] = world.runtime.now() - began_ns

        tasks = []
        for number, (gap_ns, *io) in enumerate(requests):
            if gap_ns:
                world.runtime.sleep(gap_ns)
            tasks.append(world.runtime.spawn(f"I/O {number}", partial(request, number, *io)))
        for task in tasks:
            task.wait()

    world.run(body)
    return [took[number] for number in range(len(requests))]


def service_ns(world: World, writes: bool, count: int = 1) -> int:
    """How long so many blocks keep the disk of an idle testbed without jitter."""
    figures = world.store.figures
    disk = figures.disk_write_bytes_per_s if writes else figures.disk_read_bytes_per_s
    return figures.service_ns + count * BLOCK * SECOND // disk


def ports_ns(world: World, writes: bool, count: int) -> int:
    """What the ports of an idle testbed take for so many blocks beyond what the disk does."""
    figures = world.store.figures
    disk = figures.disk_write_bytes_per_s if writes else figures.disk_read_bytes_per_s
    return count * BLOCK * SECOND // min(disk, figures.link_bytes_per_s) - count * BLOCK * SECOND // disk


def one_after_the_other(world: World, requests: list[Io]) -> list[int]:
    """The latencies if the disk serves one at a time, in the order in which they reach it, found step by step."""
    now = free_at = 0
    arrivals = []
    for number, (gap_ns, _, writes, count) in enumerate(requests):
        now += gap_ns
        arrivals.append((now + ports_ns(world, writes, count) if writes else now, number, now, writes, count))
    found = {}
    for at, number, sent, writes, count in sorted(arrivals):
        free_at = max(free_at, at) + service_ns(world, writes, count)
        answered = free_at if writes else free_at + ports_ns(world, writes, count)
        found[number] = answered - sent + world.store.figures.round_trip_ns
    return [found[number] for number in range(len(requests))]


def write_latency(world: World, attachment: SimulatedAttachment, block: int) -> int:
    """How long one write of a block takes (ns)."""
    began_ns = world.runtime.now()
    attachment.write(block, world.recorder.next_stamp())
    return world.runtime.now() - began_ns


@pytest.mark.parametrize("port", [1_250_000_000, 50_000_000])
@pytest.mark.parametrize("name", ["iscsi-sim", "nfs-sim"])
@settings(deadline=None, max_examples=40)
@given(requests=ios)
def test_ios_of_two_hosts_are_served_first_come_first_served(name: str, port: int, requests: list[Io]) -> None:
    """Each read and write of two hosts takes a round trip, what the ports take beyond the disk, and what a disk takes
    that serves one after the other.
    """
    world = queueing(name, link_bytes_per_s=port)
    assert latencies(world, requests) == one_after_the_other(world, requests)


@pytest.mark.parametrize("name", ["iscsi-sim", "nfs-sim"])
@settings(deadline=None, max_examples=20)
@given(requests=ios)
def test_without_a_queue_nothing_waits(name: str, requests: list[Io]) -> None:
    """As the profiles are, each read and write takes what it takes alone, whatever the others do."""
    world = World(name, service_jitter_ns=0)
    assert latencies(world, requests) == [
        world.store.figures.round_trip_ns + ports_ns(world, writes, count) + service_ns(world, writes, count)
        for _, _, writes, count in requests
    ]


def test_each_backend_has_a_queue_of_its_own() -> None:
    """A write to another backend does not wait for those that meet at one."""
    world = queueing()

    def body() -> list[int]:
        attachment = world.volume()
        world.sibling.store.create_volume("elsewhere", 1)
        other = world.sibling.attach("elsewhere", "host-a")
        assert isinstance(other, SimulatedAttachment)
        way = [(attachment, 1), (attachment, 2), (other, 1)]
        tasks = [world.runtime.spawn("a write", partial(write_latency, world, *where)) for where in way]
        return [task.wait() for task in tasks]

    first, second, elsewhere = world.run(body)
    assert (second - first, elsewhere) == (service_ns(world, writes=True), first)


@pytest.mark.parametrize("writes", [True, False])
def test_a_slow_port_of_one_host_does_not_hold_the_disk(writes: bool) -> None:
    """Beside a host whose port has next to nothing of its capacity, a write of another takes what it takes alone."""
    world = queueing()

    def body() -> None:
        attachments = two_hosts(world)
        slow = attachments["host-a"]
        world.testbed.inject(Fault("link.slow", caller="host-a", fraction=1e-5, for_ns=SECOND))
        io = partial(write_latency, world, slow, 1) if writes else partial(slow.look, 0, BLOCK)
        beside = world.runtime.spawn("beside", io)
        world.runtime.sleep(MS)
        alone = world.store.figures.round_trip_ns + service_ns(world, writes=True)
        assert write_latency(world, attachments["host-b"], 2) == alone
        began_ns = world.runtime.now()
        beside.wait()
        assert world.runtime.now() > began_ns

    world.run(body)


def test_moving_a_block_away_waits_for_the_disk_as_well() -> None:
    """Of two first writes after a copy-on-write snapshot, the first one's old block is moved after the second write."""
    world = queueing(snapshot_kind="copy-on-write")

    def body() -> list[int]:
        attachment = world.volume()
        world.fill(attachment, (1, 2))
        world.copy("volume", "snapshot", makes="snapshot").wait()
        tasks = [world.runtime.spawn("a write", partial(write_latency, world, attachment, n)) for n in (1, 2)]
        return [task.wait() for task in tasks]

    service, round_trip = service_ns(world, writes=True), world.store.figures.round_trip_ns
    assert world.run(body) == [round_trip + 3 * service, round_trip + 4 * service]


def test_a_write_that_never_reached_the_disk_keeps_nobody_waiting() -> None:
    """A write whose connection breaks on its way takes none of the disk's time; it is served when it is sent again."""
    world = queueing()

    def body() -> None:
        attachments = two_hosts(world)
        lost = world.runtime.spawn("lost", partial(write_latency, world, attachments["host-a"], 1))
        world.runtime.sleep(1)
        world.testbed.inject(Fault("connection.break", volume="volume"))
        alone = world.store.figures.round_trip_ns + service_ns(world, writes=True)
        assert write_latency(world, attachments["host-b"], 2) == alone
        assert lost.wait() > alone
        assert set(world.store.image("volume")) == {1}

    world.run(body)


@pytest.mark.parametrize("how", ["stall", "suspend"])
def test_writes_that_are_held_back_do_not_hold_the_disk(how: str) -> None:
    """While one volume's writes are stalled or suspended, those of another host take what they take alone."""
    world = queueing()

    def body() -> None:
        attachments = two_hosts(world)
        if how == "suspend":
            world.store.suspend_writes("volume")
        held = world.runtime.spawn("held", partial(write_latency, world, attachments["host-a"], 1))
        world.runtime.sleep(1)
        if how == "stall":
            attachments["host-a"].stall(100 * MS)
        world.runtime.sleep(10 * MS)
        alone = world.store.figures.round_trip_ns + service_ns(world, writes=True)
        assert write_latency(world, attachments["host-b"], 2) == alone
        world.runtime.sleep(90 * MS)
        if how == "suspend":
            world.store.resume_writes("volume")
        assert held.wait() >= 100 * MS

    world.run(body)


def test_no_load_is_worked_out_in_batches_where_a_disk_has_a_queue(make_world: Callable[..., World]) -> None:
    """A load that nothing disturbs is carried write by write."""
    world = make_world(disk_queue=True)

    def body() -> None:
        load = world.volume().load(LoadSpec(SPREAD, streams=1, think_ns=MS))
        world.runtime.sleep(SECOND)
        load.stop()

    world.run(body)
    assert len(world.recorder.writes("volume")) > 500
    assert world.testbed.lane.batched == 0


@pytest.mark.parametrize("in_turn", [True, False])
def test_writes_in_turn_wait_for_what_the_disk_still_serves(in_turn: bool) -> None:
    """Writes that were given at once, and those that were not, wait for a command whose caller is gone by then."""
    world = queueing()

    def body() -> None:
        attachment = world.volume()
        gone = world.runtime.spawn("gone", lambda: attachment.write(100, world.recorder.draw_stamps(1000), 1000))
        half_ns = world.store.figures.round_trip_ns // 2
        world.runtime.sleep(half_ns + 1)
        gone.abandon()
        with pytest.raises(Abandoned):
            gone.wait()
        began_ns = world.runtime.now()
        if in_turn:
            attachment.write_each(range(10))
        else:
            world.fill(attachment, tuple(range(10)))
        alone_ns = world.store.figures.round_trip_ns + service_ns(world, writes=True)
        left_ns = service_ns(world, writes=True, count=1000) - 1 - half_ns
        assert world.runtime.now() - began_ns == left_ns + 10 * alone_ns

    world.run(body)
