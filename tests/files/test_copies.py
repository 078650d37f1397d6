"""Copies: what they show of a source that is being written, and how they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from harness.model import GIB
from harness.point_in_time import check_image
from harness.real_targets.backing.store import FileStore
from harness.real_targets.files.testbed import FilesTestbed
from harness.storage import (
    BLOCK,
    CopyRequest,
    ObjectBusy,
    ObjectExists,
    ObjectUnknown,
    TransferCancelled,
    TransferFailed,
    Unsupported,
)
from harness.testbed import LoadSpec

from .support import FIRST, LAST, MIDDLE, files_of, go_on, hold, make_volume, process_state, write


@pytest.fixture
def store(bed: FilesTestbed) -> FileStore:
    """The primary backend's storage."""
    return bed.backend("primary").store


@pytest.fixture
def quick_store(quick: FilesTestbed) -> FileStore:
    """The storage of a backend whose copies take next to no time."""
    return quick.backend("primary").store


def snapshot(point_in_time: bool = True) -> CopyRequest:
    """A snapshot of `volume`."""
    return CopyRequest("volume", "snap", "snapshot", point_in_time)


def test_point_in_time_copy_shows_the_start(store: FileStore) -> None:
    """Writes to a passed block, to one not yet passed and to a hole, twice over, do not show in the copy."""
    make_volume(store, first=1, last=2)
    transfer = store.begin_copy(snapshot(), store)
    hold(transfer)
    write(store, "volume", first=3, last=4, middle=5)
    write(store, "volume", first=6, last=7, middle=8)
    go_on(transfer)
    transfer.wait()
    assert store.image("snap") == {FIRST: 1, LAST: 2}
    assert store.image("volume") == {FIRST: 6, LAST: 7, MIDDLE: 8}


def test_crawling_copy_tears(store: FileStore) -> None:
    """A plain copy misses the write behind it and shows a later one ahead of it: no instant looked like that."""
    make_volume(store, first=1, last=2)
    transfer = store.begin_copy(snapshot(point_in_time=False), store)
    hold(transfer)
    write(store, "volume", first=3)
    write(store, "volume", last=4)
    go_on(transfer)
    transfer.wait()
    assert store.image("snap") == {FIRST: 1, LAST: 4}


