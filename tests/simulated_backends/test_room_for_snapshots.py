"""What snapshots keep for themselves has to fit into the pool, beside what is provisioned."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.model import GIB
from harness.stamps import block_bytes
from harness.storage import BLOCK, CopyRequest, PoolFull, StorageError, TransferFailed
from harness.testbed import LoadSpec
from simulated_backends.attachment import SimulatedAttachment

KINDS = [("thin", "copy-on-write"), ("thin", "redirect-on-write"), ("thick", "redirect-on-write")]


def tried(deed: Callable[[], object]) -> bool:
    """Whether a deed found room."""
    try:
        deed()
    except PoolFull:
        return False
    return True


def kept_blocks(world: World) -> int:
    """How many different blocks snapshots show that no volume of their lineage shows, by walking over all objects."""
    shown: dict[bool, set[tuple[int, int, int]]] = {True: set(), False: set()}
    for held in world.store.held.values():
        shown[held.provisioned > 0].update((held.lineage, *block) for block in held.content.image().items())
    return len(shown[False] - shown[True])


def room(world: World) -> int:
    """How many blocks more snapshots may keep."""
    provisioned = GIB * sum(held.provisioned for held in world.store.held.values())
    return (world.store.figures.pool_bytes - provisioned) // BLOCK - kept_blocks(world)


def ways_to_write(world: World, attachment: SimulatedAttachment) -> Iterator[Callable[[int], object]]:
    """Each way to write one block of the volume."""
    stamp = world.recorder.next_stamp
    yield lambda block: attachment.write(block, stamp())
    yield lambda block: attachment.write_each([block])
    yield lambda block: world.store.write_bytes("volume", block * BLOCK, block_bytes(block, stamp()))


@pytest.mark.parametrize(("provisioning", "snapshot_kind"), KINDS)
@pytest.mark.parametrize("way", range(3))
def test_a_snapshot_keeps_no_more_than_the_pool_has(
    make_world: Callable[..., World], provisioning: str, snapshot_kind: str, way: int
) -> None:
    """A write that leaves a block to a snapshot alone is refused once no block is left for it; others are not."""
    world = make_world(provisioning=provisioning, snapshot_kind=snapshot_kind, pool_bytes=GIB + 10 * BLOCK)

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        write = list(ways_to_write(world, attachment))[way]
        assert [tried(partial(write, block)) for block in SPREAD] == [True] * 10 + [False] * 54
        assert all(tried(partial(write, block)) for block in (*SPREAD[:10], SPREAD[-1] + 1))
        assert world.store.image("snapshot") == expected
        assert world.store.used_bytes() <= GIB + 10 * BLOCK
        world.store.delete("snapshot")
        assert all(tried(partial(write, block)) for block in SPREAD)

    world.run(body)


@pytest.mark.parametrize("provisioning", ["thin", "thick"])
def test_a_load_stops_where_snapshots_find_no_room(provisioning: str) -> None:
    """A load that overwrites a whole snapshot fails when the pool is full, with as many blocks overwritten as fit."""
    world = World(
        "iscsi-sim", provisioning=provisioning, snapshot_kind="redirect-on-write", pool_bytes=GIB + 1000 * BLOCK
    )

    def body() -> None:
        attachment = world.volume()
        attachment.write_each(list(range(1 << 11)))
        before = world.store.image("volume")
        world.copy("volume", "snapshot", "snapshot").wait()
        load = attachment.load(LoadSpec(tuple(range(1 << 11))))
        world.runtime.sleep(10 * world.testbed.profile.whole_copy_ns)
        with pytest.raises(PoolFull):
            load.stop()
        after = world.store.image("volume")
        assert sum(after[block] != stamp for block, stamp in before.items()) == 1000

    world.run(body)


def test_a_host_copy_takes_no_room_that_is_not_there(make_world: Callable[..., World]) -> None:
    """A host copy over a volume that has a snapshot ends at the first block for which the pool has no room."""
    world = make_world(snapshot_kind="redirect-on-write", pool_bytes=2 * GIB + 10 * BLOCK)

    def body() -> None:
        attachment, source = world.volume(), world.volume("source")
        before, expected = world.fill(attachment), world.fill(source)
        world.copy("volume", "snapshot", "snapshot").wait()
        with pytest.raises(PoolFull):
            source.copy_to(attachment)
        blocks = SPREAD[:10]
        assert world.store.image("volume") == {**before, **{block: expected[block] for block in blocks}}
        assert world.store.image("snapshot") == before

    world.run(body)


def test_a_revert_takes_no_room_that_is_not_there(make_world: Callable[..., World]) -> None:
    """A revert that would leave more to a later snapshot than there is room for fails, and changes nothing."""
    world = make_world(snapshot_kind="redirect-on-write", pool_bytes=GIB + 10 * BLOCK)

    def body() -> None:
        attachment = world.volume()
        early = world.fill(attachment, SPREAD[:4])
        world.copy("volume", "early", "snapshot").wait()
        late = early | world.fill(attachment, SPREAD[4:15])
        world.copy("volume", "late", "snapshot").wait()
        with pytest.raises(PoolFull) as ended:
            world.store.begin_revert("volume", "early").wait()
        assert isinstance(ended.value, TransferFailed)
        assert world.store.image("volume") == late
        world.store.delete("late")
        world.store.begin_revert("volume", "early").wait()
        assert world.store.image("volume") == early

    world.run(body)


@pytest.mark.parametrize(("provisioning", "snapshot_kind"), KINDS)
def test_nothing_is_provisioned_of_what_snapshots_keep(provisioning: str, snapshot_kind: str) -> None:
    """What snapshots keep is not there for new volumes, for clones or to extend one, until they are deleted."""
    world = World(
        "iscsi-sim",
        provisioning=provisioning,
        snapshot_kind=snapshot_kind,
        snapshots_depend_on_volume=False,
        pool_bytes=2 * GIB,
    )

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        attachment.write(SPREAD[5], world.recorder.next_stamp())
        for refused in (
            lambda: world.store.create_volume("second", 1),
            lambda: world.store.extend_volume("volume", 2),
            lambda: world.copy("snapshot", "copy"),
        ):
            assert not tried(refused)
        attachment.detach()
        world.store.delete("volume")
        world.store.create_volume("second", 1)
        assert not tried(lambda: world.store.create_volume("third", 1))
        world.store.delete("snapshot")
        world.store.create_volume("third", 1)

    world.run(body)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32), st.integers(0, 12), st.sampled_from(KINDS))
def test_what_snapshots_keep_is_what_they_alone_show(seed: int, spare: int, kind: tuple[str, str]) -> None:
    """Whatever is done to volumes, snapshots and clones, a write is refused exactly if it leaves a block to snapshots
    alone while these, and the volumes at their full size, take the whole pool; and no more is ever used.
    """
    provisioning, snapshot_kind = kind
    world = World(
        "iscsi-sim",
        provisioning=provisioning,
        snapshot_kind=snapshot_kind,
        snapshots_depend_on_volume=False,
        pool_bytes=3 * GIB + spare * BLOCK,
    )
    source, store = random.Random(seed), world.store

    def write(volume_id: str) -> None:
        block = source.randrange(4)
        held = store.usable(volume_id)
        stamp = held.content.stamp(block)
        others = [other for other in store.held.values() if other.lineage == held.lineage and other is not held]
        alike = [other for other in others if stamp and other.content.stamp(block) == stamp]
        leaves, had_room = bool(alike) and not any(other.provisioned for other in alike), room(world) > 0
        attachment = world.primary.attach(volume_id, "host-a")
        new = source.choice([0, *[world.recorder.next_stamp()] * 3, *[other.content.stamp(block) for other in others]])
        assert tried(lambda: attachment.write(block, new)) is (had_room or not leaves)
        attachment.detach()

    def do(deed: str, number: int) -> None:
        volumes = [o.id for o in store.objects() if o.kind == "volume" and o.complete]
        snapshots = [o for o in store.objects() if o.kind == "snapshot" and o.complete]
        if deed == "create" and len(volumes) < 2:
            store.create_volume(f"v{number}", 1)
        elif deed == "write" and volumes:
            write(source.choice(volumes))
        elif deed == "snapshot" and volumes:
            transfer = world.copy(source.choice(volumes), f"s{number}", "snapshot")
            if source.random() < 0.2:
                transfer.cancel("test")
            transfer.wait()
        elif deed == "link" and volumes + snapshots:
            origin = source.choice([*volumes, *[o.id for o in snapshots]])
            store.begin_copy(CopyRequest(origin, f"l{number}", "volume", True, linked=True), store).wait()
        elif deed == "extend" and volumes:
            store.extend_volume(source.choice(volumes), 2)
        elif deed == "delete" and volumes + snapshots:
            store.delete(source.choice([*volumes, *[o.id for o in snapshots]]))
        elif deed == "move" and volumes:
            here, there = source.sample([store, world.sibling.store], 2)
            moved = [o.id for o in here.objects() if o.kind == "volume"]
            here.begin_move(source.choice(moved or volumes), there, live=True).wait()
        elif deed == "revert" and snapshots:
            snapshot = source.choice(snapshots)
            store.begin_revert(snapshot.parent or "", snapshot.id).wait()

    deeds = ("create", *["write"] * 20, *["snapshot"] * 4, "link", "extend", "delete", "delete", "move", "revert")

    def body() -> None:
        for number in range(80):
            with contextlib.suppress(StorageError):
                do(source.choice(deeds), number)
            assert room(world) >= 0
            assert store.used_bytes() <= store.figures.pool_bytes

    world.run(body)
