"""Where backups go, and what the standard decoders make of them."""

import itertools
import random
import threading
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backup_store import ImageService, MemorySink, restore_image
from harness.compression import TECHNIQUES, codec
from harness.model import BackupChunk
from harness.stamps import FOREIGN, block_bytes
from harness.storage import BLOCK


def chunk_of(data: bytes, offset: int = 0, label: str = "zlib") -> BackupChunk:
    """An honest chunk."""
    return BackupChunk(offset, len(data), label, codec(label).compress(data))


@given(
    st.dictionaries(st.integers(0, 9), st.integers(1, 1000), max_size=5),
    st.lists(st.integers(1, 10 * BLOCK - 1), max_size=4, unique=True),
    st.randoms(use_true_random=False),
)
def test_chunks_of_any_cut_restore_the_volume(image: dict[int, int], cuts: list[int], source: random.Random) -> None:
    """However a volume is cut into chunks, labelled and ordered, decoding by the labels restores its image (C-5)."""
    volume = b"".join(block_bytes(block, image.get(block, 0)) for block in range(10))
    bounds = [0, *sorted(cuts), len(volume)]
    chunks = [chunk_of(volume[low:high], low, source.choice(TECHNIQUES)) for low, high in itertools.pairwise(bounds)]
    source.shuffle(chunks)
    assert restore_image(chunks) == image


@pytest.mark.parametrize("label", TECHNIQUES)
def test_data_compressed_twice_is_found(label: str) -> None:
    """A chunk that needs two decodings is refused, and named (C-3)."""
    plain = block_bytes(3, 7) + block_bytes(4, 8)
    once = zlib.compress(plain)
    with pytest.raises(ValueError, match=rf"chunk 1 \(offset {3 * BLOCK}.*(twice|wrongly)"):
        restore_image([chunk_of(bytes(BLOCK)), chunk_of(once, 3 * BLOCK, label)])
    if label != "none":
        with pytest.raises(ValueError, match="chunk 0"):
            restore_image([BackupChunk(0, len(plain), label, codec(label).compress(once))])


def test_lying_label_is_found() -> None:
    """A chunk that decodes with another technique than its label's is refused, and the true one named (C-5)."""
    data = block_bytes(0, 1)
    with pytest.raises(ValueError, match=r"chunk 0 .*labelled 'zstd'.*really bz2"):
        restore_image([BackupChunk(0, BLOCK, "zstd", codec("bz2").compress(data))])
    with pytest.raises(ValueError, match=r"chunk 0 .*unknown compression technique 'lz9'.*really none"):
        restore_image([BackupChunk(0, BLOCK, "lz9", data)])


def test_bytes_without_a_stamp_are_left_to_the_image_clauses() -> None:
    """A torn block is no codec fault: it shows as foreign."""
    torn = bytearray(block_bytes(0, 1))
    torn[-1] ^= 1
    assert restore_image([chunk_of(bytes(torn))]) == {0: FOREIGN}


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12))
def test_sink_takes_exactly_disjoint_chunks(ranges: list[tuple[int, int]]) -> None:
    """A chunk is refused if and only if it overlaps one taken before or passes the end; order is kept."""
    sink = MemorySink(70)
    taken: list[tuple[int, int]] = []
    for offset, length in ranges:
        fits = offset + length <= 70 and not any(o < offset + length and offset < o + n for o, n in taken)
        if fits:
            sink.write(offset, length, "none", bytes(length))
            taken.append((offset, length))
        else:
            with pytest.raises(ValueError, match=r"overlaps|outside"):
                sink.write(offset, length, "none", bytes(length))
    assert [(c.offset, c.length) for c in sink.chunks] == taken


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1, "none", b"x"), "offset -1"),
        ((0, 0, "none", b""), "0 bytes"),
        ((0.0, 1, "none", b"x"), "offset must be an int"),
        ((0, True, "none", b"x"), "length must be an int"),
        ((0, 1, None, b"x"), "label must be a str"),
        ((0, 1, "none", "x"), "payload must be bytes"),
        ((99, 2, "none", b"xy"), "ends at 101, outside the volume of 100 bytes"),
    ],
)
def test_sink_refuses_what_is_no_chunk(arguments: tuple[int, int, str, bytes], message: str) -> None:
    """Wrong types and empty ranges are refused with a text that says what was expected."""
    with pytest.raises(ValueError, match=message):
        MemorySink(100).write(*arguments)


def test_sink_keeps_a_copy() -> None:
    """A buffer that the driver uses again does not change what was written."""
    buffer = bytearray(b"abc")
    sink = MemorySink()
    sink.write(0, 3, "none", buffer)
    buffer[:] = b"xyz"
    assert sink.chunks[0].payload == b"abc"


class SlowList(list[tuple[int, int]]):
    """A list that lets other threads run between the decision to insert and the insertion."""

    def insert(self, *args: Any) -> None:
        time.sleep(0.001)
        super().insert(*args)


def test_sink_between_threads() -> None:
    """Of threads that write the same ranges at once, exactly one gets each range."""
    sink = MemorySink()
    sink._ranges = SlowList()
    taken: list[int] = []

    def write() -> None:
        for number in range(20):
            try:
                sink.write(number * 10, 10, "none", bytes(10))
            except ValueError:
                continue
            taken.append(number)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(20))
    assert sorted(chunk.offset for chunk in sink.chunks) == list(range(0, 200, 10))


def test_image_service_keeps_images_apart() -> None:
    """Each image has its own sink until it is discarded, and an unknown one is named."""
    service = ImageService()
    service.sink("a").write(0, 1, "none", b"a")
    service.sink("a").write(1, 1, "none", b"b")
    service.sink("b").write(0, 1, "none", b"c")
    assert [chunk.payload for chunk in service.chunks("a")] == [b"a", b"b"]
    service.discard("a")
    with pytest.raises(KeyError, match="'a'"):
        service.chunks("a")
