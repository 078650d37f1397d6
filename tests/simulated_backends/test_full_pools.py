"""What a full pool refuses, and what becomes of bad blocks that objects share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from worlds import SPREAD, World

from harness.activity import ActivityState, HandleScope
from harness.schedule import Fault
from harness.stamps import block_bytes
from harness.storage import BLOCK, BLOCKS_PER_GIB, CopyRequest, PoolFull, StorageError, TransferFailed
from simulated_backends.host_copy import MediumError

FULL = Fault("pool.full", backend="primary")


@pytest.mark.parametrize("provisioning", ["thin", "thick"])
@pytest.mark.parametrize("snapshot_kind", ["copy-on-write", "redirect-on-write", "full-copy"])
def test_what_is_used_of_a_full_pool_does_not_grow(
    make_world: Callable[..., World], provisioning: str, snapshot_kind: str
) -> None:
    """Whatever hosts, restores, copies and moves do to a pool that is full, they take no more of it."""
    world = make_world(provisioning=provisioning, snapshot_kind=snapshot_kind)

    def tried(deed: Callable[[], object]) -> bool:
        try:
            deed()
        except StorageError:
            return False
        return True

    def body() -> None:
        attachment, empty = world.volume(), world.volume("empty")
        world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        world.sibling.store.create_volume("moving", 1)
        world.fill(world.sibling.attach("moving", "host-a"))
        transfers = [
            world.copy("volume", "copy"),
            world.copy("volume", "live copy", point_in_time=False),
            world.sibling.store.begin_move("moving", world.store, live=True),
        ]
        world.sleep_until(transfers[-1], 0.5)
        world.testbed.inject(FULL)
        used = world.store.used_bytes()
        overwritten = [tried(partial(attachment.write, block, world.recorder.next_stamp())) for block in SPREAD[:4]]
        data = b"".join(block_bytes(block, 999) for block in range(4))
        restored = tried(lambda: world.store.write_bytes("empty", 0, data))
        ended = [tried(transfer.wait) for transfer in transfers]
        assert world.store.used_bytes() <= used
        is_thin, shares = provisioning == "thin", snapshot_kind != "full-copy"
        assert overwritten == [not shares] * 4
        assert restored is not is_thin and ended == [not is_thin] * 3
        assert tried(lambda: empty.write(9, 99)) is not is_thin

    world.run(body)


def test_a_block_that_is_shared_no_more_can_be_written(make_world: Callable[..., World]) -> None:
    """An overwritten block of a snapshot has its own place, and without a snapshot none is shared; links share too."""
    world = make_world(provisioning="thin", snapshot_kind="redirect-on-write", snapshots_depend_on_volume=False)

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        link = CopyRequest("snapshot", "link", "volume", point_in_time=True, linked=True)
        world.store.begin_copy(link, world.store).wait()
        linked = world.primary.attach("link", "host-b")
        world.fill(attachment, SPREAD[:3])
        world.testbed.inject(FULL)
        world.fill(attachment, SPREAD[:3])
        for refused in (attachment, linked):
            with pytest.raises(PoolFull):
                refused.write(SPREAD[5], 1)
        world.store.delete("snapshot")
        with pytest.raises(PoolFull):
            attachment.write(SPREAD[5], 1)
        linked.detach()
        world.store.delete("link")
        world.fill(attachment, SPREAD[5:])

    world.run(body)


def test_a_copy_goes_on_if_the_pool_has_room_in_time(make_world: Callable[..., World]) -> None:
    """A copy into a full pool fails at the next block that takes room, and not if there is room by then."""
    world = make_world(provisioning="thin")

    def body() -> None:
        attachment = world.volume()
        blocks = tuple(world.block_at(fraction) for fraction in (0.0, 0.5, 0.75))
        expected = world.fill(attachment, blocks)
        copy = world.copy("volume", "copy")
        world.sleep_until(copy, 0.25)
        world.testbed.inject(Fault("pool.full", backend="primary", for_ns=1000))
        copy.wait()
        assert world.store.image("copy") == expected
        world.store.delete("copy")
        copy = world.copy("volume", "copy")
        world.sleep_until(copy, 0.25)
        world.testbed.inject(FULL)
        with pytest.raises(TransferFailed, match="full") as ended:
            copy.wait()
        assert isinstance(ended.value, PoolFull)
        assert copy.moved() == copy.total // 2
        assert world.primary.inspect().find("copy") is None

    world.run(body)


@pytest.mark.parametrize(
    "job",
    [
        {"verb": "copy", "target": "copy"},
        {"verb": "replicate", "target": "copy", "destination": "sibling"},
        {"verb": "move", "destination": "sibling"},
    ],
)
@pytest.mark.parametrize("scope", [HandleScope.CONNECTION, HandleScope.USER])
@pytest.mark.parametrize("under_way", [False, True])
def test_a_job_that_a_full_pool_ends_says_so(
    make_world: Callable[..., World], job: dict[str, str], scope: HandleScope, under_way: bool
) -> None:
    """A job that finds the pool full under way fails for the same stated reason as one that is started then."""
    world = make_world(provisioning="thin", snapshot_kind="full-copy")

    def body() -> None:
        world.fill(world.volume())
        full = Fault("pool.full", backend=job.get("destination", "primary"))
        connection = world.connect()
        if not under_way:
            world.testbed.inject(full)
        handle = world.start(connection, source="volume", scope=scope, **job)
        if under_way:
            world.runtime.sleep(world.testbed.profile.whole_copy_ns // 4)
            assert connection.status(handle).state is ActivityState.RUNNING
            world.testbed.inject(full)
        status = world.wait(connection, handle)
        assert (status.state, status.error_code) == (ActivityState.FAILED, "pool-full")
        assert world.primary.inspect().find("copy") is world.sibling.inspect().find("copy") is None

    world.run(body)


@pytest.mark.parametrize("makes", ["snapshot", "link"])
@pytest.mark.parametrize("when", ["before", "under way", "after"])
def test_a_bad_block_is_bad_for_all_who_share_it(make_world: Callable[..., World], makes: str, when: str) -> None:
    """Whoever shares a block can't read it either when it goes bad, until he writes his own; a copy has its own."""
    world = make_world(provisioning="thin", snapshot_kind="redirect-on-write", snapshots_depend_on_volume=False)

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment)
        world.copy("volume", "copy").wait()
        kind, linked = ("snapshot", False) if makes == "snapshot" else ("volume", True)
        request = CopyRequest("volume", "shared", kind, point_in_time=True, linked=linked)
        fraction = SPREAD[10] / BLOCKS_PER_GIB
        fault = Fault("medium.error", backend="primary", volume="volume", fraction=fraction)
        if when == "before":
            world.testbed.inject(fault)
        transfer = world.store.begin_copy(request, world.store)
        if when == "under way":
            world.testbed.inject(fault)
        transfer.wait()
        if when == "after":
            world.testbed.inject(fault)
        attachment.write(SPREAD[10], world.recorder.next_stamp())
        world.copy("volume", "second copy").wait()
        with pytest.raises(TransferFailed, match=f"block {SPREAD[10]} of shared"):
            world.copy("shared", "third copy").wait()
        world.copy("copy", "fourth copy").wait()
        assert world.store.image("fourth copy") == expected

    world.run(body)


def test_a_block_that_is_shared_no_more_goes_bad_alone(make_world: Callable[..., World]) -> None:
    """What was overwritten since a snapshot goes bad in the volume only; a revert to the snapshot puts it right."""
    world = make_world(provisioning="thin", snapshot_kind="redirect-on-write")

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        attachment.write(SPREAD[10], world.recorder.next_stamp())
        for block in (SPREAD[10], SPREAD[20]):
            fraction = block / BLOCKS_PER_GIB
            world.testbed.inject(Fault("medium.error", backend="primary", volume="volume", fraction=fraction))
        with pytest.raises(TransferFailed, match=f"block {SPREAD[20]} of snapshot"):
            world.store.begin_copy(CopyRequest("snapshot", "copy", "volume", True), world.sibling.store).wait()
        world.store.begin_revert("volume", "snapshot").wait()
        assert len(attachment.read(SPREAD[10] * BLOCK, BLOCK)) == BLOCK
        with pytest.raises(MediumError):
            attachment.read(SPREAD[20] * BLOCK, BLOCK)
        assert world.store.image("volume") == expected

    world.run(body)
