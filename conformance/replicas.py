"""What checks of snapshot replication begin with: a volume in use, its snapshot, and the way that it is to take."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.lab import Lab
from harness.load import write_each
from harness.model import Snapshot, Volume
from harness.storage import Image
from harness.taskflow.errors import TaskflowError
from harness.testbed import Attachment, Capability

WAYS = ("native", "fallback", "other family")
"""Native replication to a backend of the family; the fallback within it; the fallback to another family."""


@dataclass
class Case:
    """A volume in use, a snapshot of it, and where the snapshot is to go."""

    volume: Volume
    attachment: Attachment
    snapshot: Snapshot
    destination: str
    new_id: str
    before: Image


def expect_native(lab: Lab) -> None:
    """End the check as not applicable unless the driver publishes that it replicates snapshots, and can."""
    if not _is_native(lab):
        lab.not_applicable("snapshot replication is not published")


def _is_native(lab: Lab) -> bool:
    return lab.publication.snapshot_replication and lab.implements("replicate_snapshot")


def prepare(lab: Lab, way: str) -> Case:
    """The case for a way, or not applicable where the publication does not lead there."""
    ends = lab.taskflow.core.ends
    native = _is_native(lab)
    if way == "native":
        expect_native(lab)
    if way == "fallback" and native:
        lab.not_applicable("snapshot replication is published, so within the family the native way is taken")
    destination = "stranger" if way == "other family" else "sibling"
    if destination not in ends:
        lab.unverifiable(f"the testbed has no backend of another family ({Capability.SECOND_FAMILY.value})")
    if not lab.implements("create_snapshot"):
        lab.not_applicable("the driver makes no snapshots")
    volume = lab.volume()
    snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    attachment = lab.attach(volume)
    # newer than the snapshot, and left alone by the load: what reverts it shows
    write_each(attachment, [block + 1 for block in lab.working_set()[::8]], lab.recorder)
    before = lab.image("primary", snapshot.id)
    if before is None:
        raise TaskflowError(f"the snapshot {snapshot.id} that the driver made is not there")
    return Case(volume, attachment, snapshot, destination, lab.identifier("replica"), dict(before))
