"""Faults of a backend itself: a restart, a full pool, blocks that can't be read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from worlds import SPREAD, World

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.runtime import SECOND, Expired
from harness.schedule import Fault
from harness.storage import BLOCK, BLOCKS_PER_GIB, PoolFull, Transfer, TransferFailed
from simulated_backends.host_copy import MediumError


def medium_error(block: int, **fault: Any) -> Fault:
    """A fault that lets a block of the volume go bad."""
    return Fault("medium.error", backend="primary", volume="volume", fraction=block / BLOCKS_PER_GIB, **fault)


def test_a_restart_ends_jobs_and_sessions_and_keeps_volumes(world: World) -> None:
    """At power off jobs end at once; when power is back the old connection is gone, the outcome of array jobs known."""

    def body() -> None:
        expected = world.fill(world.volume())
        connection = world.connect()
        own = world.start(connection, "copy", source="volume", target="own")
        wide = world.start(connection, "copy", source="volume", target="wide", scope=HandleScope.USER)
        world.runtime.sleep(SECOND // 2)
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=20 * SECOND))
        off_ns = world.runtime.now()
        assert [o.id for o in world.primary.inspect().objects] == ["volume"]
        assert [e.at_ns for e in world.recorder.find("activity.ended")] == [off_ns, off_ns]
        with pytest.raises(ConnectionLost):
            connection.status(wide)
        again = world.connect()
        assert world.runtime.now() >= off_ns + 10 * SECOND
        status = again.status(wide)
        assert (status.state, status.error_code) == (ActivityState.FAILED, "restarted")
        with pytest.raises(ActivityUnknown):
            again.status(own)
        assert world.store.image("volume") == expected
        world.runtime.sleep(100 * SECOND)
        assert world.primary.inspect().connections == 1

    world.run(body)


def test_writes_go_on_after_a_restart(world: World) -> None:
    """A write that meets a backend without power is applied once the power is back."""

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=30 * SECOND))
        off_ns = world.runtime.now()
        attachment.write(1, 12)
        assert off_ns + 30 * SECOND < world.runtime.now() < off_ns + 60 * SECOND
        assert world.store.image("volume") == {1: 12} and len(world.recorder.find("session.lost")) == 1

    world.run(body)


def test_a_write_is_not_applied_without_power(make_world: Callable[..., World]) -> None:
    """Whose old block is moved away for a snapshot when the power goes is not in the volume before it is sent again."""
    world = make_world(snapshot_kind="copy-on-write", service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        image = world.fill(attachment, (0,))
        world.copy("volume", "snapshot", "snapshot").wait()
        stamp = world.recorder.next_stamp()
        writer = world.runtime.spawn("write", lambda: attachment.write(0, stamp))
        figures = world.store.figures
        world.runtime.sleep(figures.round_trip_ns // 2 + figures.service_ns + figures.service_ns // 2)
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=10 * SECOND))
        world.runtime.sleep(10 * SECOND - 1)
        assert world.store.image("volume") == image
        writer.wait()
        assert world.store.image("volume") == {0: stamp}

    world.run(body)


def test_a_backend_without_power_serves_no_queue(make_world: Callable[..., World]) -> None:
    """What waited at its disk is gone with the power; it is sent again, and all of it is served in the end."""
    world = make_world(disk_queue=True, service_ns=SECOND // 10)

    def body() -> None:
        attachment = world.volume()
        queue = world.store.medium.queue
        assert queue is not None
        writers = [world.runtime.spawn("write", partial(attachment.write, n, 1000 + n)) for n in range(40)]
        world.runtime.sleep(SECOND)
        assert queue.backlog_ns > 2 * SECOND
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=SECOND))
        assert queue.backlog_ns == 0
        world.runtime.sleep(SECOND - 1)
        assert len(world.store.image("volume")) < 11
        for writer in writers:
            writer.wait()
        assert world.store.image("volume") == {n: 1000 + n for n in range(40)}

    world.run(body)


@pytest.mark.parametrize("power_off", [True, False])
def test_a_flush_that_nobody_waits_for_is_done_unless_the_power_goes(world: World, power_off: bool) -> None:
    """The disk goes on with a flush beyond its deadline; what the power cuts short is still to be flushed."""

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        with pytest.raises(Expired):
            attachment.gate.hold("owner", 1000, SECOND)
        if power_off:
            world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=SECOND))
        world.runtime.sleep(SECOND)
        assert attachment.writes.held.flushing == 0
        assert attachment.writes.held.dirty == (set(SPREAD) if power_off else set())

    world.run(body)


def test_a_copy_to_an_array_without_power_waits_for_it() -> None:
    """A copy to another array stands still while that one restarts, and is whole in the end; between NFS servers it is
    state of the destination's, and ends."""
    world = World("iscsi-sim")

    def body() -> None:
        expected = world.fill(world.volume())
        connection = world.connect()
        world.wait(connection, world.start(connection, "snapshot", source="volume", target="snapshot"))
        world.testbed.inject(
            Fault("backend.restart", on="activity.started", nth=1, backend="sibling", for_ns=20 * SECOND)
        )
        began = world.runtime.now()
        handle = world.start(connection, "replicate", source="snapshot", target="copy", destination="sibling")
        assert world.wait(connection, handle).state is ActivityState.DONE
        assert world.runtime.now() > began + 20 * SECOND
        assert world.sibling.store.image("copy") == expected

    world.run(body)


