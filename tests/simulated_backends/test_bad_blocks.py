"""Who meets a bad block: readers where they are when it goes bad, of the content that they read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, TESTBEDS, World

from harness.runtime import SECOND
from harness.schedule import Fault
from harness.stamps import read_stamp
from harness.storage import BLOCK, BLOCKS_PER_GIB, TransferFailed
from simulated_backends.host_copy import MediumError


def spoil(world: World, block: int, volume: str = "volume", backend: str = "primary") -> None:
    """Let a block of an object of 1 GiB go bad now."""
    fraction = block / BLOCKS_PER_GIB
    world.testbed.inject(Fault("medium.error", backend=backend, volume=volume, fraction=fraction))


@pytest.mark.parametrize("point_in_time", [True, False])
@pytest.mark.parametrize("is_mended", [True, False])
@pytest.mark.parametrize("name", sorted(TESTBEDS))
@settings(deadline=None, max_examples=15)
@given(block=st.integers(0, BLOCKS_PER_GIB // 16), after_ns=st.integers(1, SECOND // 10))
def test_a_reader_meets_what_is_bad_when_it_gets_there(
    name: str, point_in_time: bool, is_mended: bool, block: int, after_ns: int
) -> None:
    """Reading chunk by chunk fails at a block that goes bad ahead of it, or that was bad and is written too late."""
    world = World(name)

    def body() -> None:
        attachment = world.volume()
        attachment.write(BLOCKS_PER_GIB - 1, world.recorder.next_stamp())
        if is_mended:
            spoil(world, block)
        reader = world.store.begin_read("volume", point_in_time, 1 << 20)
        consumer = world.runtime.spawn("consumer", lambda: list(reader))
        world.runtime.sleep(after_ns)
        at = reader.transfer.moved()
        if is_mended:
            world.store.held.find("volume").write(block, world.recorder.next_stamp())
            fails = point_in_time or at >= block * BLOCK
        else:
            spoil(world, block)
            fails = at <= block * BLOCK
        with pytest.raises(TransferFailed, match=f"block {block} ") if fails else contextlib.nullcontext():
            consumer.wait()
        assert reader.transfer.moved() == (block * BLOCK if fails else reader.transfer.total)
        reader.close()

    world.run(body)


@pytest.mark.parametrize("reads", ["a copy", "a reader"])
@pytest.mark.parametrize("goes_bad", ["before", "after"])
def test_what_is_read_as_it_was_minds_its_own_blocks_only(world: World, reads: str, goes_bad: str) -> None:
    """A point-in-time read of a block that is overwritten ahead of it needs the old one, and fails only by that."""

    def body() -> None:
        attachment = world.volume()
        expected = world.fill(attachment)
        block = world.block_at(0.75)
        is_copy = reads == "a copy"
        reader = world.store.begin_read("volume", True, 1 << 20)
        transfer = world.copy("volume", "copy") if is_copy else reader.transfer
        work = world.runtime.spawn("work", transfer.wait if is_copy else lambda: list(reader))
        world.sleep_until(transfer, 1 / 8)
        if goes_bad == "before":
            spoil(world, block)
        attachment.write(block, world.recorder.next_stamp())
        if goes_bad == "after":
            spoil(world, block)
        with pytest.raises(TransferFailed) if goes_bad == "before" else contextlib.nullcontext():
            work.wait()
        if is_copy and goes_bad == "after":
            assert world.store.image("copy") == expected
        reader.close()

    world.run(body)


def test_a_read_fails_by_a_shared_block_that_its_object_shows_no_more(make_world: Callable[..., World]) -> None:
    """A point-in-time copy reads the block that a snapshot shares, also after the volume got its own."""
    world = make_world(snapshot_kind="redirect-on-write")

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        world.copy("volume", "snapshot", "snapshot").wait()
        block = world.block_at(0.75)
        copy, live = world.copy("volume", "copy"), world.copy("volume", "live copy", point_in_time=False)
        attachment.write(block, world.recorder.next_stamp())
        spoil(world, block, "snapshot")
        with pytest.raises(TransferFailed, match=f"block {block} "):
            copy.wait()
        live.wait()

    world.run(body)


@pytest.mark.parametrize("point_in_time", [True, False])
@pytest.mark.parametrize("place", [0.25, 0.75])
def test_a_block_of_a_copy_goes_bad_after_it_has_arrived(world: World, point_in_time: bool, place: float) -> None:
    """A block of a copy's target that goes bad before it arrives is written then; one that had arrived stays bad."""

    def body() -> None:
        world.fill(world.volume())
        block = world.block_at(place)
        copy = world.copy("volume", "copy", point_in_time=point_in_time)
        world.sleep_until(copy, 0.5)
        spoil(world, block, "copy")
        copy.wait()
        with pytest.raises(MediumError) if place < 0.5 else contextlib.nullcontext():
            world.primary.attach("copy", "host-a").read(block * BLOCK, BLOCK)

    world.run(body)


