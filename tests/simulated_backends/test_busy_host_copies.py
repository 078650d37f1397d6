"""A host's own copy beside what else is done to its volumes: writes, quiesces, detaching, deletion, transfers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.runtime import SECOND, Task
from harness.schedule import Fault
from harness.stamps import read_stamp
from harness.storage import BLOCK, CopyRequest, Image, ObjectUnknown
from simulated_backends.attachment import SimulatedAttachment

DEEDS = ("write source", "write destination", "quiesce", "look", "read", "snapshot", "revert")


def ends(world: World) -> tuple[SimulatedAttachment, SimulatedAttachment, Image]:
    """A written volume, an empty one on the other backend, both attached to host-a, and the image of the first."""
    source = world.volume()
    expected = world.fill(source)
    world.sibling.store.create_volume("copy", 1)
    return source, world.sibling.attach("copy", "host-a"), expected


def begin(world: World, source: SimulatedAttachment, destination: SimulatedAttachment, fraction: float) -> Task[None]:
    """A host copy of which that share is done."""
    copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
    world.runtime.sleep(int(world.testbed.profile.whole_copy_ns * fraction))
    return copying


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(
        st.integers(1, 63), st.tuples(st.sampled_from(DEEDS), st.sampled_from(SPREAD[::13])), min_size=1, max_size=8
    )
)
def test_a_host_copy_is_as_writes_one_after_the_other(deeds: dict[int, tuple[str, int]]) -> None:
    """The destination shows what has arrived, and what was written to it after that; nothing changes while it is held.

    What has arrived is seen by hosts, copies and snapshots, and is gone after a revert to what was there before.
    """
    world = World("iscsi-sim", snapshot_ns=1)
    shown: dict[int, int] = {}
    snapshots: dict[str, dict[int, int]] = {}

    def body() -> None:
        source, destination, expected = ends(world)
        at_source = dict(expected)
        elsewhere = (world.primary.attach("volume", "host-b"), world.sibling.attach("copy", "host-b"))
        store, step_ns = world.sibling.store, world.testbed.profile.whole_copy_ns // 64
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        next_ns, done = world.runtime.now() - step_ns // 2, 0

        for number in [*sorted(deeds), 65]:  # half a step before the copy gets to that one of the spread blocks
            next_ns += (number - done) * step_ns
            world.runtime.sleep(next_ns - world.runtime.now())
            shown.update({block: at_source[block] for block in SPREAD[done:number]})
            done = number
            deed, block = deeds.get(number, ("look", 0))
            stamp = world.recorder.next_stamp()
            if deed == "write source":
                elsewhere[0].write(block, stamp)
                at_source[block] = stamp
            elif deed == "write destination":
                elsewhere[1].write(block, stamp)
                shown[block] = stamp
            elif deed == "quiesce":
                began_ns = world.runtime.now()
                destination.gate.hold("owner", SECOND, 60 * SECOND)
                world.runtime.sleep(3 * SECOND)
                assert store.image("copy") == shown
                destination.gate.release("owner")
                next_ns += world.runtime.now() - began_ns
            elif deed == "look":
                assert store.image("copy") == shown
            elif deed == "read":
                found = read_stamp(elsewhere[1].read(block * BLOCK, BLOCK))
                assert found == ((block, shown[block]) if block in shown else None)
            elif deed == "snapshot":
                store.begin_copy(CopyRequest("copy", f"snapshot-{number}", "snapshot", True), store).wait()
                snapshots[f"snapshot-{number}"] = dict(shown)
            elif snapshots:
                newest = list(snapshots)[-1]
                store.begin_revert("copy", newest).wait()
                shown.clear()
                shown.update(snapshots[newest])
        copying.wait()
        assert store.image("copy") == shown
        assert {snapshot: store.image(snapshot) for snapshot in snapshots} == snapshots

    world.run(body)


@pytest.mark.parametrize("which", [0, 1], ids=["source", "destination"])
def test_detaching_waits_for_a_host_copy(world: World, which: int) -> None:
    """Either volume is detached once the copy is over, which is whole then; a detached one is neither read nor written.

    The other can be detached at once then.
    """

    def body() -> None:
        pair = ends(world)
        copying = begin(world, *pair[:2], fraction=0.25)
        pair[which].detach()
        assert copying.is_over and world.sibling.store.image("copy") == pair[2]
        for source, destination in (pair[:2], pair[1::-1]):
            with pytest.raises(ObjectUnknown, match="not attached"):
                source.copy_to(destination)

    world.run(body)


@pytest.mark.parametrize("is_abandoned", [False, True])
def test_whoever_detaches_waits_for_a_host_copy(world: World, is_abandoned: bool) -> None:
    """So does a second one, whether the first one waits or has died; the record names the detachment once."""

    def body() -> None:
        source, destination, expected = ends(world)
        copying = begin(world, source, destination, fraction=0.25)
        first = world.runtime.spawn("detaching", destination.detach)
        world.runtime.sleep(1)
        if is_abandoned:
            first.abandon()
        destination.detach()
        assert copying.is_over and world.sibling.store.image("copy") == expected
        if not is_abandoned:
            first.wait()
        destination.detach()
        (closed,) = world.recorder.find("attachment.closed")
        assert closed.at_ns == world.runtime.now()

    world.run(body)


@pytest.mark.parametrize("which", ["volume", "copy"])
def test_a_host_copy_ends_with_either_of_its_volumes(world: World, which: str) -> None:
    """It ends at the deletion, and not as a success; what had arrived stays at the destination, if that is there."""

    def body() -> None:
        source, destination, expected = ends(world)
        copying = begin(world, source, destination, 0.25)
        world.testbed.backend("primary" if which == "volume" else "sibling").store.delete(which)
        deleted_ns = world.runtime.now()
        with pytest.raises(ObjectUnknown, match=which):
            copying.wait()
        assert world.runtime.now() == deleted_ns
        if which == "volume":
            part = world.sibling.store.image("copy")
            assert 0 < len(part) < len(expected) and part.items() <= expected.items()

    world.run(body)


def test_a_held_copy_that_is_abandoned_is_waited_for_by_nobody(world: World) -> None:
    """Neither the gate nor a detach waits for a host's copy whose task has died, whether the gate held it or not."""

    def body() -> None:
        source, destination, _ = ends(world)
        for is_held in (False, True):
            copying = begin(world, source, destination, 0.25)
            if is_held:
                destination.gate.hold("first", SECOND, 60 * SECOND)
            copying.abandon()
            world.runtime.sleep(1)
            destination.gate.release("first")
            destination.gate.hold("second", SECOND, 60 * SECOND)
            destination.gate.release("second")
        for attachment in (source, destination):
            attachment.detach()

    world.run(body)


