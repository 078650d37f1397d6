"""Moves under writers."""

from __future__ import annotations

import pytest

from harness.model import GIB
from harness.point_in_time import lost_writes
from harness.real_targets.backing.store import FileStore
from harness.real_targets.files.testbed import FilesTestbed
from harness.storage import BLOCK, CopyRequest, ObjectBusy, ObjectUnknown, TransferCancelled
from harness.testbed import LoadSpec

from .support import FIRST, LAST, MIDDLE, files_of, go_on, hold, make_volume, process_state, write


@pytest.fixture
def ends(bed: FilesTestbed) -> tuple[FileStore, FileStore]:
    """The storage of the primary and of the sibling; the primary holds `volume`."""
    make_volume(bed.backend("primary").store, first=1, last=2)
    return bed.backend("primary").store, bed.backend("sibling").store


def test_live_move_carries_writes_over(bed: FilesTestbed, ends: tuple[FileStore, FileStore]) -> None:
    """Writes behind and ahead of the process arrive, and an attachment goes on at the destination."""
    source, destination = ends
    attachment = bed.backend("primary").attach("volume", "host")
    transfer = source.begin_move("volume", destination, live=True)
    hold(transfer)
    attachment.write(FIRST, 3)
    attachment.write(LAST, 4)
    assert [(o.id, o.complete) for o in destination.objects()] == [("volume", False)]
    go_on(transfer)
    transfer.wait()
    attachment.write(MIDDLE, 5)
    assert destination.image("volume") == {FIRST: 3, LAST: 4, MIDDLE: 5}
    assert files_of(source) == []
    with pytest.raises(ObjectUnknown):
        source.image("volume")


def test_other_move_loses_the_write_behind_it(ends: tuple[FileStore, FileStore]) -> None:
    """Without tracking, a write to a block that was already copied is gone after the cut-over."""
    source, destination = ends
    transfer = source.begin_move("volume", destination, live=False)
    hold(transfer)
    write(source, "volume", first=3, last=4)
    go_on(transfer)
    transfer.wait()
    assert destination.image("volume") == {FIRST: 1, LAST: 4}


def test_live_move_under_load_loses_nothing(bed: FilesTestbed, ends: tuple[FileStore, FileStore]) -> None:
    """With four writers at work before, during and after the move, no acknowledged write is lost."""
    source, destination = ends
    attachment = bed.backend("primary").attach("volume", "host")
    blocks = tuple(range(1024, GIB // BLOCK, 2048))
    load = attachment.load(LoadSpec(blocks, streams=4, think_ns=50_000))
    transfer = source.begin_move("volume", destination, live=True)
    transfer.wait()
    moved = bed.recorder.tick()
    log = bed.recorder.writes("volume")
    while log.issued[-1] < moved:
        bed.runtime.sleep(1_000_000)
    load.stop()
    before = {FIRST: 1, LAST: 2}
    assert lost_writes(log, destination.image("volume"), bed.recorder.tick(), before) == []
    assert len(log) > 200


def test_stopped_move_leaves_the_volume_where_it_was(bed: FilesTestbed, ends: tuple[FileStore, FileStore]) -> None:
    """After a cancelled move the volume is at the source with every write, nothing is at the destination."""
    source, destination = ends
    transfer = source.begin_move("volume", destination, live=True)
    hold(transfer)
    write(source, "volume", first=3)
    transfer.cancel("enough")
    assert process_state(transfer.pid) == ""
    assert files_of(destination) == []
    with pytest.raises(TransferCancelled):
        transfer.wait()
    assert source.image("volume") == {FIRST: 3, LAST: 2}


def test_moving_volume_is_left_alone(ends: tuple[FileStore, FileStore]) -> None:
    """While a volume moves it is not copied, moved, extended, read or deleted; while it is copied it is not moved."""
    source, destination = ends
    transfer = source.begin_move("volume", destination, live=True)
    hold(transfer)
    request = CopyRequest("volume", "snap", "snapshot", True)
    for attempt in (
        lambda: source.begin_copy(request, source),
        lambda: source.begin_move("volume", destination, live=True),
        lambda: source.begin_read("volume", True, BLOCK),
        lambda: source.extend_volume("volume", 2),
        lambda: source.delete("volume"),
        lambda: destination.delete("volume"),
    ):
        with pytest.raises(ObjectBusy):
            attempt()
    transfer.cancel("enough")
    copy = source.begin_copy(request, source)
    hold(copy)
    with pytest.raises(ObjectBusy):
        source.begin_move("volume", destination, live=True)
    copy.cancel("enough")