def test_a_full_pool_takes_nothing_new(world: World) -> None:
    """New objects and blocks that were never written are refused; others can be written, and later all is well."""

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        world.testbed.inject(Fault("pool.full", backend="primary", for_ns=5 * SECOND))
        with pytest.raises(PoolFull, match="is full"):
            world.store.create_volume("other", 1)
        with pytest.raises(PoolFull, match="no room for block 2"):
            attachment.write(2, 22)
        attachment.write(1, 12)
        world.sibling.store.create_volume("elsewhere", 1)
        world.runtime.sleep(5 * SECOND)
        attachment.write(2, 22)
        world.store.create_volume("other", 1)
        assert world.store.image("volume") == {1: 12, 2: 22}

    world.run(body)


@pytest.mark.parametrize("times_s", [(0, 5), (5, 0), (20, 5), (5, 20)])
def test_a_pool_is_full_until_the_last_fault_is_over(world: World, times_s: tuple[int, int]) -> None:
    """Of two faults that fill a pool the end of one changes nothing while the other lasts (0 s: for good)."""

    def body() -> None:
        attachment = world.volume()
        for for_s in times_s:
            world.testbed.inject(Fault("pool.full", backend="primary", for_ns=for_s * SECOND))
        world.runtime.sleep(10 * SECOND)
        with pytest.raises(PoolFull):
            attachment.write(1, 11)
        world.runtime.sleep(20 * SECOND)
        with pytest.raises(PoolFull) if 0 in times_s else contextlib.nullcontext():
            attachment.write(1, 12)

    world.run(body)


