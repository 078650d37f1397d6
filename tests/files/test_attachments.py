"""Foreground I/O of a host."""

from __future__ import annotations

import pytest

from harness.real_targets.files.attachment import FileAttachment
from harness.real_targets.files.testbed import FilesTestbed
from harness.recorder import UNACKNOWLEDGED
from harness.runtime import SECOND, Expired
from harness.schedule import Fault
from harness.stamps import read_stamp
from harness.storage import BLOCK, ObjectUnknown, StorageError, TransferCancelled
from harness.testbed import LoadSpec

from .support import FIRST, LAST, MIDDLE, make_volume, process_state, write


@pytest.fixture
def attachment(bed: FilesTestbed) -> FileAttachment:
    """The volume `volume` as `host` has it attached; its first block shows 1."""
    make_volume(bed.backend("primary").store, first=1)
    return bed.backend("primary").attach("volume", "host")


def test_write_is_on_the_medium_and_on_record(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """A write is in the file and in the record, issued before acknowledged; it can be read back."""
    attachment.write(LAST, 2)
    log = bed.recorder.writes("volume")
    assert (list(log.blocks), list(log.stamps)) == ([LAST], [2])
    assert 0 < log.issued[0] < log.acknowledged[0]
    assert bed.backend("primary").store.image("volume") == {FIRST: 1, LAST: 2}
    assert list(attachment.extents()) == [(0, BLOCK), (LAST * BLOCK, BLOCK)]
    assert read_stamp(attachment.read(LAST * BLOCK, BLOCK)) == (LAST, 2)


def test_gate_holds_writes(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """A held write is issued but neither applied nor acknowledged; after the release it is both."""
    attachment.gate.hold("owner", SECOND, 60 * SECOND)
    task = bed.runtime.spawn("writer", lambda: attachment.write(FIRST, 2))
    log = bed.recorder.writes("volume")
    while not len(log):
        bed.runtime.sleep(SECOND // 1000)
    assert log.acknowledged[0] == UNACKNOWLEDGED
    assert bed.backend("primary").store.image("volume") == {FIRST: 1}
    attachment.gate.release("owner")
    task.wait()
    assert log.acknowledged[0] != UNACKNOWLEDGED
    assert bed.backend("primary").store.image("volume") == {FIRST: 2}


def test_stalled_write_keeps_a_hold_from_draining(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """With a drain stall a write is applied but not acknowledged, so that a hold expires; later it is acknowledged."""
    bed.inject(Fault("drain.stall", volume="volume", for_ns=SECOND))
    load = attachment.load(LoadSpec((FIRST, MIDDLE, LAST), streams=3, think_ns=1000))
    log = bed.recorder.writes("volume")
    while len(log) < 10:
        bed.runtime.sleep(SECOND // 1000)
    with pytest.raises(Expired):
        attachment.gate.hold("owner", SECOND // 10, 60 * SECOND)
    assert not attachment.gate.holding
    load.stop()
    assert UNACKNOWLEDGED not in log.acknowledged
    assert bed.recorder.find("fault", fault="drain.stall")
    attachment.gate.hold("owner", 60 * SECOND, 60 * SECOND)


def test_stall_without_a_hold_lets_writes_through(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """A drain stall that never meets a hold only delays writes."""
    bed.inject(Fault("drain.stall", volume="volume", for_ns=3600 * SECOND))
    attachment.write(FIRST, 2)
    assert UNACKNOWLEDGED not in bed.recorder.writes("volume").acknowledged


def test_detach_waits_for_writes(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """Detaching ends after the writes that are outstanding; later ones are refused."""
    attachment.gate.hold("owner", SECOND, 60 * SECOND)
    writer = bed.runtime.spawn("writer", lambda: attachment.write(FIRST, 2))
    while not len(bed.recorder.writes("volume")):
        bed.runtime.sleep(SECOND // 1000)
    detacher = bed.runtime.spawn("detacher", attachment.detach)
    with pytest.raises(Expired):
        detacher.wait(SECOND // 20)
    attachment.gate.release("owner")
    detacher.wait()
    assert writer.is_over
    with pytest.raises(StorageError, match="not attached"):
        attachment.write(FIRST, 3)
    assert len(bed.recorder.writes("volume")) == 1


def test_write_beyond_the_end_fails(attachment: FileAttachment) -> None:
    """A write past the volume's end is refused, and the file keeps its size."""
    with pytest.raises(StorageError, match="beyond the end"):
        attachment.write(LAST + 1, 2)
    assert attachment.volume.size == (LAST + 1) * BLOCK


def test_write_to_a_deleted_volume_fails(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """Once the volume is deleted its attachment writes nowhere, not even to a new volume of the same id."""
    store = bed.backend("primary").store
    store.delete("volume")
    store.create_volume("volume", 1)
    with pytest.raises(ObjectUnknown):
        attachment.write(FIRST, 2)
    assert store.image("volume") == {}


def test_host_copy_goes_to_any_family(quick: FilesTestbed) -> None:
    """A host copies between backends of different families; what the destination held before is gone."""
    source, destination = quick.backend("primary"), quick.backend("stranger")
    make_volume(source.store, first=1, last=2)
    make_volume(destination.store, "other", middle=3)
    source.attach("volume", "host").copy_to(destination.attach("other", "host"))
    assert destination.store.image("other") == {FIRST: 1, LAST: 2}


def test_abandoned_host_copy_stops(bed: FilesTestbed, attachment: FileAttachment) -> None:
    """When the caller of a host copy dies its copying process ends, and both volumes are free again."""
    primary = bed.backend("primary")
    make_volume(primary.store, "other")
    task = bed.runtime.spawn("host copy", lambda: attachment.copy_to(primary.attach("other", "host")))
    while not primary.store.running():
        bed.runtime.sleep(SECOND // 1000)
    transfer = primary.store.running()[0]
    task.abandon()
    with pytest.raises(TransferCancelled):
        transfer.wait()
    assert process_state(transfer.pid) == ""
    write(primary.store, "other", first=9)
    primary.store.delete("other")
