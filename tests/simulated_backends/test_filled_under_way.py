"""What is brought into a pool that a fault fills before or under way: by hosts' copies, copies, moves and reverts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, TESTBEDS, World

from harness.runtime import Task
from harness.schedule import Fault
from harness.storage import CopyRequest, PoolFull, Transfer, TransferFailed
from harness.testbed import LoadSpec
from simulated_backends.attachment import SimulatedAttachment

FULL = Fault("pool.full", backend="sibling")

WAYS = ("host copy", "live copy", "live move", "move")


def begin(world: World, way: str, source: SimulatedAttachment) -> Task[None] | Transfer:
    """One way of bringing the volume to the other backend, under way."""
    if way == "host copy":
        world.sibling.store.create_volume("copy", 1)
        destination = world.sibling.attach("copy", "host-a")
        return world.runtime.spawn("copying", lambda: source.copy_to(destination))
    if way == "live copy":
        return world.store.begin_copy(CopyRequest("volume", "copy", "volume", False), world.sibling.store)
    return world.store.begin_move("volume", world.sibling.store, live=way == "live move")


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(sorted(TESTBEDS)),
    st.sampled_from(WAYS),
    st.integers(0, 60),
    st.integers(1, 30),
    st.dictionaries(st.integers(1, 63), st.integers(0, 63), max_size=6),
    st.sets(st.integers(0, 63), max_size=6),
)
def test_a_pool_that_is_full_takes_no_more(
    testbed: str, way: str, full_at: int, full_for: int, writes: dict[int, int], first: set[int]
) -> None:
    """What comes into a pool meets no room exactly at a block that takes some while the pool is full, be it written
    before or meanwhile; until then and without one it brings everything, and no more is used while it is full.
    """
    world = World(testbed, provisioning="thin")
    name = "copy" if way.endswith("copy") else "volume"
    order = SPREAD if way == "host copy" else tuple(world.block_at(number / 64, name) for number in range(64))
    is_full = range(full_at, full_at + full_for)

    def body() -> None:
        source, store = world.volume(), world.sibling.store
        image = world.fill(source, tuple(order[number] for number in sorted(first)))
        brought: dict[int, int] = {}
        writer = world.primary.attach("volume", "host-b")
        step_ns = world.testbed.profile.whole_copy_ns // 64
        began_ns = world.runtime.now() + step_ns // 2
        bringing = begin(world, way, source)
        used, is_refused = 0, False
        for step in range(64):  # half a step after that one of the spread blocks has arrived
            world.runtime.sleep(began_ns + step * step_ns - world.runtime.now())
            block = order[step]
            is_refused |= block in image and step - 1 in is_full
            if block in image and not is_refused:
                brought[block] = image[block]
            if step == full_at:
                world.testbed.inject(Fault("pool.full", backend="sibling", for_ns=full_for * step_ns))
                used = store.used_bytes()
            if step - 1 in is_full:
                assert store.used_bytes() <= used
            if step in writes:
                written = order[writes[step]]
                is_refused |= way == "live move" and writes[step] <= step in is_full and written not in image
                image[written] = world.recorder.next_stamp()
                if way == "live move" and writes[step] <= step:
                    brought[written] = image[written]
                writer.write(written, image[written])
        if not is_refused:
            bringing.wait()
            assert store.image(name) == brought
            return
        with pytest.raises(PoolFull):
            bringing.wait()
        assert world.store.image("volume") == image
        assert store.image(name) == brought if way == "host copy" else store.find(name) is None

    world.run(body)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("written", ["before", "after", "by a load"])
def test_what_takes_room_of_a_full_pool_fails_when_it_gets_there(
    make_world: Callable[..., World], way: str, written: str
) -> None:
    """It fails when it gets to the next block that takes room, also where a host wrote that after the pool was full."""
    world = make_world(provisioning="thin")

    def body() -> None:
        source = world.volume()
        name = "copy" if way in ("host copy", "live copy") else "volume"
        early, late = (
            (SPREAD[16], SPREAD[48])
            if way == "host copy"
            else (world.block_at(fraction, name) for fraction in (0.25, 0.75))
        )
        expected = world.fill(source, (early, late) if written == "before" else (early,))
        began_ns, whole_ns = world.runtime.now(), world.testbed.profile.whole_copy_ns
        bringing = begin(world, way, source)
        world.runtime.sleep(whole_ns // 2)
        world.testbed.inject(FULL)
        used = world.sibling.store.used_bytes()
        writer = world.primary.attach("volume", "host-b")
        if written == "after":
            world.fill(writer, (late,))
        elif written == "by a load":
            writer.load(LoadSpec((late,)))
        with pytest.raises(PoolFull, match="full"):
            bringing.wait()
        assert world.runtime.now() - began_ns == pytest.approx(0.75 * whole_ns, rel=0.01)
        if way == "host copy":
            assert world.sibling.store.image("copy") == {early: expected[early]}
            assert world.sibling.store.used_bytes() == used
        else:
            assert world.sibling.store.find(name) is None

    world.run(body)


def test_a_live_move_ends_with_a_write_that_its_full_destination_can_not_mirror(
    make_world: Callable[..., World],
) -> None:
    """A block that was zeros when the move passed it takes room as soon as a host writes it; the volume stays here."""
    world = make_world(provisioning="thin")

    def body() -> None:
        source = world.volume()
        passed = world.block_at(0.25, "volume")
        expected = world.fill(source, (world.block_at(0.125, "volume"),))
        move = world.store.begin_move("volume", world.sibling.store, live=True)
        world.sleep_until(move, 0.5)
        world.testbed.inject(FULL)
        expected |= world.fill(source, (*expected, passed))
        with pytest.raises(TransferFailed, match="full"):
            move.wait()
        assert move.moved() < 0.6 * move.total
        assert world.store.image("volume") == expected and world.sibling.store.used_bytes() == 0

    world.run(body)


def test_a_host_copy_goes_on_if_the_pool_has_room_in_time(make_world: Callable[..., World]) -> None:
    """What had arrived before the pool was full stays, and what arrives after that finds room."""
    world = make_world(provisioning="thin")

    def body() -> None:
        source = world.volume()
        expected = world.fill(source, (SPREAD[8], SPREAD[40]))
        copying = begin(world, "host copy", source)
        whole_ns = world.testbed.profile.whole_copy_ns
        world.runtime.sleep(whole_ns // 4)
        world.testbed.inject(Fault("pool.full", backend="sibling", for_ns=whole_ns // 4))
        copying.wait()
        assert world.sibling.store.image("copy") == expected

    world.run(body)


@pytest.mark.parametrize(
    ("provisioning", "snapshot_kind", "fits"),
    [("thin", "full-copy", False), ("thick", "full-copy", True), ("thin", "redirect-on-write", True),
     ("thick", "redirect-on-write", False)],
)  # fmt: skip
def test_a_revert_takes_no_room_of_a_full_pool(
    make_world: Callable[..., World], provisioning: str, snapshot_kind: str, fits: bool
) -> None:
    """A revert that would take more of a full pool fails, and changes nothing; one that takes no more is done."""
    world = make_world(provisioning=provisioning, snapshot_kind=snapshot_kind)

    def body() -> None:
        attachment = world.volume()
        early = world.fill(attachment, SPREAD[:8])
        world.copy("volume", "early", "snapshot").wait()
        for block in early:
            attachment.write(block, 0)
        late = world.fill(attachment, SPREAD[8:24])
        world.copy("volume", "late", "snapshot").wait()
        for block in SPREAD[8:20] if provisioning == "thin" else ():
            attachment.write(block, 0)
            del late[block]
        world.testbed.inject(Fault("pool.full", backend="primary"))
        used = world.store.used_bytes()
        revert = world.store.begin_revert("volume", "early")
        if fits:
            revert.wait()
        else:
            with pytest.raises(PoolFull) as ended:
                revert.wait()
            assert isinstance(ended.value, TransferFailed)
        assert world.store.used_bytes() <= used
        assert world.store.image("volume") == (early if fits else late)

    world.run(body)