@pytest.mark.parametrize("before", [True, False])
def test_a_copy_fails_where_the_medium_does(world: World, before: bool) -> None:
    """A copy that gets to a bad block fails there, whether the block was bad before or went bad under the copy."""

    def body() -> None:
        world.fill(world.volume())
        block = world.block_at(0.5)
        if before:
            world.testbed.inject(medium_error(block))
        began = world.runtime.now()
        copy = world.copy("volume", "copy")
        if not before:
            world.runtime.sleep(SECOND // 4)
            for fraction in (0.75, 0.5, 1 / 64):
                world.testbed.inject(medium_error(world.block_at(fraction)))
        with pytest.raises(TransferFailed, match=f"MEDIUM ERROR.*block {block} "):
            copy.wait()
        assert copy.moved() == copy.total // 2
        spent = world.runtime.now() - began
        assert spent == pytest.approx(world.testbed.profile.whole_copy_ns / 2, rel=1e-6)
        assert world.primary.inspect().find("copy") is None
        world.store.delete("volume")

    world.run(body)


def test_a_block_goes_bad_in_what_a_job_reads(world: World) -> None:
    """Where no object is named, the one that a job is reading goes bad; while none is read, nothing does."""

    def body() -> None:
        world.fill(world.volume("other"))
        world.fill(world.volume())
        fault = Fault("medium.error", backend="primary", fraction=0.5)
        world.testbed.inject(fault)
        copy = world.copy("volume", "copy")
        world.runtime.sleep(SECOND // 4)
        world.testbed.inject(fault)
        with pytest.raises(TransferFailed, match=f"MEDIUM ERROR.*block {BLOCKS_PER_GIB // 2} of volume"):
            copy.wait()
        hit = [event.fields["volume"] for event in world.recorder.find("fault", fault="medium.error")]
        assert hit == ["", "volume"]

    world.run(body)


def test_a_block_that_went_bad_behind_a_copy_does_not_matter(world: World) -> None:
    """A copy that has passed a block does not mind what becomes of it; the next one does."""

    def body() -> None:
        expected = world.fill(world.volume())
        copy = world.copy("volume", "copy")
        world.sleep_until(copy, 0.5)
        world.testbed.inject(medium_error(world.block_at(0.25)))
        copy.wait()
        assert world.store.image("copy") == expected
        with pytest.raises(TransferFailed):
            world.copy("volume", "again").wait()

    world.run(body)


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_bad_block_matters_as_long_as_it_was_not_read(
    make_world: Callable[..., World], fraction: float, verb: str
) -> None:
    """What goes bad under a copy or a move of a live volume ends it if it would still have seen the block written."""

    def begin(world: World) -> Transfer:
        if verb == "copy":
            return world.copy("volume", "copy", point_in_time=False)
        return world.store.begin_move("volume", world.sibling.store, live=False)

    def is_read(block: int) -> bool:
        world = make_world()

        def body() -> bool:
            attachment = world.volume()
            world.fill(attachment)
            transfer = begin(world)
            world.sleep_until(transfer, 0.5)
            world.store.find("volume").write(block, 9999)  # type: ignore[union-attr]
            transfer.wait()
            image = world.store.image("copy") if verb == "copy" else world.sibling.store.image("volume")
            return image.get(block, 0) != 9999

        return world.run(body)

    def is_done(block: int) -> bool:
        world = make_world()

        def body() -> bool:
            world.fill(world.volume())
            transfer = begin(world)
            world.sleep_until(transfer, 0.5)
            world.testbed.inject(medium_error(block))
            try:
                transfer.wait()
            except TransferFailed:
                assert transfer.moved() > transfer.total // 2
                return False
            return True

        return world.run(body)

    block = int(fraction * BLOCKS_PER_GIB)
    assert is_done(block) is is_read(block)


def test_a_block_that_is_written_in_time_does_not_end_a_copy(world: World) -> None:
    """A copy of a live volume goes past a bad block that was written again, and fails at the next one; so do reads."""

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment)
        good, bad = world.block_at(0.5), world.block_at(0.75)
        world.testbed.inject(medium_error(good))
        copy = world.copy("volume", "copy", point_in_time=False)
        reader = iter(world.store.begin_read("volume", False, 1 << 20))
        world.sleep_until(copy, 0.25)
        world.testbed.inject(medium_error(bad))
        for block in (good, bad):
            attachment.write(block, world.recorder.next_stamp())
        world.testbed.inject(medium_error(bad))
        with pytest.raises(TransferFailed, match=f"block {bad} "):
            copy.wait()
        assert copy.moved() == copy.total * 3 // 4
        attachment.write(bad, world.recorder.next_stamp())
        assert len(list(reader)) == len(expected)

    world.run(body)


def test_hosts_and_backups_meet_a_bad_block(world: World) -> None:
    """Reading the block fails, as do a backup and a host copy that get to it; writing it makes it good again."""

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        block = SPREAD[10]
        world.testbed.inject(medium_error(block))
        with pytest.raises(MediumError, match=f"block {block} "):
            attachment.read((block - 1) * BLOCK, 3 * BLOCK)
        reader = world.store.begin_read("volume", True, 1 << 20)
        with pytest.raises(TransferFailed, match="MEDIUM ERROR"):
            list(reader)
        reader.close()
        world.sibling.store.create_volume("copy", 1)
        with pytest.raises(MediumError):
            attachment.copy_to(world.sibling.attach("copy", "host-a"))
        assert 0 < len(world.sibling.store.image("copy")) <= 10
        attachment.write(block, 99)
        assert len(attachment.read(block * BLOCK, BLOCK)) == BLOCK
        world.copy("volume", "whole").wait()
        assert len(world.recorder.find("fault", fault="medium.error", block=block)) == 1

    world.run(body)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("backend.restart"), "needs a backend"),
        (Fault("pool.full"), "needs a backend"),
        (Fault("medium.error"), "needs a backend"),
        (Fault("medium.error", backend="primary", volume="v", fraction=1.0), "without 1"),
    ],
)
def test_storage_faults_say_what_they_lack(world: World, fault: Fault, says: str) -> None:
    """A fault of a backend that could hit nothing is refused with what it lacks."""
    with pytest.raises(ValueError, match=says):
        world.testbed.inject(fault)
    world.testbed.close()
