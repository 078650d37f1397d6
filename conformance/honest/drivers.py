"""Honest drivers that differ in one thing each from what most do; `testbed` are options of the array before them."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from harness.activity import ActivityState, ActivityStatus, HandleScope
from harness.contract import NotSupported
from harness.driver_kit import delete_if_there, raise_for, run_job
from harness.model import Context, Snapshot, Volume
from harness.reference_driver import EVERYTHING, ReferenceDriver
from harness.testbed import JOB_VERBS, Job

Options = Mapping[str, Any]


class Minimal:
    """Publishes nothing, has no hook, and implements no more than volumes, snapshots and copies of them."""

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        self._configuration = configuration

    def do_setup(self, context: Context) -> None:
        """Log in."""
        self._connection = self._configuration.backend_connect()

    def check_for_setup_error(self) -> None:
        """All is well once it has logged in."""

    def create_volume(self, volume: Volume) -> None:
        """Make a volume."""
        self._run(Job("create_volume", target=volume.id, size=volume.size))

    def create_snapshot(self, snapshot: Snapshot) -> None:
        """Make a snapshot, block after block."""
        self._run(Job("snapshot", snapshot.volume_id, snapshot.id, point_in_time=False))

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """Make a clone, block after block."""
        self._run(Job("copy", src_vref.id, volume.id, size=volume.size, point_in_time=False))

    def create_volume_from_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        """Make a volume from a snapshot."""
        self._run(Job("copy", snapshot.id, volume.id, size=volume.size))

    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume."""
        delete_if_there(self._connection, volume.id, str(uuid.uuid4()))

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot."""
        delete_if_there(self._connection, snapshot.id, str(uuid.uuid4()))

    def _run(self, job: Job) -> None:
        run_job(self._connection, job, str(uuid.uuid4()))


class Everything(ReferenceDriver):
    """Publishes every attribute at its fullest."""


class _Differing(ReferenceDriver):
    """A reference driver that publishes `claims`."""

    claims: ClassVar[Options] = EVERYTHING

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._published = dict(self.claims)  # type: ignore[assignment]


class Nothing(_Differing):
    """Has every method and hook, and publishes none of what it can do."""

    claims: ClassVar[Options] = MappingProxyType({})


class Slow(_Differing):
    """Takes its time: an array of 150 MB/s, and half a second of thought before each call."""

    testbed: ClassVar[Options] = {
        "disk_read_bytes_per_s": 150_000_000,
        "disk_write_bytes_per_s": 150_000_000,
        "think_ns": 10_000_000,
    }

    def do_setup(self, context: Context) -> None:
        """Log in, after a while."""
        time.sleep(0.5)
        super().do_setup(context)

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, after a while."""
        time.sleep(0.5)
        return super().start_activity(context, method, arguments, request_id=request_id)

    def _run(self, method: str, **arguments: Any) -> None:
        time.sleep(0.5)
        super()._run(method, **arguments)


class LateNews(_Differing):
    """Tells of an activity's end a few polls late, so that ends become known in another order than they happened."""

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._put_off: dict[str, int] = {}

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status; an end is told at the third poll that meets it, with every other handle at the first."""
        status = super().get_activity(context, handle)
        if not status.state.is_terminal:
            return status
        polls = self._put_off.setdefault(handle, 3 * (len(self._put_off) % 2))
        if polls:
            self._put_off[handle] -= 1
            return dataclasses.replace(status, state=ActivityState.RUNNING, result=None, error=None, error_code=None)
        return status


class OneAtATime(_Differing):
    """Stands before an array that runs one job at a time and keeps the others waiting."""

    testbed: ClassVar[Options] = {"job_slots": 1}


class NoProgress(_Differing):
    """Knows of no progress, and asks to be polled a hundred times as often as others."""

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status without its progress."""
        return dataclasses.replace(super().get_activity(context, handle), progress=None, poll_after=0.002)


class HugeVolumes(_Differing):
    """Keeps volumes of 512 GiB, on an array that is fast enough for them."""

    testbed: ClassVar[Options] = {
        "volume_gib": 512,
        "pool_bytes": 1 << 46,
        "disk_read_bytes_per_s": 64_000_000_000,
        "disk_write_bytes_per_s": 64_000_000_000,
        "link_bytes_per_s": 64_000_000_000,
        "think_ns": 20_000_000,
        "settle_ns": 60_000_000_000,
    }