def test_copy_under_load_is_the_instant_of_the_start(bed: FilesTestbed, store: FileStore) -> None:
    """With four writers at work all the while, the copy is a point-in-time image of the moment of the start call."""
    make_volume(store)
    attachment = bed.backend("primary").attach("volume", "host")
    load = attachment.load(LoadSpec(tuple(range(0, GIB // BLOCK, 2048)), streams=4, think_ns=100_000))
    log = bed.recorder.writes("volume")
    while len(log) < 200:
        bed.runtime.sleep(1_000_000)
    invoked = bed.recorder.tick()
    transfer = store.begin_copy(snapshot(), store)
    returned = bed.recorder.tick()
    transfer.wait()
    load.stop()
    verdict = check_image(log, store.image("snap"), invoked, returned)
    assert verdict.ok, verdict.message
    assert log.issued[-1] > returned


def test_incomplete_copy_is_not_usable(bed: FilesTestbed, store: FileStore) -> None:
    """Until a copy is whole it is listed as incomplete, and can be neither read, attached, copied nor deleted."""
    make_volume(store, first=1)
    transfer = store.begin_copy(CopyRequest("volume", "clone", "volume", True), store)
    hold(transfer)
    assert [(o.id, o.complete) for o in store.objects()] == [("clone", False), ("volume", True)]
    with pytest.raises(ObjectUnknown):
        store.image("clone")
    with pytest.raises(ObjectUnknown):
        bed.backend("primary").attach("clone", "host")
    with pytest.raises(ObjectUnknown):
        store.begin_copy(CopyRequest("clone", "other", "volume", True), store)
    with pytest.raises(ObjectBusy):
        store.delete("clone")
    with pytest.raises(ObjectExists):
        store.create_volume("clone", 1)
    go_on(transfer)
    transfer.wait()
    assert [(o.id, o.complete) for o in store.objects()] == [("clone", True), ("volume", True)]
    assert store.image("clone") == {FIRST: 1}


def test_source_in_use_is_not_deleted(store: FileStore) -> None:
    """A volume that is being copied can't be deleted; afterwards it can, and the snapshot stays."""
    make_volume(store, first=1)
    transfer = store.begin_copy(snapshot(), store)
    hold(transfer)
    with pytest.raises(ObjectBusy):
        store.delete("volume")
    go_on(transfer)
    transfer.wait()
    store.delete("volume")
    assert store.image("snap") == {FIRST: 1}


@pytest.mark.parametrize(("way", "error"), [("cancel", TransferCancelled), ("fail", TransferFailed)])
def test_stopped_copy_leaves_nothing(store: FileStore, way: str, error: type[Exception]) -> None:
    """Stopping returns when the process is gone and no file is left; the source can then be deleted."""
    make_volume(store, first=1)
    before = files_of(store)
    transfer = store.begin_copy(snapshot(), store)
    hold(transfer)
    write(store, "volume", first=2)
    getattr(transfer, way)("enough")
    assert process_state(transfer.pid) == ""
    assert files_of(store) == before
    with pytest.raises(error, match="enough"):
        transfer.wait()
    store.delete("volume")
    assert files_of(store) == []


def test_killed_process_fails_the_copy(store: FileStore) -> None:
    """A copying process that dies on its own account makes the transfer fail, and leaves nothing."""
    make_volume(store, first=1)
    transfer = store.begin_copy(snapshot(), store)
    hold(transfer)
    os.kill(transfer.pid, signal.SIGKILL)
    with pytest.raises(TransferFailed, match="status -9"):
        transfer.wait()
    assert files_of(store) == ["volume.volume"]


def test_cancelling_what_is_over_is_harmless(quick_store: FileStore) -> None:
    """Cancelling after the end changes nothing."""
    make_volume(quick_store, first=1)
    transfer = quick_store.begin_copy(snapshot(), quick_store)
    transfer.wait()
    transfer.cancel("too late")
    transfer.wait()
    assert quick_store.image("snap") == {FIRST: 1}


def test_other_family_is_refused_before_any_effect(quick: FilesTestbed, quick_store: FileStore) -> None:
    """Copies and moves to another family are unsupported, and neither end shows a trace of the attempt."""
    make_volume(quick_store, first=1)
    stranger = quick.backend("stranger").store
    with pytest.raises(Unsupported):
        quick_store.begin_copy(snapshot(), stranger)
    with pytest.raises(Unsupported):
        quick_store.begin_move("volume", stranger, live=True)
    assert files_of(stranger) == []
    assert files_of(quick_store) == ["volume.volume"]


def test_snapshot_goes_to_a_relative(quick: FilesTestbed, quick_store: FileStore) -> None:
    """A snapshot is copied to the sibling as a snapshot of the same volume, and outlives the volume here and there."""
    make_volume(quick_store, first=1)
    sibling = quick.backend("sibling").store
    quick_store.begin_copy(snapshot(), quick_store).wait()
    quick_store.begin_copy(CopyRequest("snap", "snap-2", "snapshot", True), sibling).wait()
    quick_store.delete("volume")
    assert [(o.id, o.kind, o.parent) for o in sibling.objects()] == [("snap-2", "snapshot", "volume")]
    assert sibling.image("snap-2") == quick_store.image("snap") == {FIRST: 1}


def test_clone_may_be_larger(quick_store: FileStore) -> None:
    """A clone has the size that was asked for; one that is too small is unsupported."""
    make_volume(quick_store, last=1)
    quick_store.extend_volume("volume", 2)
    quick_store.begin_copy(CopyRequest("volume", "clone", "volume", True, 3), quick_store).wait()
    assert [(o.id, o.size) for o in quick_store.objects()] == [("clone", 3), ("volume", 2)]
    assert quick_store.image("clone") == {LAST: 1}
    with pytest.raises(Unsupported):
        quick_store.begin_copy(CopyRequest("volume", "small", "volume", True, 1), quick_store)


def test_revert_gives_the_snapshot_back(store: FileStore) -> None:
    """A reverted volume shows its snapshot; one whose revert was stopped shows what it held."""
    make_volume(store, first=1)
    store.begin_copy(snapshot(), store).wait()
    write(store, "volume", first=2, last=3)
    transfer = store.begin_revert("volume", "snap")
    hold(transfer)
    transfer.cancel("enough")
    assert store.image("volume") == {FIRST: 2, LAST: 3}
    store.begin_revert("volume", "snap").wait()
    assert store.image("volume") == store.image("snap") == {FIRST: 1}
    assert len(files_of(store)) == 2


def test_volume_with_snapshots_stays_where_they_depend_on_it(open_bed: Callable[..., FilesTestbed]) -> None:
    """With the option for it, a volume is neither deleted nor moved while it has snapshots."""
    bed = open_bed(whole_copy_s=0.01, snapshots_depend_on_volume=True)
    store = bed.backend("primary").store
    make_volume(store, first=1)
    store.begin_copy(snapshot(), store).wait()
    with pytest.raises(ObjectBusy):
        store.delete("volume")
    with pytest.raises(ObjectBusy):
        store.begin_move("volume", bed.backend("sibling").store, live=True)
    store.delete("snap")
    store.delete("volume")
    assert files_of(store) == []
