"""Drivers that stop, or say that they are done, before the last part of a copy has arrived (clauses Q-10, R-3)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from conformance.faulty.kinds import Blocking
from harness.activity import ActivityState, ActivityStatus
from harness.backup_store import MemorySink
from harness.contract import ActivityUnknown
from harness.driver_kit import raise_for, run_job
from harness.model import GIB, Context, Volume
from harness.reference_driver import ReferenceDriver
from harness.testbed import Job

_ALMOST = 0.97
"""The share of a copy that such drivers take for the whole."""


def _almost_done(status: ActivityStatus) -> bool:
    return status.state is ActivityState.RUNNING and status.progress is not None and status.progress > _ALMOST


class DoneBeforeTheLastPart(ReferenceDriver):
    """Says of an activity that it is done when 97 % have arrived."""

    must_fail = ("Q-10", "R-3")
    may_fail = ("R-5", "Q-7", "Q-9", "H-1", "H-3", "H-7", "R-9", "C-3", "C-5", "C-6")

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, rounded up."""
        status = super().get_activity(context, handle)
        return dataclasses.replace(status, state=ActivityState.DONE, progress=1.0) if _almost_done(status) else status


class MovedBeforeTheLastPart(ReferenceDriver):
    """Says that a migration is done when 97 % are moved; all else it tells truly."""

    must_fail = ("Q-10",)
    may_fail = ("Q-9", "R-3", "R-9", "R-12")

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and mark what is a migration."""
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        return f"{'move' if method in ('migrate_volume', 'retype') else 'other'}.{handle}"

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, a migration's rounded up."""
        kind, _, real = handle.partition(".")
        try:
            status = super().get_activity(context, real)
        except ActivityUnknown:
            raise ActivityUnknown("unknown") from None
        if kind == "move" and _almost_done(status):
            return dataclasses.replace(status, state=ActivityState.DONE, progress=1.0)
        return status

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort what is marked so."""
        try:
            super().abort_activity(context, handle.partition(".")[2])
        except ActivityUnknown:
            raise ActivityUnknown("unknown") from None


class ReturnsBeforeTheLastPart(Blocking):
    """Returns from its methods when 97 % have arrived."""

    must_fail = ("Q-10", "R-3")
    may_fail = ("R-5", "Q-7", "Q-9", "R-9", "C-3", "C-5", "C-6")

    def _run(self, method: str, **arguments: Any) -> None:
        handle = self.connection.start(self._job(method, arguments), self._request_id())
        while not (status := self.connection.status(handle)).state.is_terminal:
            if _almost_done(status):
                return
            time.sleep(status.poll_after)
        raise_for(status)


class StopsOneChunkEarly(ReferenceDriver):
    """Clones chunk after chunk by itself, and stops one chunk of 1 MiB short of the volume's end."""

    must_fail = ("Q-10",)
    may_fail = ("Q-9",)
    start_activity = get_activity = abort_activity = None  # type: ignore[assignment]
    _CHUNK: ClassVar[int] = 1 << 20

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: snapshots alone."""
        return MappingProxyType({"stateless_activities": ("create_snapshot", "delete_snapshot")})

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """Read all that there is, and write most of it."""
        sink = MemorySink(src_vref.size * GIB)
        self._do(Job("read", src_vref.id, sink=sink, point_in_time=False))
        self._do(Job("create_volume", target=volume.id, size=volume.size))
        end = src_vref.size * GIB - self._CHUNK
        chunks = []
        for chunk in sink.chunks:
            length = min(chunk.length, end - chunk.offset)
            if length > 0:
                chunks.append(dataclasses.replace(chunk, length=length, payload=chunk.payload[:length]))
        self._do(Job("write", target=volume.id, chunks=tuple(chunks)))

    def _do(self, job: Job) -> None:
        run_job(self.connection, job, self._request_id())