def test_what_a_copy_does_not_write_stays_bad(world: World) -> None:
    """A block of a copy's target beyond the end of its source can't be read once it went bad under the copy."""

    def body() -> None:
        world.volume()
        copy = world.copy("volume", "copy", size=2)
        world.testbed.inject(Fault("medium.error", backend="primary", volume="copy", fraction=0.75))
        copy.wait()
        block = BLOCKS_PER_GIB * 3 // 2
        with pytest.raises(MediumError):
            world.primary.attach("copy", "host-a").read(block * BLOCK, BLOCK)

    world.run(body)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("written", ["", "before", "after"])
@pytest.mark.parametrize("place", [0.25, 0.75])
def test_what_went_bad_at_the_destination_of_a_move_is_bad_after_it(
    world: World, live: bool, written: str, place: float
) -> None:
    """A block that arrives or is carried over after it went bad is good; one that had arrived is bad until then."""

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        block = world.block_at(place, target="volume")
        move = world.store.begin_move("volume", world.sibling.store, live=live)
        world.sleep_until(move, 0.5)
        if written == "before":
            attachment.write(block, world.recorder.next_stamp())
        spoil(world, block, backend="sibling")
        if written == "after":
            attachment.write(block, world.recorder.next_stamp())
        move.wait()
        stays_bad = place < 0.5 and not (live and written == "after")
        with pytest.raises(MediumError) if stays_bad else contextlib.nullcontext():
            attachment.read(block * BLOCK, BLOCK)

    world.run(body)


def test_no_block_of_an_empty_volume_goes_bad(world: World) -> None:
    """A medium error of a volume of 0 GiB says that it hit nothing; the volume can be copied, read and deleted."""

    def body() -> None:
        world.store.create_volume("volume", 0)
        spoil(world, 0)
        (fault,) = world.recorder.find("fault", fault="medium.error")
        assert fault.fields["block"] == -1
        world.copy("volume", "copy").wait()
        assert list(world.store.begin_read("volume", True, 1 << 20)) == []
        world.store.delete("copy")
        world.store.delete("volume")

    world.run(body)


def test_a_host_reads_a_bad_block_that_a_host_copy_has_brought_since(world: World) -> None:
    """A block is bad until it is written, also where nobody has looked at what a host's copy has written."""

    def body() -> None:
        source = world.volume()
        stamp = world.recorder.next_stamp()
        source.write(0, stamp)
        world.sibling.store.create_volume("copy", 1)
        destination, other = (world.sibling.attach("copy", host) for host in ("host-a", "host-b"))
        spoil(world, 0, "copy", "sibling")
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        world.runtime.sleep(world.testbed.profile.whole_copy_ns // 2)
        assert read_stamp(other.read(0, BLOCK)) == (0, stamp)
        copying.wait()

    world.run(body)


def test_a_block_that_a_host_copy_has_brought_goes_bad(world: World) -> None:
    """It is bad from then on, also where nobody has looked at what the copy has written; what comes later is not."""

    def body() -> None:
        source = world.volume()
        world.fill(source)
        world.sibling.store.create_volume("copy", 1)
        destination = world.sibling.attach("copy", "host-a")
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        world.runtime.sleep(world.testbed.profile.whole_copy_ns // 2)
        for block in (SPREAD[8], SPREAD[48]):
            spoil(world, block, "copy", "sibling")
        copying.wait()
        with pytest.raises(MediumError):
            destination.read(SPREAD[8] * BLOCK, BLOCK)
        destination.read(SPREAD[48] * BLOCK, BLOCK)

    world.run(body)
