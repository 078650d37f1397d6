"""What differs between backends by their profile: snapshots, write caches, provisioning."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.model import GIB
from harness.runtime import SECOND, Expired
from harness.schedule import Fault
from harness.storage import BLOCK
from harness.testbed import Attachment


def latency_ns(world: World, attachment: object, block: int) -> int:
    """How long a write of that block takes."""
    attachment.write(block, world.recorder.next_stamp())  # type: ignore[attr-defined]
    log = world.recorder.writes("volume")
    return log.acknowledged_ns[-1] - log.issued_ns[-1]


def hold_ns(world: World, attachment: Attachment) -> int:
    """How long a hold takes to quiesce; it is released again."""
    began_ns = world.runtime.now()
    attachment.gate.hold("test", 10 * SECOND, 60 * SECOND)
    attachment.gate.release("test")
    return world.runtime.now() - began_ns


@pytest.mark.parametrize(("kind", "dearer"), [("copy-on-write", True), ("redirect-on-write", False)])
def test_the_first_overwrite_after_a_snapshot(make_world: Callable[..., World], kind: str, dearer: bool) -> None:
    """Under copy-on-write the first write to a block costs one more disk operation, for as long as a snapshot is."""
    world = make_world(snapshot_kind=kind, snapshot_ns=25_000_000, service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        usual = latency_ns(world, attachment, 1)
        expected = world.store.image("volume")
        world.copy("volume", "snapshot", "snapshot").wait()
        first = latency_ns(world, attachment, 1)
        service_ns = world.store.figures.service_ns
        assert (first - usual >= service_ns) is dearer and (dearer or first == usual)
        assert latency_ns(world, attachment, 1) == usual
        assert world.store.image("snapshot") == expected
        world.copy("volume", "second", "snapshot").wait()
        assert latency_ns(world, attachment, 1) == first
        for snapshot in ("snapshot", "second"):
            world.store.delete(snapshot)
        assert latency_ns(world, attachment, 2) == usual

    world.run(body)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "write", "snapshot", "cancelled", "delete", "revert"]), st.integers(0, 3)
        ),
        max_size=20,
    )
)
def test_a_write_moves_away_what_a_snapshot_shows(deeds: list[tuple[str, int]]) -> None:
    """Under copy-on-write a write costs one more disk operation exactly if a snapshot shows what it overwrites.

    So it does once for each snapshot, whatever becomes of others, and again after a revert.
    """
    world = World("iscsi-sim", snapshot_kind="copy-on-write", snapshot_ns=25_000_000, service_jitter_ns=0)

    def body() -> None:
        attachment, store = world.volume(), world.store
        usual = latency_ns(world, attachment, 0)
        attachment.write(1, world.recorder.next_stamp())
        for number, (deed, which) in enumerate(deeds):
            snapshots = [o.id for o in store.objects() if o.kind == "snapshot"]
            if deed == "write":
                overwritten = store.image("volume").get(which)
                is_shown = any(store.image(snapshot).get(which) == overwritten for snapshot in snapshots)
                assert (latency_ns(world, attachment, which) - usual >= store.figures.service_ns) is is_shown
            elif deed in ("snapshot", "cancelled"):
                snapshot = world.copy("volume", f"snapshot-{number}", "snapshot")
                if deed == "snapshot":
                    snapshot.wait()
                snapshot.cancel("test")
            elif snapshots and deed == "delete":
                store.delete(snapshots[which % len(snapshots)])
            elif snapshots:
                store.begin_revert("volume", snapshots[which % len(snapshots)]).wait()

    world.run(body)


def test_a_block_is_moved_away_anew_where_the_power_went_meanwhile(make_world: Callable[..., World]) -> None:
    """A write whose old block was being moved away when the power went pays that again once it is sent again."""
    world = make_world(snapshot_kind="copy-on-write", snapshot_ns=1, service_jitter_ns=0, service_ns=20_000_000)

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment, (1, 2))
        world.copy("volume", "snapshot", "snapshot").wait()
        first = latency_ns(world, attachment, 1)
        writing = world.runtime.spawn("writing", lambda: attachment.write(2, world.recorder.next_stamp()))
        world.runtime.sleep(first - 10_000_000)
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=SECOND))
        restored: list[int] = []
        world.recorder.listen(lambda event: restored.append(event.at_ns) if event.kind == "session.restored" else None)
        writing.wait()
        assert world.runtime.now() - restored[0] == first

    world.run(body)


def test_a_write_goes_on_though_the_last_snapshot_is_deleted_meanwhile(make_world: Callable[..., World]) -> None:
    """A write of many blocks that moves the first of them away then has nothing more to move."""
    world = make_world(snapshot_kind="copy-on-write", snapshot_ns=1, service_jitter_ns=0, service_ns=20_000_000)

    def body() -> None:
        attachment = world.volume()
        attachment.write(0, world.recorder.draw_stamps(4), 4)
        world.copy("volume", "snapshot", "snapshot").wait()
        stamp = world.recorder.draw_stamps(4)
        began_ns = world.runtime.now()
        writing = world.runtime.spawn("writing", lambda: attachment.write(0, stamp, 4))
        world.runtime.sleep(30_000_000)
        world.store.delete("snapshot")
        writing.wait()
        assert world.runtime.now() - began_ns < 60_000_000
        assert world.store.image("volume") == {block: stamp + block for block in range(4)}

    world.run(body)


def test_a_shared_snapshot_takes_no_copy(make_world: Callable[..., World]) -> None:
    """Snapshots that share blocks take their fixed time and no room; a full copy takes as long as any copy."""
    for kind, quick in (("copy-on-write", True), ("redirect-on-write", True), ("full-copy", False)):
        world = make_world(snapshot_kind=kind, snapshot_ns=25_000_000)

        def body(world: World = world, quick: bool = quick) -> None:
            world.fill(world.volume())
            used, began = world.store.used_bytes(), world.runtime.now()
            world.copy("volume", "snapshot", "snapshot").wait()
            taken = world.runtime.now() - began
            assert taken == (25_000_000 if quick else world.testbed.profile.whole_copy_ns)
            assert (world.store.used_bytes() == used) is quick

        world.run(body)


def test_a_hold_flushes_what_is_dirty(make_world: Callable[..., World]) -> None:
    """The time of a hold grows with the distinct blocks in the write cache, up to its size, and not with time."""
    world = make_world(write_cache_bytes=32 * BLOCK, disk_write_bytes_per_s=BLOCK * 100, service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()

        def flush_ns(blocks: tuple[int, ...]) -> int:
            world.fill(attachment, blocks)
            return hold_ns(world, attachment)

        clean = flush_ns(())
        assert flush_ns((1, 2, 3)) - clean == 3 * SECOND // 100
        assert flush_ns(()) == clean
        assert flush_ns((5, 5, 5, 5)) - clean == SECOND // 100
        assert flush_ns(SPREAD) - clean == 32 * SECOND // 100

    world.run(body)


@pytest.mark.parametrize("after_ns", [0, 100_000])
def test_a_flush_that_takes_too_long_is_no_quiesce(world: World, after_ns: int) -> None:
    """A hold whose flush meets a cut network, at its beginning or its end, expires in time, and is given back."""

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        began_ns = world.runtime.now()
        world.testbed.inject(Fault("partition", caller="host-a", at_ns=began_ns + after_ns, for_ns=100 * SECOND))
        with pytest.raises(Expired):
            attachment.gate.hold("test", 3 * SECOND, 60 * SECOND)
        assert world.runtime.now() == began_ns + 3 * SECOND
        assert not attachment.gate.holding and not world.recorder.find("gate.expired")
        world.runtime.sleep(200 * SECOND)
        attachment.gate.hold("test", SECOND, 60 * SECOND)
        attachment.gate.release("test")

    world.run(body)


def test_a_disk_too_slow_for_a_hold_goes_on_with_the_flush(make_world: Callable[..., World]) -> None:
    """A hold expires in time where its flush takes longer; what the disk was told to write is written all the same."""
    world = make_world(write_cache_bytes=1000 * BLOCK, disk_write_bytes_per_s=BLOCK * 100, service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment, tuple(range(300)))
        began_ns = world.runtime.now()
        with pytest.raises(Expired):
            attachment.gate.hold("test", SECOND, 60 * SECOND)
        assert world.runtime.now() == began_ns + SECOND
        with pytest.raises(Expired):
            attachment.gate.hold("test", SECOND, 60 * SECOND)
        world.runtime.sleep(2 * SECOND)
        attachment.gate.hold("test", SECOND, 60 * SECOND)

    world.run(body)


def test_a_flush_covers_what_was_written_before_it(make_world: Callable[..., World]) -> None:
    """What another host writes during a flush is left to the next one, and a flush waits for those under way."""
    world = make_world(write_cache_bytes=1000 * BLOCK, disk_write_bytes_per_s=BLOCK * 100, service_jitter_ns=0)

    def body() -> None:
        first = world.volume()
        second = world.primary.attach("volume", "host-b")
        clean_ns = hold_ns(world, second)
        world.fill(first, tuple(range(100)))
        flush = world.runtime.spawn("flush", lambda: hold_ns(world, first))
        world.runtime.sleep(SECOND // 10)
        world.fill(second, tuple(range(90, 120)))
        assert not flush.is_over
        flush.wait()
        assert hold_ns(world, second) - clean_ns == 30 * SECOND // 100
        world.fill(first, tuple(range(100)))
        flush = world.runtime.spawn("flush", lambda: hold_ns(world, first))
        world.runtime.sleep(SECOND // 2)
        hold_ns(world, second)
        assert flush.is_over
        assert hold_ns(world, second) == clean_ns

    world.run(body)


def test_a_flush_whose_session_is_lost_is_repeated(make_world: Callable[..., World]) -> None:
    """A flush that nobody answers has flushed nothing: the host sends it again, and all of it is done then."""
    world = make_world(write_cache_bytes=1000 * BLOCK, disk_write_bytes_per_s=BLOCK * 100, service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment, tuple(range(100)))
        world.testbed.inject(Fault("connection.reset", volume="volume", at_ns=world.runtime.now() + SECOND // 2))
        assert hold_ns(world, attachment) > 2 * SECOND
        assert hold_ns(world, attachment) < SECOND // 100

    world.run(body)


def test_thick_volumes_take_their_size_at_once(make_world: Callable[..., World]) -> None:
    """In a thick pool an object takes its whole size when it is made; in a thin one what is written."""
    thick, thin = make_world(provisioning="thick"), make_world(provisioning="thin")

    def used(world: World) -> list[int]:
        found = []
        attachment = world.volume(size=2)
        found.append(world.primary.inspect().used_bytes)
        attachment.write(1, 11)
        found.append(world.primary.inspect().used_bytes)
        copy = world.copy("volume", "copy")
        found.append(world.primary.inspect().used_bytes)
        copy.cancel("test")
        found.append(world.primary.inspect().used_bytes)
        return found

    assert thick.run(lambda: used(thick)) == [2 * GIB, 2 * GIB, 4 * GIB, 2 * GIB]
    assert thin.run(lambda: used(thin)) == [0, BLOCK, BLOCK, BLOCK]
