"""The counts of a store's objects, against counting anew; inspections that are asked late."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from worlds import SPREAD, World

from harness.model import GIB
from harness.storage import BLOCK, CopyRequest, StorageError, Unsupported
from harness.testbed import Attachment


@pytest.mark.parametrize("seed", range(3))
def test_room_and_snapshots_are_those_of_the_objects(seed: int) -> None:
    """After many creations, copies, moves, cancellations and deletions the pool has room for exactly what is left."""
    world = World("iscsi-sim", snapshots_depend_on_volume=True, pool_bytes=40 * GIB)
    source = random.Random(seed)
    stores = [world.primary.store, world.sibling.store]

    def whole_pool_is_accounted_for() -> None:
        for store in stores:
            held = store.held
            assert held.provisioned == sum(each.provisioned for each in held.values())
            for each in held.values():
                parents = [o.id for o in store.objects() if o.kind == "snapshot" and o.parent == each.id]
                assert held.snapshots_of(each) == sorted(parents)

    def body() -> None:
        for number in range(60):
            store, other = source.sample(stores, 2)
            volumes = [o.id for o in store.objects() if o.kind == "volume" and o.complete]
            snapshots = [o.id for o in store.objects() if o.kind == "snapshot" and o.complete]
            deed = source.choice(("create", "create", "copy", "snapshot", "move", "extend", "delete", "cancel"))
            try:
                if deed == "create":
                    store.create_volume(f"v{number}", source.randint(1, 3))
                elif deed in ("copy", "snapshot", "cancel") and volumes:
                    makes = "volume" if deed == "copy" else "snapshot"
                    into = other if deed == "copy" else store
                    request = CopyRequest(source.choice(volumes), f"c{number}", makes, True)
                    transfer = store.begin_copy(request, into)
                    if deed == "cancel":
                        transfer.cancel("test")
                    else:
                        transfer.wait()
                elif deed == "move" and volumes:
                    store.begin_move(source.choice(volumes), other, live=True).wait()
                elif deed == "extend" and volumes:
                    store.extend_volume(source.choice(volumes), 4)
                elif deed == "delete" and volumes + snapshots:
                    store.delete(source.choice(volumes + snapshots))
            except StorageError:
                pass
            whole_pool_is_accounted_for()

    world.run(body)


def test_an_inspection_shows_its_own_instant(world: World) -> None:
    """Images and room are those of the inspection, though they are asked for after writes, copies and a deletion."""

    def body() -> None:
        attachment = world.volume()
        before = world.fill(attachment)
        inspection, again = world.primary.inspect(), world.primary.inspect()
        used = again.used_bytes
        world.fill(attachment, SPREAD[::2])
        attachment.write(SPREAD[0] + 1, world.recorder.next_stamp())
        world.copy("volume", "copy").wait()
        attachment.detach()
        world.store.delete("volume")
        assert dict(inspection.images["volume"]) == before
        assert list(inspection.images) == ["volume"] and inspection.find("volume") is not None
        assert inspection.used_bytes == used == len(before) * BLOCK
        assert world.primary.inspect().used_bytes == (len(before) + 1) * BLOCK

    world.run(body)


def test_an_inspection_shows_what_had_arrived(world: World) -> None:
    """Of a copy that was under way the inspection shows the part that had arrived then, whatever came after."""

    def body() -> None:
        world.fill(world.volume())
        transfer = world.copy("volume", "copy")
        world.sleep_until(transfer, 0.5)
        inspection = world.primary.inspect()
        arrived = dict(world.store.image("copy"))
        transfer.wait()
        assert inspection.images["copy"] == arrived
        assert 0 < len(arrived) < len(world.store.image("copy"))

    world.run(body)


def write_ns(world: World, attachment: Attachment) -> int:
    """How long a write of a block takes, always the same one."""
    began_ns = world.runtime.now()
    attachment.write(SPREAD[1], world.recorder.next_stamp())
    return world.runtime.now() - began_ns


@pytest.mark.parametrize("kind", ["copy-on-write", "redirect-on-write", "full-copy"])
def test_a_snapshot_is_of_the_volume_that_it_was_taken_of(make_world: Callable[..., World], kind: str) -> None:
    """A volume that gets the id of a deleted one has none of its snapshots; one that moved there and back has its own.

    So another volume's snapshot neither reverts it nor makes writes to it dearer.
    """
    world = make_world(snapshot_kind=kind, snapshots_depend_on_volume=False, service_jitter_ns=0)

    def body() -> None:
        first = world.volume()
        expected = world.fill(first)
        world.copy("volume", "of the first", "snapshot").wait()
        for here, there in ((world.primary, world.sibling), (world.sibling, world.primary)):
            here.store.begin_move("volume", there.store, live=True).wait()
        first.write(SPREAD[1], world.recorder.next_stamp())
        world.store.begin_revert("volume", "of the first").wait()
        assert world.store.image("volume") == expected
        first.detach()
        world.store.delete("volume")
        second = world.volume()
        usual_ns = write_ns(world, second)
        with pytest.raises(Unsupported, match="no snapshot of volume"):
            world.store.begin_revert("volume", "of the first")
        world.copy("volume", "of the second", "snapshot").wait()
        world.store.delete("of the second")
        assert write_ns(world, second) == usual_ns
        assert [o.parent for o in world.store.objects()] == ["volume", None]

    world.run(body)


def test_a_deleted_snapshot_of_a_volume_that_moved_changes_nothing_there(make_world: Callable[..., World]) -> None:
    """The first write after a snapshot moves the old block away, whatever becomes of an older one elsewhere."""
    world = make_world(snapshot_kind="copy-on-write", snapshots_depend_on_volume=False, service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        world.copy("volume", "older", "snapshot").wait()
        world.store.begin_move("volume", world.sibling.store, live=True).wait()
        usual_ns = write_ns(world, attachment)
        request = CopyRequest("volume", "newer", "snapshot", True)
        world.sibling.store.begin_copy(request, world.sibling.store).wait()
        world.store.delete("older")
        assert write_ns(world, attachment) > usual_ns
        assert write_ns(world, attachment) == usual_ns

    world.run(body)
