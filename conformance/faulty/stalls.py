"""Drivers that hold what hosts write for too long while a listed method works (section Q, Q-8)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from conformance.faulty.kinds import BUT_HANDLES
from harness.activity import ActivityStatus
from harness.driver_kit import run_job
from harness.model import Context, Snapshot, Volume
from harness.reference_driver import ReferenceDriver
from harness.testbed import Job


class _Suspending(ReferenceDriver):
    """A driver that has its array suspend the writes to a volume."""

    def _suspend(self, volume_id: str) -> None:
        run_job(self.connection, Job("suspend", volume_id), self._request_id())

    def _resume(self, volume_id: str) -> None:
        run_job(self.connection, Job("resume", volume_id), self._request_id())


class _HoldsUntilTheEnd(_Suspending):
    """A driver that resumes the writes which it has suspended for `method` when the method has ended."""

    method = ""

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._suspended: dict[str, str] = {}

    @staticmethod
    def volume_of(arguments: Mapping[str, Any]) -> str:
        """The id of the volume whose writes are suspended."""
        raise NotImplementedError

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, on a volume that stands still."""
        if method != self.method:
            return super().start_activity(context, method, arguments, request_id=request_id)
        volume_id = self.volume_of(arguments)
        self._suspend(volume_id)
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        self._suspended[handle] = volume_id
        return handle

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status; whoever hears of the end lets the writes go on."""
        status = super().get_activity(context, handle)
        if status.state.is_terminal and handle in self._suspended:
            self._resume(self._suspended.pop(handle))
        return status

    def _run(self, method: str, **arguments: Any) -> None:
        if method != self.method:
            super()._run(method, **arguments)
            return
        volume_id = self.volume_of(arguments)
        self._suspend(volume_id)
        try:
            super()._run(method, **arguments)
        finally:
            self._resume(volume_id)


class HoldsWritesUntilCopied(_HoldsUntilTheEnd):
    """Lists create_cloned_volume, but lets the suspended writes go on when the clone is complete, not when it began."""

    must_fail = ("Q-8",)
    method = "create_cloned_volume"

    @staticmethod
    def volume_of(arguments: Mapping[str, Any]) -> str:
        """The volume that is cloned."""
        return str(arguments["src_vref"].id)


class HoldsWritesOfTheOrigin(_HoldsUntilTheEnd):
    """Lists replicate_snapshot, but holds the writes to the snapshot's volume, which has no part in it, meanwhile."""

    must_fail = ("Q-8",)
    method = "replicate_snapshot"

    @staticmethod
    def volume_of(arguments: Mapping[str, Any]) -> str:
        """The volume that the snapshot was taken from."""
        return str(arguments["snapshot"].volume_id)


class WaitsForTheCaches(_Suspending):
    """Lists backup_volume, but suspends writes and gives its array two seconds to destage before it reads."""

    must_fail = ("Q-8",)
    start_activity = get_activity = abort_activity = None  # type: ignore[assignment]

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: everything but handles."""
        return BUT_HANDLES

    def backup_volume(self, context: Context, source: Volume | Snapshot, technique: str, sink: Any) -> None:
        """Back up once the array has surely written all that it was sent."""
        if isinstance(source, Volume):
            self._suspend(source.id)
            time.sleep(2)
            self._resume(source.id)
        super().backup_volume(context, source, technique, sink)


class LeavesResumingToTheArray(_Suspending):
    """Lists create_snapshot, but never resumes the writes that it has suspended: after a while the array does so."""

    must_fail = ("Q-8",)

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        if method == "create_snapshot":
            self._suspend(arguments["snapshot"].volume_id)
        return super()._job(method, arguments)
