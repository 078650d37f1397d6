"""Drivers that break what they say of live volumes, or what a quiesced volume is to become (section Q)."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from conformance.faulty.kinds import Blocking, BlockingAndSilent
from harness.driver_kit import run_job
from harness.model import BackupChunk, Context, Snapshot, Volume
from harness.reference_driver import EVERYTHING, ReferenceDriver
from harness.testbed import Job


class CrawlingSnapshot(ReferenceDriver):
    """Lists create_snapshot, but copies the live volume block after block."""

    must_fail = ("Q-9",)

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        return dataclasses.replace(job, point_in_time=False) if method == "create_snapshot" else job


class CrawlingBackup(ReferenceDriver):
    """Lists backup_volume, but reads the live volume from one end to the other."""

    must_fail = ("Q-9",)

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        return dataclasses.replace(job, point_in_time=False) if method == "backup_volume" else job


class MoveWithoutMirror(ReferenceDriver):
    """Lists migrate_volume, but forgets what is written to blocks that it has copied already."""

    must_fail = ("Q-9",)
    may_fail = ("R-12",)

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        return dataclasses.replace(job, point_in_time=False) if method == "migrate_volume" else job


class ReturnsTooSoon(BlockingAndSilent):
    """Returns from create_cloned_volume as soon as the backend has accepted the copy."""

    must_fail = ("Q-10",)
    may_fail = ("R-9",)

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """Start a clone."""
        job = self._job("create_cloned_volume", {"volume": volume, "src_vref": src_vref})
        self.connection.start(job, self._request_id())


class SnapshotOfHalf(BlockingAndSilent):
    """Reports a snapshot of a quiesced volume as made while the backend still works on it."""

    must_fail = ("Q-10",)
    may_fail = ("R-3", "R-4", "R-8", "R-9", "R-10", "Q-11", "A-2", "R-1", "R-2", "R-6", "R-7", "R-11", "R-5")

    def create_snapshot(self, snapshot: Snapshot) -> None:
        """Start a snapshot."""
        self.connection.start(self._job("create_snapshot", {"snapshot": snapshot}), self._request_id())


class StatusWhileBusy(Blocking):
    """Lists backup_volume, but sets the volume's status while it works."""

    must_fail = ("Q-7",)
    may_fail = ("Q-13",)

    def backup_volume(self, context: Context, source: Volume | Snapshot, technique: str, sink: Any) -> None:
        """Back up, with the status that Cinder's backup manager would set."""
        before, source.status = source.status, "backing-up"
        try:
            super().backup_volume(context, source, technique, sink)
        finally:
            source.status = before


class GrowsWhatItClones(Blocking):
    """Lists create_cloned_volume, but rounds the source volume up to a whole number of extents first."""

    must_fail = ("Q-7",)
    may_fail = ("Q-13", "R-6", "R-12")

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """Grow the source, then clone it."""
        self._run("extend_volume", volume=src_vref, new_size=src_vref.size + 1)
        self._run("create_cloned_volume", volume=dataclasses.replace(volume, size=src_vref.size + 1), src_vref=src_vref)


class CloneOnlyAsActivity(ReferenceDriver):
    """Clones as an activity, but its blocking create_cloned_volume was never written."""

    must_fail = ("Q-9",)
    may_fail = ("Q-10", "R-9")

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """To be done."""


class ExtendsNothing(ReferenceDriver):
    """Answers extend_volume at once and leaves the volume as it is."""

    must_fail = ("Q-10",)
    may_fail = ("R-6",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: everything but that extending is stateless."""
        listed = tuple(m for m in EVERYTHING["stateless_activities"] if m != "extend_volume")
        return MappingProxyType({**EVERYTHING, "stateless_activities": listed})

    def extend_volume(self, volume: Volume, new_size: int) -> None:
        """The pool is thin, after all."""


_HEAD = 32 << 20
"""Bytes at the beginning of a volume, more than lie between two blocks that a test writes."""


class WipesTheHead(BlockingAndSilent):
    """Wipes the beginning of the volume that it clones, which it takes for a part of its own while nobody writes."""

    must_fail = ("Q-2",)
    may_fail = ("Q-4", "Q-10", "Q-13")

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """Clone, then tidy up the wrong one."""
        super().create_cloned_volume(volume, src_vref)
        wipe_head(self, src_vref)


class FormatsWhatItExtends(ReferenceDriver):
    """Writes the volume's head anew once it has extended the volume, as it does for a new one."""

    must_fail = ("Q-2",)
    may_fail = ("Q-4", "Q-9", "Q-10", "R-6")

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: everything but that extending is stateless."""
        listed = tuple(m for m in EVERYTHING["stateless_activities"] if m != "extend_volume")
        return MappingProxyType({**EVERYTHING, "stateless_activities": listed})

    def extend_volume(self, volume: Volume, new_size: int) -> None:
        """Extend and format."""
        super().extend_volume(volume, new_size)
        wipe_head(self, volume)


def wipe_head(driver: ReferenceDriver, volume: Volume) -> None:
    """Overwrite the first bytes of a volume with zeros."""
    zeros = BackupChunk(0, _HEAD, "none", bytes(_HEAD))
    run_job(driver.connection, Job("write", target=volume.id, chunks=(zeros,)), str(uuid.uuid4()))


class SnapshotReadsThrough(ReferenceDriver):
    """Makes a volume from a snapshot by copying what the snapshot's volume holds now."""

    must_fail = ("Q-10", "R-3")
    may_fail = ("R-8", "R-9")

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: nothing."""
        return MappingProxyType({})

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        if method == "create_volume_from_snapshot":
            return dataclasses.replace(job, source=arguments["snapshot"].volume_id)
        return job
