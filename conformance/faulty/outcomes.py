"""Drivers that deal well with clones, or with what is done, but not with whatever is started and however it ends."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from conformance.faulty.kinds import ConnectionSpecific, MarksItsClones
from harness.activity import ActivityState, ActivityStatus, HandleScope
from harness.contract import ActivityUnknown
from harness.model import Context
from harness.reference_driver import EVERYTHING, ReferenceDriver
from harness.testbed import Job


class AbortsForAnybody(MarksItsClones):
    """Publishes user-specific handles and guards every look-up, but aborts of anything but a clone it leaves open."""

    must_fail = ("H-2",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "handle_scope": HandleScope.USER.value})

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        scope = HandleScope.USER if method == "create_cloned_volume" else HandleScope.UNRESTRICTED
        return dataclasses.replace(super()._job(method, arguments), scope=scope)

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and name the user in what is no clone."""
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        if not self._is_marked(handle):
            return handle
        return f"{self.connection.caller.user}/{handle}"

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, to its user."""
        user, _, real = handle.rpartition("/")
        with self._in_its_words(handle):
            if user not in ("", self.connection.caller.user):
                raise ActivityUnknown("of somebody else")
            return super().get_activity(context, real)

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort, whoever asks."""
        with self._in_its_words(handle):
            super().abort_activity(context, handle.rpartition("/")[2])


class AbortsClonesOnly(MarksItsClones):
    """Returns from the abort of anything but a clone without having told the backend."""

    must_fail = ("H-1",)
    may_fail = ("R-9", "R-12")

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort a clone; of anything else, make sure that there is such an activity."""
        if self._is_marked(handle):
            self.get_activity(context, handle)
        else:
            super().abort_activity(context, handle)


class ProgressOfBackupJumpsBack(MarksItsClones):
    """Reports the progress of the phase that it is in, which starts from nought again, of all but clones."""

    must_fail = ("H-7",)

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, with the progress within the phase."""
        status = super().get_activity(context, handle)
        if not self._is_marked(handle) or status.progress is None or status.state is not ActivityState.RUNNING:
            return status
        return dataclasses.replace(status, progress=(2 * status.progress) % 1.0)


class AbortedBackupIsDone(MarksItsClones):
    """Reports what was aborted as done, unless it is a clone."""

    must_fail = ("H-7",)
    may_fail = ("R-9", "R-12")

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, in its own words."""
        status = super().get_activity(context, handle)
        if self._is_marked(handle) and status.state is ActivityState.ABORTED:
            return dataclasses.replace(status, state=ActivityState.DONE)
        return status


class ForgetsBackups(MarksItsClones):
    """Clears the record of anything but a clone as soon as its end was read."""

    must_fail = ("H-7",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._told: list[str] = []

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, whose end is told once."""
        status = super().get_activity(context, handle)
        if self._is_marked(handle) and status.state.is_terminal:
            if handle in self._told:
                raise ActivityUnknown(f"no activity {handle!r}")
            self._told.append(handle)
        return status


class ForgetsFailures(ReferenceDriver):
    """Clears the record of what failed or was aborted as soon as it was read."""

    must_fail = ("H-7",)
    may_fail = ("H-6",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._told: list[str] = []

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, of which a bad end is told once."""
        status = super().get_activity(context, handle)
        if status.state in (ActivityState.FAILED, ActivityState.ABORTED):
            if handle in self._told:
                raise ActivityUnknown(f"no activity {handle!r}")
            self._told.append(handle)
        return status


class AbortedThenFailed(ReferenceDriver):
    """Reports what was aborted as aborted once, and as failed from then on."""

    must_fail = ("H-7",)
    may_fail = ("H-6",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._told: list[str] = []

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, in its own words."""
        status = super().get_activity(context, handle)
        if status.state is ActivityState.ABORTED:
            if handle in self._told:
                return dataclasses.replace(status, state=ActivityState.FAILED)
            self._told.append(handle)
        return status


class ReusesSlots(ConnectionSpecific):
    """Names an activity by its job slot, which the next one gets once it is over."""

    must_fail = ("H-6",)
    may_fail = ("H-7", "Q-10", "R-9")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._own = self._request_id()
        self._slots: dict[str, str] = {}
        self._handles: dict[str, str] = {}

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, in the first slot that is free."""
        if request_id not in self._handles:
            real = super().start_activity(context, method, arguments, request_id=request_id)
            names = (f"{self._own}-{number}" for number in range(len(self._slots) + 1))
            name = next(n for n in names if n not in self._slots or self.get_activity(context, n).state.is_terminal)
            self._slots[name] = real
            self._handles[request_id] = name
        return self._handles[request_id]

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status of what is in that slot."""
        return super().get_activity(context, self._real(handle))

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort what is in that slot."""
        super().abort_activity(context, self._real(handle))

    def _real(self, handle: str) -> str:
        if handle not in self._slots:
            raise ActivityUnknown("no such slot of this connection")
        return self._slots[handle]


class RemembersRequestsItself(ReferenceDriver):
    """Knows repeated requests from its own memory alone, so that after a restart they are carried out again."""

    must_fail = ("H-6",)
    may_fail = ("H-8", "R-12")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._handles: dict[str, str] = {}

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start what it was not asked for before."""
        if request_id not in self._handles:
            own = self._request_id()
            self._handles[request_id] = super().start_activity(context, method, arguments, request_id=own)
        return self._handles[request_id]


class BlocksInLookUps(ReferenceDriver):
    """Waits in a look-up for the end of the activity, for up to ten seconds."""

    must_fail = ("H-1",)
    may_fail = ("H-2", "H-3", "H-5", "H-7")

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, rather that of the end."""
        until = time.monotonic() + 10
        status = super().get_activity(context, handle)
        while not status.state.is_terminal and time.monotonic() < until:
            time.sleep(0.05)
            status = super().get_activity(context, handle)
        return status


class SlowLookUps(ReferenceDriver):
    """Takes a second for each look-up."""

    must_fail = ("H-1",)
    may_fail = ("H-2", "H-3", "H-5", "H-6", "H-7")

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, after a while."""
        time.sleep(1)
        return super().get_activity(context, handle)
