"""Copies and snapshots: what they show, when they can be used, what is left of those that did not end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from worlds import SPREAD, World

from harness.storage import (
    BLOCK,
    CopyRequest,
    ObjectBusy,
    ObjectExists,
    ObjectUnknown,
    PoolFull,
    TransferCancelled,
    TransferFailed,
    Unsupported,
)


@pytest.mark.parametrize("makes", ["volume", "snapshot"])
def test_a_copy_shows_the_quiet_source(world: World, makes: str) -> None:
    """A copy of a volume that nobody writes shows its content, and keeps it when the source is written later."""

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment)
        world.copy("volume", "copy", makes, point_in_time=False).wait()
        world.fill(attachment)
        assert world.store.image("copy") == expected

    world.run(body)


@pytest.mark.parametrize("makes", ["volume", "snapshot"])
def test_a_crawling_copy_of_a_live_volume_tears(world: World, makes: str) -> None:
    """Reading a live volume block by block shows a write without one that was acknowledged before it was issued."""

    def body() -> None:
        attachment = world.volume()
        load = world.busy(attachment)
        world.copy("volume", "copy", makes, point_in_time=False).wait()
        load.stop()
        assert world.is_torn(world.store.image("copy"))

    world.run(body)


@pytest.mark.parametrize("makes", ["volume", "snapshot"])
def test_a_point_in_time_copy_of_a_live_volume_does_not_tear(world: World, makes: str) -> None:
    """A point-in-time copy shows one instant, although writes were applied all the while."""

    def body() -> None:
        attachment = world.volume()
        load = world.busy(attachment)
        world.runtime.sleep(500_000_000)
        before = world.recorder.tick()
        world.copy("volume", "copy", makes).wait()
        log, after = world.recorder.writes("volume"), world.recorder.tick()
        assert any(before < place < after for place in log.acknowledged)
        load.stop()
        assert not world.is_torn(world.store.image("copy"))

    world.run(body)


def test_a_copy_can_be_used_only_once_it_is_whole(world: World) -> None:
    """An incomplete copy can't be attached, copied, read or deleted; it is listed as incomplete."""

    def body() -> None:
        world.fill(world.volume())
        transfer = world.copy("volume", "copy")
        world.sleep_until(transfer, 0.5)
        for use in (
            lambda: world.primary.attach("copy", "host-b"),
            lambda: world.copy("copy", "second"),
            lambda: world.store.begin_read("copy", True, BLOCK),
            lambda: world.store.begin_move("copy", world.sibling.store, live=True),
        ):
            with pytest.raises(ObjectUnknown):
                use()
        with pytest.raises(ObjectBusy):
            world.store.delete("copy")
        seen = world.primary.inspect()
        assert [(o.id, o.complete) for o in seen.objects] == [("copy", False), ("volume", True)]
        assert 32 <= len(seen.images["copy"]) < 64
        transfer.wait()
        world.copy("copy", "second").wait()

    world.run(body)


@pytest.mark.parametrize("makes", ["volume", "snapshot"])
@pytest.mark.parametrize("point_in_time", [True, False])
def test_a_stopped_copy_leaves_nothing(world: World, makes: str, point_in_time: bool) -> None:
    """After a cancelled or failed copy the target is gone before its waiter learns of it, and the source is free."""

    def body() -> None:
        world.fill(world.volume())
        before = world.primary.inspect()
        for number, (stop, error) in enumerate([("cancel", TransferCancelled), ("fail", TransferFailed)]):
            transfer = world.copy("volume", f"copy-{number}", makes, point_in_time)
            world.sleep_until(transfer, 0.3)
            getattr(transfer, stop)("as the test wants it")
            moved = transfer.moved()
            with pytest.raises(error, match="as the test wants it"):
                transfer.wait()
            assert world.primary.inspect() == before
            world.runtime.sleep(10 * 10**9)
            assert transfer.moved() == moved
            transfer.cancel("again")
        world.store.delete("volume")

    world.run(body)


