"""How a check looks at activities ever more closely towards their end, so that an end that is told too soon shows."""

from __future__ import annotations

import dataclasses
from typing import Any

from conformance.lab import Lab
from harness.activity import ActivityStatus
from harness.runtime import SECOND
from harness.testbed import Connection, Job

_LEAST_NS = 1_000_000
_LEAST_WALL_NS = 20_000_000
"""The shortest pause between two looks, in nanoseconds; the longer one where looks take real time."""


class CloseLooks:
    """Pauses between looks at an activity: each a share, drawn from the seed, of what is left of its copy.

    What is left is what the backend itself shows, not what the driver says; under the wall clock, where inspecting a
    backend takes long, it is what the driver says.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._share = lab.schedule.fraction("share of what is left", 0.06, 0.14)
        self._least_ns = _LEAST_NS if lab.testbed.virtual else _LEAST_WALL_NS

    def pause_ns(self, status: ActivityStatus) -> int:
        """How long to wait before the next look, in nanoseconds."""
        left = 1.0 - self._progress(status)
        return max(self._least_ns, int(self._lab.profile.whole_copy_ns * left * self._share))

    def at(self, connection: Connection) -> Connection:
        """The connection with a backend that asks drivers to look again after such pauses."""
        return _Hinting(connection, self)

    def _progress(self, status: ActivityStatus) -> float:
        if not self._lab.testbed.virtual:
            return status.progress or 0.0
        running = [
            activity.progress or 0.0
            for backend in ("primary", "sibling")
            for activity in self._lab.testbed.backend(backend).inspect().activities
            if activity.state == "running"
        ]
        return max(running, default=0.0)


class _Hinting:
    """A connection whose statuses say when to look again; all else is the connection's."""

    def __init__(self, inner: Connection, looks: CloseLooks) -> None:
        self._inner = inner
        self._looks = looks

    def start(self, job: Job, request_id: str) -> str:
        return self._inner.start(job, request_id)

    def status(self, handle: str) -> ActivityStatus:
        found = self._inner.status(handle)
        return dataclasses.replace(found, poll_after=self._looks.pause_ns(found) / SECOND)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
