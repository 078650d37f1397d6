"""Moving volumes between backends, under their writers."""

from __future__ import annotations

import pytest
from worlds import SPREAD, World

from harness.recorder import UNACKNOWLEDGED
from harness.storage import ObjectBusy, ObjectExists, ObjectUnknown, TransferCancelled


def last_acknowledged(world: World) -> dict[int, int]:
    """The last stamp of each block that was acknowledged."""
    log = world.recorder.writes("volume")
    return {
        block: stamp
        for block, stamp, place in zip(log.blocks, log.stamps, log.acknowledged, strict=True)
        if place != UNACKNOWLEDGED
    }


@pytest.mark.parametrize("live", [True, False])
def test_only_a_live_move_keeps_every_write(world: World, live: bool) -> None:
    """Writes during a live move are all there afterwards; a move that is not live loses some."""

    def body() -> None:
        load = world.busy(world.volume())
        world.store.begin_move("volume", world.sibling.store, live=live).wait()
        load.stop()
        kept = world.sibling.store.image("volume") == last_acknowledged(world)
        assert kept is live

    world.run(body)


def test_hosts_and_identity_follow_the_volume(world: World) -> None:
    """Until the cut-over a volume is on the source only, then on the destination only, and its host writes on."""

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        identity = world.primary.inspect().find("volume").identity  # type: ignore[union-attr]
        transfer = world.store.begin_move("volume", world.sibling.store, live=True)
        world.sleep_until(transfer, 0.5)
        assert world.primary.inspect().find("volume").complete  # type: ignore[union-attr]
        assert not world.sibling.inspect().find("volume").complete  # type: ignore[union-attr]
        with pytest.raises(ObjectUnknown):
            world.sibling.attach("volume", "host-b")
        transfer.wait()
        arrived = world.sibling.inspect().find("volume")
        assert arrived is not None and arrived.complete and arrived.identity == identity
        assert world.primary.inspect().find("volume") is None
        attachment.write(17, 4711)
        assert world.sibling.store.image("volume")[17] == 4711
        assert world.primary.inspect().used_bytes == 0

    world.run(body)


@pytest.mark.parametrize("live", [True, False])
def test_a_cancelled_move_changes_nothing(world: World, live: bool) -> None:
    """After a cancelled move the volume is where it was, with every write, and the destination is empty."""

    def body() -> None:
        load = world.busy(world.volume())
        empty = world.sibling.inspect()
        transfer = world.store.begin_move("volume", world.sibling.store, live=live)
        world.sleep_until(transfer, 0.5)
        transfer.cancel("not now")
        with pytest.raises(TransferCancelled):
            transfer.wait()
        load.stop()
        assert world.sibling.inspect() == empty
        assert world.store.image("volume") == last_acknowledged(world)
        world.store.begin_move("volume", world.sibling.store, live=True).wait()

    world.run(body)


def test_a_moving_volume_is_left_alone(world: World) -> None:
    """While a volume moves it is not copied, reverted, deleted or moved elsewhere; an id in use is no destination."""

    def body() -> None:
        world.volume()
        world.sibling.store.create_volume("other", 1)
        world.store.create_volume("other", 1)
        with pytest.raises(ObjectExists):
            world.store.begin_move("other", world.sibling.store, live=True)
        transfer = world.store.begin_move("volume", world.sibling.store, live=True)
        for use in (
            lambda: world.copy("volume", "copy"),
            lambda: world.store.begin_read("volume", True, 4096),
            lambda: world.store.delete("volume"),
            lambda: world.store.begin_move("volume", world.sibling.store, live=True),
        ):
            with pytest.raises((ObjectBusy, ObjectExists)):
                use()
        transfer.wait()

    world.run(body)


def kept(name: str, seed: int) -> list[int]:
    """The places in SPREAD whose change half-way through a move without mirroring is in the moved volume."""
    world = World(name, seed)

    def body() -> list[int]:
        attachment = world.volume()
        before = world.fill(attachment)
        move = world.store.begin_move("volume", world.sibling.store, live=False)
        world.sleep_until(move, 0.5)
        world.fill(attachment)
        move.wait()
        image = world.sibling.store.image("volume")
        return [place for place, block in enumerate(SPREAD) if image[block] != before[block]]

    return world.run(body)


def test_a_move_that_does_not_mirror_loses_changes_anywhere() -> None:
    """An NFS server moves pieces of a file in an order of its own, so that what it loses is scattered by the seed; an
    array that goes from start to end loses what it had passed."""
    tail = kept("iscsi-sim", 1)
    assert tail == list(range(tail[0], len(SPREAD))) and 20 < len(tail) < 44
    first, second = kept("nfs-sim", 1), kept("nfs-sim", 2)
    assert first != second and 20 < len(first) < 44
    for mix in (first, second):
        assert mix != list(range(mix[0], len(SPREAD)))
