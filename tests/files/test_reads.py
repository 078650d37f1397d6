"""Reading a whole object chunk by chunk."""

from __future__ import annotations

import pytest

from harness.real_targets.backing.reader import FileReader
from harness.real_targets.backing.store import FileStore
from harness.real_targets.files.testbed import FilesTestbed
from harness.stamps import block_bytes, read_stamp
from harness.storage import BLOCK, TransferCancelled, TransferFailed

from .support import FIRST, LAST, MIDDLE, files_of, go_on, hold, make_volume, process_state, write

CHUNK = 16 * BLOCK


@pytest.fixture
def store(bed: FilesTestbed) -> FileStore:
    """The primary backend's storage, which holds `volume`."""
    store = bed.backend("primary").store
    make_volume(store, first=1, last=2)
    return store


def stamps(reader: FileReader) -> dict[int, int]:
    """What the chunks show, block → stamp."""
    shown = {}
    for offset, data in reader:
        for place in range(0, len(data), BLOCK):
            found = read_stamp(data[place : place + BLOCK])
            if found is not None:
                assert found[0] == (offset + place) // BLOCK
                shown[found[0]] = found[1]
    return shown


@pytest.mark.parametrize(
    ("point_in_time", "shown"), [(True, {FIRST: 1, LAST: 2}), (False, {FIRST: 1, LAST: 4, MIDDLE: 5})]
)
def test_reading_under_a_writer(store: FileStore, point_in_time: bool, shown: dict[int, int]) -> None:
    """A point-in-time reader shows the start, a crawling one what it meets; both leave nothing behind."""
    reader = store.begin_read("volume", point_in_time, CHUNK)
    hold(reader.copy)
    write(store, "volume", first=3, last=4, middle=5)
    go_on(reader.copy)
    assert stamps(reader) == shown
    reader.close()
    assert files_of(store) == ["volume.volume"]


def test_chunks_ascend_and_skip_holes(quick: FilesTestbed) -> None:
    """Chunks come in order, no larger than asked for, and only where something was written."""
    store = quick.backend("primary").store
    store.create_volume("volume", 1)
    for block in (*range(40), LAST):
        store.write_bytes("volume", block * BLOCK, block_bytes(block, block + 1))
    reader = store.begin_read("volume", True, CHUNK)
    found = [(offset, len(data)) for offset, data in reader]
    assert found == [(0, CHUNK), (CHUNK, CHUNK), (2 * CHUNK, 8 * BLOCK), (LAST * BLOCK, BLOCK)]
    reader.close()


@pytest.mark.parametrize(("way", "error"), [("cancel", TransferCancelled), ("fail", TransferFailed)])
def test_stopped_reading_raises_in_the_loop(store: FileStore, way: str, error: type[Exception]) -> None:
    """Whoever reads meets the end of the transfer at the next chunk."""
    reader = store.begin_read("volume", True, CHUNK)
    chunks = iter(reader)
    next(chunks)
    getattr(reader.transfer, way)("enough")
    with pytest.raises(error, match="enough"):
        next(chunks)
    reader.close()


def test_closing_early_frees_everything(store: FileStore) -> None:
    """A reader that is closed in the middle ends the process, and the volume can be deleted."""
    reader = store.begin_read("volume", True, CHUNK)
    next(iter(reader))
    reader.close()
    assert process_state(reader.copy.pid) == ""
    store.delete("volume")
    assert files_of(store) == []


def test_cancelling_works_once_the_process_is_done(quick: FilesTestbed) -> None:
    """A reader that has not taken everything can be cancelled though the process is over; it gets no further chunk."""
    store = quick.backend("primary").store
    store.create_volume("volume", 1)
    store.write_bytes("volume", 0, bytes(3 * CHUNK))
    reader = store.begin_read("volume", True, CHUNK)
    chunks = iter(reader)
    next(chunks)
    reader.copy.wait_for(lambda: reader.copy.moved() == reader.copy.total)
    reader.transfer.cancel("enough")
    with pytest.raises(TransferCancelled):
        next(chunks)
    reader.close()
