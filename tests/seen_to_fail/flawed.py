"""A driver that makes one mistake in one method, so that a check of every method can be seen to fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from harness.activity import ActivityState, ActivityStatus
from harness.contract import ConnectionLost
from harness.driver_kit import run_job
from harness.model import BackupChunk, Context
from harness.reference_driver import ReferenceDriver
from harness.testbed import Job

HEAD = 32 << 20
"""Bytes at the beginning of a volume, more than lie between two blocks that a check writes."""


class Flawed(ReferenceDriver):
    """Makes the mistake `configuration.flaw` in the method `configuration.method`:

    * `crawls`: copies or moves the live volume block after block;
    * `holds`: has the array suspend the writes to the volume, and never resumes them;
    * `grows`: grows the volume first;
    * `wipes`: wipes the volume's head first;
    * `idles`: does nothing, and says that all is done;
    * `hurries`: says that the work is done once the backend has begun with it;
    * `remembers`: answers for a connection that is gone by what it last heard.
    """

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._flaw, self._method = configuration.safe_get("flaw"), configuration.safe_get("method")
        self._methods: dict[str, str] = {}

    def delete_volume(self, volume: Any) -> None:
        """Delete, unless that is the flaw."""
        if (self._flaw, self._method) != ("idles", "delete_volume"):
            super().delete_volume(volume)

    def delete_snapshot(self, snapshot: Any) -> None:
        """Delete, unless that is the flaw."""
        if (self._flaw, self._method) != ("idles", "delete_snapshot"):
            super().delete_snapshot(snapshot)

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and note what was started."""
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        self._methods[handle] = method
        return handle

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, unless that is the flaw."""
        own = self._methods.get(handle) == self._method
        try:
            status = super().get_activity(context, handle)
        except ConnectionLost:
            if own and self._flaw == "remembers":
                return ActivityStatus(ActivityState.RUNNING, 0.5)
            raise
        if own and self._flaw == "hurries" and status.state is ActivityState.RUNNING:
            return ActivityStatus(ActivityState.DONE, 1.0)
        return status

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort, unless that is the flaw."""
        try:
            super().abort_activity(context, handle)
        except ConnectionLost:
            if self._flaw != "remembers":
                raise

    def _run(self, method: str, **arguments: Any) -> None:
        if self._method == method and self._flaw == "hurries":
            self.connection.start(self._job(method, arguments), self._request_id())
        elif (self._flaw, self._method) != ("idles", method):
            super()._run(method, **arguments)

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        if method != self._method:
            return job
        if self._flaw == "crawls":
            return dataclasses.replace(job, point_in_time=False)
        if self._flaw == "holds":
            self._first(Job("suspend", self._volume_id(job, arguments)))
        if self._flaw == "grows":
            size = self._volume(arguments).size + 1
            self._first(Job("extend_volume", self._volume(arguments).id, size=size))
            return dataclasses.replace(job, size=size + 1) if method == "extend_volume" else job
        if self._flaw == "wipes":
            zeros = BackupChunk(0, HEAD, "none", bytes(HEAD))
            self._first(Job("write", target=self._volume_id(job, arguments), chunks=(zeros,)))
        return job

    def _first(self, job: Job) -> None:
        run_job(self.connection, job, self._request_id())

    @staticmethod
    def _volume(arguments: Mapping[str, Any]) -> Any:
        return arguments.get("src_vref") or arguments.get("source") or arguments["volume"]

    @classmethod
    def _volume_id(cls, job: Job, arguments: Mapping[str, Any]) -> str:
        snapshot = arguments.get("snapshot")
        return str(snapshot.volume_id if snapshot else cls._volume(arguments).id)
