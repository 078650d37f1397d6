"""Who reads on, block after block, what a host's own copy fills, and snapshots that keep what it overwrites."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from worlds import SPREAD, World

from harness.model import GIB
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import BLOCK, CopyRequest, Image, PoolFull, TransferStarved
from simulated_backends.attachment import SimulatedAttachment

FOLLOWERS = ("host copy", "live copy", "reading", "move")


def ends(world: World) -> tuple[SimulatedAttachment, SimulatedAttachment]:
    """A written volume and an empty one on the other backend, both attached to host-a."""
    source = world.volume()
    world.fill(source)
    world.sibling.store.create_volume("copy", 1)
    return source, world.sibling.attach("copy", "host-a")


def followed(world: World, how: str) -> Image:
    """What somebody sees who begins now to read the volume "copy" block after block."""
    store = world.sibling.store
    if how == "host copy":
        store.create_volume("third", 1)
        world.sibling.attach("copy", "host-c").copy_to(world.sibling.attach("third", "host-c"))
        return store.image("third")
    if how == "live copy":
        store.begin_copy(CopyRequest("copy", "third", "volume", False), store).wait()
        return store.image("third")
    if how == "reading":
        return {offset // BLOCK: 1 for offset, _ in store.begin_read("copy", False, BLOCK)}
    store.begin_move("copy", world.store, False).wait()
    return dict(world.store.image("copy"))


@pytest.mark.parametrize("how", FOLLOWERS)
@pytest.mark.parametrize("early", [2, 32])
def test_what_is_read_of_a_host_copy_does_not_hang_on_who_looks(
    make_world: Callable[..., World], how: str, early: int
) -> None:
    """A block that arrives before somebody else gets to it is seen, and no other is, looked at meanwhile or not."""

    def body(world: World, looks: bool) -> Image:
        source, destination = ends(world)
        other = world.sibling.attach("copy", "host-b")
        world.testbed.inject(Fault("link.slow", caller="host-a", fraction=0.13, for_ns=1000 * SECOND))
        world.runtime.spawn("copying", lambda: source.copy_to(destination))
        while len(world.sibling.store.image("copy")) < early:
            world.runtime.sleep(SECOND // 100)
        following = world.runtime.spawn("following", partial(followed, world, how))
        while looks and not following.is_over:
            other.look(0, BLOCK)
            world.runtime.sleep(SECOND // 100)
        return following.wait()

    worlds = (make_world(), make_world())
    seen = [world.run(partial(body, world, looks)) for world, looks in zip(worlds, (False, True), strict=True)]
    assert seen[0] == seen[1]


def test_a_live_move_is_starved_by_what_a_host_copy_brings(make_world: Callable[..., World]) -> None:
    """It ends with the first block that arrives once its destination is full; the volume stays, and all of it."""
    world = make_world(provisioning="thin")

    def body() -> None:
        source, destination = ends(world)
        world.testbed.inject(Fault("link.slow", caller="host-a", fraction=0.1, for_ns=1000 * SECOND))
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        move = world.sibling.store.begin_move("copy", world.store, True)
        world.sleep_until(move, 0.5)
        world.testbed.inject(Fault("pool.full", backend="primary"))
        arrived = len(world.sibling.store.image("copy"))
        with pytest.raises(TransferStarved):
            move.wait()
        assert len(world.sibling.store.image("copy")) == arrived + 1
        copying.wait()
        assert world.sibling.store.image("copy") == world.store.image("volume")

    world.run(body)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_host_copy_stops_where_snapshots_find_no_room(make_world: Callable[..., World], when: str) -> None:
    """It ends at the first block that a snapshot of its destination would have to keep without room."""
    world = make_world(snapshot_kind="redirect-on-write", pool_bytes=2 * GIB + 40 * BLOCK)

    def body() -> None:
        source, destination = ends(world)
        world.fill(destination)
        store = world.sibling.store
        store.begin_copy(CopyRequest("copy", "snapshot", "snapshot", True), store).wait()
        if when == "before":
            store.create_volume("other", 1)
        began_ns, whole_ns = world.runtime.now(), world.testbed.profile.whole_copy_ns
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        world.runtime.sleep(whole_ns // 4)
        if when == "meanwhile":
            store.create_volume("other", 1)
        with pytest.raises(PoolFull):
            copying.wait()
        assert world.runtime.now() - began_ns == pytest.approx(whole_ns * 40 / 64, rel=1e-3)
        brought = world.store.image("volume")
        assert [block for block in SPREAD if store.image("copy")[block] == brought[block]] == list(SPREAD[:40])

    world.run(body)
