"""What the control plane knows: volumes, snapshots, backups, attachments and quota. It outlives any taskflow.

Records are entered with status "creating" before a driver is called, as Cinder does, so that a crash leaves a trace.
"""

from __future__ import annotations

from typing import Any

from harness.model import Backup, Snapshot, Volume
from harness.testbed import Attachment

ANCHOR_FOR = "anchor_for"
"""The admin metadata key of a hidden volume that a snapshot depends on (R-8); the value is the snapshot's id."""


class Catalog:
    """The records of one deployment, by id."""

    def __init__(self) -> None:
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.backups: dict[str, Backup] = {}
        self._attachments: dict[str, list[Attachment]] = {}
        self._attachments_made: dict[str, int] = {}

    def add(self, record: Volume | Snapshot | Backup) -> None:
        """Enter a record. Raises ValueError if its id is taken by a record of its kind."""
        table: dict[str, Any] = self._table(record)
        if record.id in table:
            raise ValueError(f"{type(record).__name__.lower()} {record.id} exists already")
        table[record.id] = record

    def remove(self, record_id: str) -> None:
        """Drop the record of that id, whatever it is; nothing happens if there is none."""
        for table in (self.volumes, self.snapshots, self.backups):
            table.pop(record_id, None)

    def attach(self, attachment: Attachment) -> None:
        """Note an attachment; its volume counts as in use."""
        volume = self.volumes[attachment.volume_id]
        self._attachments.setdefault(volume.id, []).append(attachment)
        self._attachments_made[volume.id] = self.attachments_made(volume.id) + 1
        volume.attach_status = "attached"
        volume.status = "in-use"

    def detach(self, attachment: Attachment) -> None:
        """Forget an attachment."""
        rest = self._attachments.get(attachment.volume_id, [])
        if attachment in rest:
            rest.remove(attachment)
        volume = self.volumes.get(attachment.volume_id)
        if volume is not None and not rest:
            volume.attach_status = "detached"
            volume.status = "available"

    def attachments_made(self, volume_id: str) -> int:
        """How often a host has attached the volume so far."""
        return self._attachments_made.get(volume_id, 0)

    def resting_status(self, volume_id: str) -> str:
        """The status of a volume on which nothing works: "in-use" while it is attached, else "available"."""
        return "in-use" if self._attachments.get(volume_id) else "available"

    def attachments(self, volume_id: str) -> list[Attachment]:
        """The attachments of a volume, in the order in which they were made."""
        return list(self._attachments.get(volume_id, []))

    def visible_volumes(self) -> list[Volume]:
        """What a user lists: all but anonymous volumes (R-6)."""
        return [v for v in self.volumes.values() if v.use_quota]

    def visible_snapshots(self) -> list[Snapshot]:
        """What a user lists."""
        return [s for s in self.snapshots.values() if s.use_quota]

    def quota_gib(self) -> int:
        """GiB that users pay for: their volumes and snapshots, no anonymous ones."""
        gib = 0
        for volume in self.visible_volumes():
            gib += volume.size
        for snapshot in self.visible_snapshots():
            gib += snapshot.volume_size
        return gib

    def anchors_of(self, snapshot_id: str) -> list[Volume]:
        """The hidden volumes that were kept because this snapshot depends on them (R-8)."""
        return [v for v in self.volumes.values() if v.admin_metadata.get(ANCHOR_FOR) == snapshot_id]

    def set_available(self, record_id: str) -> None:
        """Mark the record of that id as available, whatever it is."""
        tables: tuple[dict[str, Any], ...] = (self.volumes, self.snapshots, self.backups)
        for table in tables:
            if record_id in table:
                table[record_id].status = "available"

    def _table(self, record: Volume | Snapshot | Backup) -> dict[str, Any]:
        match record:
            case Volume():
                return self.volumes
            case Snapshot():
                return self.snapshots
        return self.backups