def test_cancelling_what_is_over_is_harmless(world: World) -> None:
    """A copy that is whole stays whole."""

    def body() -> None:
        expected = world.fill(world.volume())
        transfer = world.copy("volume", "copy")
        transfer.wait()
        transfer.cancel("too late")
        transfer.wait()
        assert world.store.image("copy") == expected

    world.run(body)


def test_a_source_in_use_is_not_deleted(world: World) -> None:
    """A volume that is being copied or read can't be deleted, extended or moved until that is over."""

    def body() -> None:
        world.fill(world.volume())
        transfer = world.copy("volume", "copy")
        for change in (
            lambda: world.store.delete("volume"),
            lambda: world.store.extend_volume("volume", 2),
            lambda: world.store.begin_move("volume", world.sibling.store, live=True),
        ):
            with pytest.raises(ObjectBusy):
                change()
        transfer.wait()
        reader = world.store.begin_read("volume", True, BLOCK)
        with pytest.raises(ObjectBusy):
            world.store.delete("volume")
        reader.close()
        world.store.delete("volume")
        with pytest.raises(ObjectUnknown):
            world.store.delete("volume")

    world.run(body)


@pytest.mark.parametrize("depends", [True, False])
def test_dependence_of_snapshots_is_the_profiles(make_world: Callable[..., World], depends: bool) -> None:
    """Where snapshots depend on their volume, it can't go before them; elsewhere they outlive it."""
    world = make_world(snapshots_depend_on_volume=depends)

    def body() -> None:
        expected = world.fill(world.volume())
        world.copy("volume", "snapshot", "snapshot").wait()
        if depends:
            with pytest.raises(ObjectBusy, match="snapshot"):
                world.store.delete("volume")
            with pytest.raises(ObjectBusy, match="snapshot"):
                world.store.begin_move("volume", world.sibling.store, live=True)
            world.store.delete("snapshot")
            world.store.delete("volume")
        else:
            world.store.delete("volume")
            assert world.store.image("snapshot") == expected
            assert world.primary.inspect().used_bytes == len(SPREAD) * BLOCK

    assert world.testbed.profile.snapshots_depend_on_volume is depends
    world.run(body)


def test_refused_copies_have_no_effect(world: World) -> None:
    """An unknown source, a target id in use, a smaller target and another family are refused and leave nothing."""

    def body() -> None:
        world.volume(size=2)
        before = [backend.inspect() for backend in (world.primary, world.sibling, world.stranger)]
        refused = [
            (ObjectUnknown, CopyRequest("nothing", "copy", "volume", True), world.store),
            (ObjectExists, CopyRequest("volume", "volume", "volume", True), world.store),
            (Unsupported, CopyRequest("volume", "copy", "volume", True, size=1), world.store),
            (Unsupported, CopyRequest("volume", "copy", "volume", True), world.stranger.store),
            (Unsupported, CopyRequest("volume", "copy", "tape", True), world.store),
        ]
        for error, request, into in refused:
            with pytest.raises(error):
                world.store.begin_copy(request, into)
        with pytest.raises(Unsupported):
            world.store.begin_move("volume", world.stranger.store, live=True)
        assert [backend.inspect() for backend in (world.primary, world.sibling, world.stranger)] == before

    world.run(body)


def test_a_full_pool_refuses(make_world: Callable[..., World]) -> None:
    """What is provisioned never exceeds the pool; what is deleted makes room again."""
    world = make_world(pool_bytes=3 << 30)

    def body() -> None:
        world.volume(size=2)
        for refused in (
            lambda: world.store.create_volume("second", 2),
            lambda: world.store.extend_volume("volume", 4),
            lambda: world.copy("volume", "copy"),
        ):
            with pytest.raises(PoolFull):
                refused()
        world.store.extend_volume("volume", 3)
        world.store.delete("volume")
        world.store.create_volume("second", 3)

    world.run(body)


