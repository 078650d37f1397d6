"""Reading objects chunk by chunk, and writing bytes back."""

from __future__ import annotations

import pytest
from worlds import SPREAD, World

from harness.stamps import FOREIGN, block_bytes
from harness.storage import BLOCK, ObjectUnknown, TransferCancelled, TransferFailed

CHUNK = 16 * BLOCK


def read_back(world: World, chunks: list[tuple[int, bytes]]) -> dict[int, int]:
    """The image that a new volume shows after the chunks were written to it."""
    world.store.create_volume("restored", 1)
    for offset, data in chunks:
        world.store.write_bytes("restored", offset, data)
    return dict(world.store.image("restored"))


def test_chunks_restore_the_image(world: World) -> None:
    """Written back, the chunks of a volume make the same image; unwritten ranges are not read, chunks ascend."""

    def body() -> None:
        blocks = (*SPREAD, *range(100, 140), (1 << 18) - 1)
        expected = world.fill(world.volume(), blocks)
        chunks = list(world.store.begin_read("volume", True, CHUNK))
        assert max(len(data) for _, data in chunks) == CHUNK
        assert sum(len(data) for _, data in chunks) == len(expected) * BLOCK
        assert [offset for offset, _ in chunks] == sorted(offset for offset, _ in chunks)
        assert read_back(world, chunks) == expected

    world.run(body)


@pytest.mark.parametrize("point_in_time", [True, False])
def test_reading_a_live_volume(world: World, point_in_time: bool) -> None:
    """A crawling read of a live volume tears, a point-in-time one does not."""

    def body() -> None:
        load = world.busy(world.volume())
        world.runtime.sleep(300_000_000)
        chunks = list(world.store.begin_read("volume", point_in_time, CHUNK))
        load.stop()
        assert world.is_torn(read_back(world, chunks)) is not point_in_time

    world.run(body)


def test_a_slow_consumer_holds_reading_up(world: World) -> None:
    """While its consumer is busy a reader reads nothing, so that progress is what was consumed."""

    def body() -> None:
        world.fill(world.volume())
        reader = iter(world.store.begin_read("volume", True, CHUNK))
        next(reader)
        began = world.runtime.now()
        world.runtime.sleep(60 * 10**9)
        next(reader)
        assert world.runtime.now() - began < 61 * 10**9

    world.run(body)


@pytest.mark.parametrize(("stop", "error"), [("cancel", TransferCancelled), ("fail", TransferFailed)])
def test_a_stopped_read_raises_at_the_next_chunk(world: World, stop: str, error: type[Exception]) -> None:
    """A reader whose transfer was stopped yields nothing more, and frees the volume."""

    def body() -> None:
        world.fill(world.volume(), tuple(range(64)))
        reader = world.store.begin_read("volume", True, CHUNK)
        chunks = iter(reader)
        next(chunks)
        getattr(reader.transfer, stop)("enough")
        with pytest.raises(error):
            next(chunks)
        with pytest.raises(error):
            reader.transfer.wait()
        reader.close()
        world.store.delete("volume")

    world.run(body)


def test_written_bytes_show_their_stamps(world: World) -> None:
    """Zeros unwrite a block, bytes without a stamp are foreign, and only whole blocks within the volume are taken."""

    def body() -> None:
        world.fill(world.volume(), (5, 6, 7))
        world.store.write_bytes("volume", 5 * BLOCK, block_bytes(5, 99) + bytes(BLOCK) + b"x" * BLOCK)
        assert world.store.image("volume") == {5: 99, 7: FOREIGN}
        for offset, length in ((1, BLOCK), (0, 10), ((1 << 30), BLOCK), (-BLOCK, BLOCK)):
            with pytest.raises(ValueError, match="whole blocks"):
                world.store.write_bytes("volume", offset, bytes(length))
        with pytest.raises(ObjectUnknown):
            world.store.write_bytes("nothing", 0, bytes(BLOCK))

    world.run(body)