class TinyVolumes(_Differing):
    """Keeps volumes that its array copies in less than two tenths of a second."""

    testbed: ClassVar[Options] = {"disk_read_bytes_per_s": 6_000_000_000, "disk_write_bytes_per_s": 6_000_000_000}


class SnapshotsNeedTheirVolume(_Differing):
    """Refuses to delete a volume that has snapshots, and replicates by the fallback only."""

    claims: ClassVar[Options] = {**EVERYTHING, "snapshot_replication": False}
    testbed: ClassVar[Options] = {"snapshots_depend_on_volume": True}


class SnapshotsStandAlone(_Differing):
    """Takes a snapshot by a whole copy, which no volume is needed for afterwards."""

    claims: ClassVar[Options] = {**EVERYTHING, "snapshot_replication": False}
    testbed: ClassVar[Options] = {"snapshots_depend_on_volume": False, "snapshot_kind": "full-copy"}


class NothingAbortable(_Differing):
    """Stands before an array on which no job can be aborted."""

    testbed: ClassVar[Options] = {"fixed_job_verbs": ", ".join(JOB_VERBS)}


class NumbersItsJobs(_Differing):
    """Stands before an array that numbers its jobs one after the other."""

    testbed: ClassVar[Options] = {"consecutive_handles": True}


class WiderThanItSays(_Differing):
    """Publishes no scope, though anybody can use its handles anywhere."""

    claims: ClassVar[Options] = {key: value for key, value in EVERYTHING.items() if key != "handle_scope"}

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        return dataclasses.replace(super()._job(method, arguments), scope=HandleScope.UNRESTRICTED)


class BlockingOnly(_Differing):
    """Has no activity hooks: every method blocks until it is done."""

    claims: ClassVar[Options] = {key: value for key, value in EVERYTHING.items() if key != "handle_scope"}
    start_activity = get_activity = abort_activity = None  # type: ignore[assignment]


class ActivitiesOnly(_Differing):
    """Starts whatever it does as an activity, and only waits for it where it is called to block."""

    def _run(self, method: str, **arguments: Any) -> None:
        context = Context()
        handle = self.start_activity(context, method, arguments, request_id=self._request_id())
        while not (status := self.get_activity(context, handle)).state.is_terminal:
            time.sleep(status.poll_after)
        raise_for(status)


class FencesForAnInstant(_Differing):
    """Has its array hold a volume's writes while a snapshot or a clone begins, for some milliseconds."""

    _FENCED = ("create_snapshot", "create_cloned_volume")

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, behind a fence where a point in time is to be taken."""
        if method not in self._FENCED:
            return super().start_activity(context, method, arguments, request_id=request_id)
        return self._start_fenced(self._job(method, arguments), request_id)

    def _run(self, method: str, **arguments: Any) -> None:
        job, request_id = self._job(method, arguments), self._request_id()
        if method in self._FENCED:
            self._start_fenced(job, request_id)
        run_job(self.connection, job, request_id)  # of a job that was started already, this waits for the end

    def _start_fenced(self, job: Job, request_id: str) -> str:
        self._command("suspend", job.source)
        try:
            return self.connection.start(job, request_id)
        finally:
            self._command("resume", job.source)

    def _command(self, verb: str, volume_id: str) -> None:
        """Wait for a short job, closely: a poll every fifth of a second would take as long as the writes may wait."""
        handle = self.connection.start(Job(verb, volume_id), self._request_id())
        while not (status := self.connection.status(handle)).state.is_terminal:
            time.sleep(0.001)
        raise_for(status)


class PicksItsActivities(_Differing):
    """Starts backups as activities and nothing else, and its handles are for their user alone."""

    claims: ClassVar[Options] = {**EVERYTHING, "handle_scope": HandleScope.USER.value}

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start a backup."""
        if method != "backup_volume":
            raise NotSupported(f"{method} is no activity of mine")
        return super().start_activity(context, method, arguments, request_id=request_id)


class LeavesDataAsItIs(_Differing):
    """Publishes that it can store backups as they are, and compresses none."""

    claims: ClassVar[Options] = {**EVERYTHING, "backup_compression_techniques": ("none",)}


class CompressesOrNot(_Differing):
    """Publishes, beside a technique, that it can leave data as it is; it calls that `off`, as Cinder may."""

    claims: ClassVar[Options] = {**EVERYTHING, "backup_compression_techniques": ("off", "zlib")}