@pytest.mark.parametrize("moving", ["volume", "copy"])
def test_a_host_copy_goes_wherever_its_volumes_are(world: World, moving: str) -> None:
    """Once a volume has moved, the copy of it or to it needs nothing of the backend where it was."""

    def body() -> None:
        source, destination, expected = ends(world)
        left, gone_to = (world.primary, world.sibling) if moving == "volume" else (world.sibling, world.primary)
        move = left.store.begin_move(moving, gone_to.store, True)
        world.sleep_until(move, 0.8)
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        move.wait()
        assert not copying.is_over
        moved_ns = world.runtime.now()
        world.testbed.inject(Fault("backend.restart", backend=left.name, for_ns=600 * SECOND))
        copying.wait()
        assert world.runtime.now() - moved_ns < 60 * SECOND
        assert (gone_to if moving == "copy" else world.sibling).store.image("copy") == expected

    world.run(body)


def test_a_backup_shows_what_a_host_copy_has_brought(world: World) -> None:
    """A reader that begins meanwhile sees what had arrived at that instant, and nothing that comes later."""

    def body() -> None:
        source, destination, expected = ends(world)
        copying = begin(world, source, destination, 0.49)
        reader = world.sibling.store.begin_read("copy", True, BLOCK)
        copying.wait()
        found = {offset // BLOCK: read_stamp(data) for offset, data in reader}
        assert found == {block: (block, expected[block]) for block in SPREAD[:32]}

    world.run(body)


def test_a_mover_that_mirrors_no_writes_takes_along_what_a_host_copy_has_brought(world: World) -> None:
    """What had arrived when the move began is there after it."""

    def body() -> None:
        source, destination, expected = ends(world)
        copying = begin(world, source, destination, 0.49)
        move = world.sibling.store.begin_move("copy", world.primary.store, False)
        world.sleep_until(move, 0.3)
        copying.abandon()
        move.wait()
        image = world.store.image("copy")
        assert {block: image.get(block) for block in SPREAD[:32]} == {block: expected[block] for block in SPREAD[:32]}

    world.run(body)