def test_a_larger_copy_keeps_the_content(world: World) -> None:
    """A copy may be larger than its source, and a volume may grow; both keep what was there."""

    def body() -> None:
        expected = world.fill(world.volume())
        world.copy("volume", "copy", size=3).wait()
        world.store.extend_volume("copy", 4)
        with pytest.raises(Unsupported):
            world.store.extend_volume("copy", 2)
        assert world.store.image("copy") == expected
        assert world.primary.inspect().find("copy").size == 4  # type: ignore[union-attr]

    world.run(body)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_revert_happens_as_a_whole_or_not_at_all(world: World, stopped: bool) -> None:
    """A reverted volume shows its snapshot; one whose revert was stopped shows what it showed before."""

    def body() -> None:
        attachment = world.volume()
        old = world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        new = world.fill(attachment, (*SPREAD, 1, 2))
        transfer = world.store.begin_revert("volume", "snapshot")
        assert world.store.image("volume") == new
        if stopped:
            transfer.cancel("changed our mind")
            with pytest.raises(TransferCancelled):
                transfer.wait()
        else:
            transfer.wait()
        assert world.store.image("volume") == (new if stopped else old)
        assert world.store.image("snapshot") == old
        again = world.fill(attachment)
        assert {b: s for b, s in world.store.image("volume").items() if b in again} == again

    world.run(body)


def test_blocks_that_are_shared_count_once() -> None:
    """A redirect-on-write snapshot takes room only for what was overwritten since."""
    world = World("iscsi-sim")

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        assert world.store.used_bytes() == 64 * BLOCK
        world.fill(attachment, SPREAD[:10])
        assert world.store.used_bytes() == 74 * BLOCK
        world.store.delete("snapshot")
        assert world.store.used_bytes() == 64 * BLOCK

    world.run(body)


def test_copies_share_the_disk(world: World) -> None:
    """Two copies at once take twice as long as one, which takes what the profile says."""

    def body() -> None:
        world.volume()
        first, second = world.copy("volume", "first"), world.copy("volume", "second")
        began = world.runtime.now()
        first.wait()
        second.wait()
        assert world.runtime.now() - began == pytest.approx(2 * world.testbed.profile.whole_copy_ns, abs=10)

    world.run(body)


def test_a_linked_copy_takes_no_room_and_no_time_until_it_differs(make_world: Callable[..., World]) -> None:
    """In a thin pool a linked copy of a volume or a snapshot is a volume of its own that shares the blocks it has not
    written; where blocks are not shared it is refused as unsupported, with nothing done."""
    thin = make_world(
        provisioning="thin",
        snapshot_kind="redirect-on-write",
        snapshot_ns=25_000_000,
        snapshots_depend_on_volume=False,
    )
    thick = make_world(provisioning="thick", snapshot_kind="copy-on-write")

    def links() -> None:
        attachment = thin.volume()
        expected = thin.fill(attachment)
        thin.copy("volume", "snapshot", "snapshot").wait()
        used, began = thin.store.used_bytes(), thin.runtime.now()
        for source in ("volume", "snapshot"):
            link = CopyRequest(source, f"link of {source}", "volume", point_in_time=True, linked=True)
            thin.store.begin_copy(link, thin.store).wait()
            assert thin.store.image(f"link of {source}") == expected
        assert thin.store.used_bytes() == used
        assert thin.runtime.now() - began == 2 * thin.store.figures.snapshot_ns
        changed = thin.fill(thin.primary.attach("link of volume", "host-b"), (SPREAD[0],))
        assert thin.store.image("link of volume") == expected | changed
        assert thin.store.image("volume") == thin.store.image("link of snapshot") == expected
        assert thin.store.used_bytes() == used + BLOCK
        thin.store.delete("volume")
        assert thin.store.image("link of snapshot") == expected

    def refused() -> None:
        thick.volume()
        with pytest.raises(Unsupported):
            link = CopyRequest("volume", "link", "volume", point_in_time=True, linked=True)
            thick.store.begin_copy(link, thick.store)
        assert [each.id for each in thick.store.objects()] == ["volume"]

    thin.run(links)
    thick.run(refused)
