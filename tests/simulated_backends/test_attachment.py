"""Foreground I/O of hosts: the gate, the record, reading, and copying through a host."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from worlds import SPREAD, World, image_of

from harness.recorder import UNACKNOWLEDGED
from harness.runtime import SECOND, Abandoned, Expired
from harness.schedule import Fault
from harness.stamps import read_stamp
from harness.storage import BLOCK, CopyRequest, Image, ObjectUnknown, PoolFull
from harness.testbed import LoadSpec


def test_a_host_reads_what_was_written(world: World) -> None:
    """Bytes read back carry the stamps, extents cover what was written, the rest reads as zeros."""

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment, (3, 4, 5, 900))
        assert list(attachment.extents()) == [(3 * BLOCK, 3 * BLOCK), (900 * BLOCK, BLOCK)]
        found = {block: read_stamp(data) for block, data in image_of(attachment).items()}
        assert found == {block: (block, stamp) for block, stamp in expected.items()}
        assert attachment.read(0, 2 * BLOCK) == bytes(2 * BLOCK)

    world.run(body)


def test_a_write_is_applied_between_issue_and_acknowledgement(world: World) -> None:
    """A write is recorded before it is sent and acknowledged after it was applied, in the order of the record."""

    def body() -> None:
        attachment = world.volume()
        log = world.recorder.writes("volume")
        task = world.runtime.spawn("writer", lambda: attachment.write(7, 70))
        world.runtime.sleep(1)
        assert (len(log), log.acknowledged[0], world.store.image("volume")) == (1, UNACKNOWLEDGED, {})
        task.wait()
        assert world.store.image("volume") == {7: 70}
        assert log.issued[0] < log.acknowledged[0] and log.issued_ns[0] < log.acknowledged_ns[0]

    world.run(body)


def test_nothing_is_applied_while_the_gate_holds(world: World) -> None:
    """From quiesced to release the image stands still; held writes are applied afterwards, none is lost."""

    def body() -> None:
        attachment = world.volume()
        load = world.busy(attachment)
        world.runtime.sleep(SECOND)
        attachment.gate.hold("test", SECOND, 60 * SECOND)
        log = world.recorder.writes("volume")
        quiesced = world.store.image("volume")
        waiting = [row for row, place in enumerate(log.acknowledged) if place == UNACKNOWLEDGED]
        world.runtime.sleep(5 * SECOND)
        assert world.store.image("volume") == quiesced
        attachment.gate.release("test")
        load.stop()
        assert all(place != UNACKNOWLEDGED for place in log.acknowledged)
        assert all(log.issued_ns[row] <= log.acknowledged_ns[row] for row in waiting)

    world.run(body)


def test_a_stalled_drain_times_out_once(world: World) -> None:
    """With drain.stall the writes under way stay unacknowledged, so that a hold times out; the next one does not."""

    def body() -> None:
        attachment = world.volume()
        world.testbed.inject(Fault("drain.stall", volume="volume", for_ns=3 * SECOND))
        load = attachment.load(LoadSpec(SPREAD, think_ns=0))
        world.runtime.sleep(SECOND)
        with pytest.raises(Expired):
            attachment.gate.hold("first", SECOND, 60 * SECOND)
        world.runtime.sleep(5 * SECOND)
        attachment.gate.hold("second", SECOND, 60 * SECOND)
        attachment.gate.release("second")
        load.stop()
        assert len(world.recorder.find("fault", fault="drain.stall")) == 1

    world.run(body)


@pytest.mark.parametrize("stalls_s", [(20, 1), (1, 20), (5, 5)])
def test_stalls_of_one_drain_last_as_long_as_the_longest(world: World, stalls_s: tuple[int, int]) -> None:
    """A write that was under way when several stalls began is acknowledged at the end of the last."""

    def body() -> None:
        attachment = world.volume()
        for for_s in stalls_s:
            world.testbed.inject(Fault("drain.stall", volume="volume", for_ns=for_s * SECOND))
        world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(1)
        began_ns = world.runtime.now()
        attachment.gate.hold("test", 60 * SECOND, 60 * SECOND)
        assert world.recorder.writes("volume").acknowledged_ns[0] == began_ns + max(stalls_s) * SECOND

    world.run(body)


def test_a_stall_holds_what_was_under_way_when_it_began(world: World) -> None:
    """A later stall keeps a stalled write longer, and an earlier, longer one leaves writes alone that came after it."""

    def body() -> None:
        attachment = world.volume()
        began_ns = world.runtime.now()
        world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(1)
        attachment.stall(5 * SECOND)
        world.runtime.sleep(SECOND)
        world.runtime.spawn("other writer", lambda: attachment.write(2, 22))
        world.runtime.sleep(1)
        attachment.stall(SECOND)
        world.runtime.sleep(3 * SECOND)
        attachment.stall(5 * SECOND)
        world.runtime.sleep(10 * SECOND)
        log = world.recorder.writes("volume")
        assert [ns - began_ns for ns in log.acknowledged_ns] == [9 * SECOND + 2, 2 * SECOND + 2]

    world.run(body)


def test_all_owners_of_a_gate_see_it_drain(world: World) -> None:
    """Owners that hold while a write is under way are quiesced together, when it is acknowledged."""

    def body() -> None:
        attachment = world.volume()
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(1)
        owners = ("one", "two", "three")
        holds = [world.runtime.spawn(o, lambda o=o: attachment.gate.hold(o, 5 * SECOND, 60 * SECOND)) for o in owners]
        for hold in holds:
            hold.wait()
        assert writer.is_over
        quiesced = world.recorder.find("gate.quiesced")
        assert [event.fields["owner"] for event in quiesced] == list(owners)
        assert len({event.at_ns for event in quiesced}) == 1

    world.run(body)


def test_a_detached_volume_takes_no_writes(world: World) -> None:
    """Detaching waits for the writes under way; later ones are refused, as are those to a deleted volume."""

    def body() -> None:
        attachment = world.volume()
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(1)
        attachment.detach()
        assert writer.is_over and world.store.image("volume") == {1: 11}
        attachment.detach()
        with pytest.raises(ObjectUnknown, match="not attached"):
            attachment.write(2, 22)
        second = world.primary.attach("volume", "host-b")
        second.gate.hold("test", SECOND, 60 * SECOND)
        held = world.runtime.spawn("held writer", lambda: second.write(3, 33))
        world.store.delete("volume")
        second.gate.release("test")
        with pytest.raises(ObjectUnknown):
            held.wait()
        for gone in (attachment, second):
            with pytest.raises(ObjectUnknown):
                gone.write(2, 22)

    world.run(body)


def test_io_outside_the_volume_is_refused(world: World) -> None:
    """Blocks beyond the end and parts of blocks are refused, and leave nothing in the record."""

    def body() -> None:
        attachment = world.volume()
        for attempt in (
            lambda: attachment.write(1 << 18, 1),
            lambda: attachment.write(-1, 1),
            lambda: attachment.read(1, BLOCK),
            lambda: attachment.read(0, 2 << 30),
        ):
            with pytest.raises(ValueError, match="whole blocks"):
                attempt()
        assert len(world.recorder.writes("volume")) == 0

    world.run(body)


def test_a_host_copy_reaches_another_family(world: World) -> None:
    """A host copies a volume to a backend of another family, over what the destination held before."""

    def body() -> None:
        source = world.volume()
        expected = world.fill(source)
        world.stranger.store.create_volume("copy", 1)
        destination = world.stranger.attach("copy", "host-a")
        destination.write(5, 55)
        source.copy_to(destination)
        assert world.stranger.store.image("copy") == expected
        world.stranger.store.create_volume("wide", 2)
        with pytest.raises(ValueError, match="too few"):
            world.stranger.attach("wide", "host-a").copy_to(source)

    world.run(body)


def test_an_abandoned_host_copy_stops_where_it_was(world: World) -> None:
    """When the copying task dies, what had arrived stays, and nothing is written any more."""

    def body() -> None:
        source = world.volume()
        expected = world.fill(source)
        world.sibling.store.create_volume("copy", 1)
        destination = world.sibling.attach("copy", "host-a")
        task = world.runtime.spawn("copier", lambda: source.copy_to(destination))
        world.runtime.sleep(world.testbed.profile.whole_copy_ns // 2)
        task.abandon()
        with pytest.raises(Abandoned):
            task.wait()
        began = world.runtime.now()
        world.copy("volume", "beside").wait()
        assert world.runtime.now() - began == world.testbed.profile.whole_copy_ns
        half = dict(world.sibling.store.image("copy"))
        assert 0 < len(half) < len(expected) and half.items() <= expected.items()
        world.runtime.sleep(60 * SECOND)
        assert world.sibling.store.image("copy") == half
        world.store.delete("volume")

    world.run(body)


def test_bulk_transfers_slow_foreground_writes_where_the_volume_is() -> None:
    """While copies keep a disk busy, writes to a volume there take longer; once it has moved away they do not."""
    world = World("nfs-sim", service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        world.store.create_volume("other", 1)
        log = world.recorder.writes("volume")

        def latency(block: int) -> int:
            attachment.write(block, block + 1)
            return log.acknowledged_ns[-1] - log.issued_ns[-1]

        idle = latency(1)
        copies = [world.copy("other", f"copy-{number}") for number in range(3)]
        assert latency(2) > idle
        for copy in copies:
            copy.wait()
        world.store.begin_move("volume", world.sibling.store, live=True).wait()
        world.copy("other", "last")
        assert latency(3) == idle

    world.run(body)


@pytest.mark.parametrize("thin", ["thin", "thick"])
@pytest.mark.parametrize("cache_blocks", [0, 20, 1_000_000])
def test_writes_in_turn_leave_what_single_writes_leave(
    make_world: Callable[..., World], thin: str, cache_blocks: int
) -> None:
    """Blocks written in turn give the record, volume and clock of single writes, whatever happens on the way."""

    def run(in_turn: bool) -> tuple[str, int, dict[str, Image], str]:
        world = make_world(provisioning=thin, write_cache_bytes=cache_blocks * BLOCK)

        def body() -> tuple[str, int, dict[str, Image], str]:
            attachment = world.volume()

            def write(blocks: list[int]) -> None:
                if in_turn:
                    attachment.write_each(blocks)
                    return
                for block in blocks:
                    attachment.write(block, world.recorder.next_stamp())

            source = random.Random(7)
            blocks = [source.choice(SPREAD) for _ in range(300)]
            world.runtime.spawn("somebody", lambda: [world.runtime.sleep(3_700_000) for _ in range(40)])
            world.testbed.inject(Fault("reply.late", volume="volume", at_ns=10**8, for_ns=SECOND))
            world.testbed.inject(Fault("connection.reset", volume="volume", at_ns=2 * 10**8))
            write(blocks)
            attachment.gate.hold("owner", SECOND, 60 * SECOND)  # which takes as long as the cache is full
            attachment.gate.release("owner")
            copy = world.store.begin_copy(CopyRequest("volume", "copy", "volume", False), world.store)
            write([block + 1 for block in blocks])
            copy.wait()
            world.testbed.inject(Fault("pool.full", backend="primary", at_ns=world.runtime.now() + 10**7))
            with pytest.raises((PoolFull, ValueError)) as ended:
                write([*[block + 2 for block in blocks], SPREAD[-1] * 2])
            images = {name: world.store.image(name) for name in ("volume", "copy")}
            return world.recorder.digest(), world.runtime.now(), images, str(ended.value)

        return world.run(body)

    assert run(in_turn=True) == run(in_turn=False)
