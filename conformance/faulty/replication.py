"""Drivers that lose, spoil or leave something behind when snapshots are replicated (section R)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from conformance.faulty.kinds import Blocking, BlockingAndSilent
from harness.activity import ActivityState, ActivityStatus
from harness.contract import BackendActivityError
from harness.driver_kit import delete_if_there, run_job
from harness.model import Context, Snapshot, Volume, backend_name
from harness.reference_driver import ReferenceDriver
from harness.testbed import Job


class ReplicatesTheVolume(ReferenceDriver):
    """Replicates what the volume holds now instead of what the snapshot holds."""

    must_fail = ("R-3",)
    may_fail = ("R-9", "Q-7", "R-6")

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        if method == "replicate_snapshot":
            return dataclasses.replace(job, source=arguments["snapshot"].volume_id)
        return job


class MovesTheSnapshot(Blocking):
    """Deletes the source snapshot once it has arrived at the destination."""

    must_fail = ("R-4",)
    may_fail = ("R-9", "R-10", "R-3")

    def replicate_snapshot(
        self, context: Context, snapshot: Snapshot, destination: dict[str, Any], new_snapshot: Snapshot
    ) -> None:
        """Replicate, then free the space at the source."""
        super().replicate_snapshot(context, snapshot, destination, new_snapshot)
        delete_if_there(self.connection, snapshot.id, self._request_id())


class SecondCopy(Blocking):
    """Makes another copy at the destination each time that it is asked for the same one."""

    must_fail = ("R-10",)
    may_fail = ("R-8", "R-9")

    def replicate_snapshot(
        self, context: Context, snapshot: Snapshot, destination: dict[str, Any], new_snapshot: Snapshot
    ) -> None:
        """Replicate; where the name is taken, take the next one."""
        super().replicate_snapshot(context, snapshot, destination, new_snapshot)
        if new_snapshot.status == "available":
            again = dataclasses.replace(new_snapshot, id=f"{new_snapshot.id}-1")
            super().replicate_snapshot(context, snapshot, destination, again)


class LeavesItsSafetyCopy(BlockingAndSilent):
    """Makes a safety copy before it migrates a volume, and forgets it where the migration fails."""

    must_fail = ("R-9",)
    may_fail = ("Q-2", "R-12")

    def migrate_volume(
        self, context: Context, volume: Volume, host: dict[str, Any]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Migrate with a net."""
        safety = f"{volume.id}-safety"
        copy = Job("copy", volume.id, safety, size=volume.size)
        run_job(self.connection, copy, self._request_id())
        answer = super().migrate_volume(context, volume, host)
        delete_if_there(self.connection, safety, self._request_id())
        return answer


class HalfAMove(BlockingAndSilent):
    """Migrates by a copy and never deletes the volume at the source."""

    must_fail = ("R-8", "R-9")
    may_fail = ("R-4", "R-7", "R-10")

    def migrate_volume(
        self, context: Context, volume: Volume, host: dict[str, Any]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Copy first, so that nothing can be lost."""
        spare = f"{volume.id}-old"
        run_job(self.connection, Job("copy", volume.id, spare, size=volume.size), self._request_id())
        if backend_name(host["host"]) == "stranger":
            return False, None
        return super().migrate_volume(context, volume, host)


class SaysDoneTooSoon(ReferenceDriver):
    """Takes a replication that has passed half-way for done, since the rest "can't fail any more"."""

    must_fail = ("R-5",)
    may_fail = ("H-1", "R-3", "R-4", "R-8", "R-9", "R-10", "Q-7", "Q-10")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._replications: set[str] = set()

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start it, and remember what it was."""
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        if method == "replicate_snapshot":
            self._replications.add(handle)
        return handle

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, rounded up."""
        status = super().get_activity(context, handle)
        if handle in self._replications and status.state is ActivityState.RUNNING and (status.progress or 0.0) > 0.5:
            return dataclasses.replace(status, state=ActivityState.DONE, progress=1.0)
        return status


class ServesTheUnfinished(ReferenceDriver):
    """Makes an empty volume of a snapshot that has not arrived yet, instead of refusing."""

    must_fail = ("R-5",)
    may_fail = ("R-9", "R-3", "R-8")

    def create_volume_from_snapshot(self, volume: Volume, snapshot: Snapshot) -> Any:
        """Make the volume; where the snapshot can't be read, leave it to be filled later."""
        try:
            return super().create_volume_from_snapshot(volume, snapshot)
        except BackendActivityError:
            return super().create_volume(volume)


class AnswersBeforeItArrives(Blocking):
    """Returns from replicate_snapshot as soon as the transfer to the destination has begun."""

    must_fail = ("R-3", "R-5")
    may_fail = ("R-1", "R-4", "R-8", "R-9", "R-10", "Q-7")

    def replicate_snapshot(
        self, context: Context, snapshot: Snapshot, destination: dict[str, Any], new_snapshot: Snapshot
    ) -> None:
        """Let the transfer begin."""
        arguments = {"snapshot": snapshot, "destination": destination, "new_snapshot": new_snapshot}
        self.connection.start(self._job("replicate_snapshot", arguments), self._request_id())


class RevertsToClone(BlockingAndSilent):
    """Makes a volume from a snapshot by reverting the snapshot's own volume and cloning that."""

    must_fail = ("R-4",)
    may_fail = ("R-3", "R-9", "Q-10", "Q-2")

    def create_volume_from_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        """Revert, then clone."""
        run_job(self.connection, Job("revert", snapshot.volume_id, snapshot.id), self._request_id())
        copy = Job("copy", snapshot.volume_id, volume.id, size=volume.size)
        run_job(self.connection, copy, self._request_id())


class DeletesSnapshotsToo(BlockingAndSilent):
    """Deletes a volume's snapshots along with the volume, as a cascading delete would."""

    must_fail = ("R-8",)
    may_fail = ("R-3", "R-9", "R-10", "Q-10")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._snapshots: dict[str, list[Snapshot]] = {}

    def create_snapshot(self, snapshot: Snapshot) -> None:
        """Make a snapshot, and note whose it is."""
        super().create_snapshot(snapshot)
        self._snapshots.setdefault(snapshot.volume_id, []).append(snapshot)

    def delete_volume(self, volume: Volume) -> None:
        """Delete the volume with all that hangs on it."""
        for snapshot in self._snapshots.pop(volume.id, []):
            self.delete_snapshot(snapshot)
        super().delete_volume(volume)


class KeepsABase(Blocking):
    """Takes a snapshot of its own as the base of the next increment each time that it replicates, and drops none."""

    must_fail = ("R-8", "R-10")
    may_fail = ("R-9",)

    def replicate_snapshot(
        self, context: Context, snapshot: Snapshot, destination: dict[str, Any], new_snapshot: Snapshot
    ) -> None:
        """Replicate, with a base for the next time."""
        base = Job("snapshot", snapshot.volume_id, f"base-{self._request_id()}")
        run_job(self.connection, base, self._request_id())
        super().replicate_snapshot(context, snapshot, destination, new_snapshot)
