"""Drivers whose handles do not work where their scope says, or tell too much (section H)."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from conformance.faulty.kinds import ConnectionSpecific, NamesItsOwnHandles, OpenToAnyCaller
from harness.activity import ActivityState, ActivityStatus, HandleScope
from harness.contract import ActivityFailed, ActivityUnknown, ConnectionLost, VolumeIsBusy
from harness.driver_kit import delete_if_there, run_job
from harness.model import Context
from harness.reference_driver import EVERYTHING, ReferenceDriver
from harness.testbed import Job


class TableInMemory(NamesItsOwnHandles):
    """Publishes unrestricted handles, but gives out numbers from a table in its own memory."""

    must_fail = ("H-1", "H-3")
    may_fail = ("H-6", "H-8", "H-5")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._handles: dict[str, str] = {}

    def _name(self, handle: str) -> str:
        number = str(1000 + len(self._handles))
        self._handles[number] = handle
        return number

    def _real(self, name: str) -> str:
        if name not in self._handles:
            raise ActivityUnknown(f"no activity {name!r}")
        return self._handles[name]


class KeyedByAddress(NamesItsOwnHandles, OpenToAnyCaller):
    """Publishes source-specific handles, but knows hosts by their IP address."""

    must_fail = ("H-5",)

    scope = HandleScope.SOURCE

    def _name(self, handle: str) -> str:
        return f"{handle}@{self.connection.caller.address}"

    def _real(self, name: str) -> str:
        handle, _, address = name.rpartition("@")
        if address != self.connection.caller.address:
            raise ActivityUnknown(f"no activity {name!r}")
        return handle


class OpenToAll(OpenToAnyCaller):
    """Publishes user-specific handles, but lets anybody use them."""

    must_fail = ("H-2", "H-3")
    may_fail = ("H-5",)

    scope = HandleScope.USER


class TellsWhoseItIs(NamesItsOwnHandles):
    """Refuses other users' handles with a text that says whose they are."""

    must_fail = ("H-2", "H-3")
    may_fail = ("H-5",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "handle_scope": HandleScope.USER.value})

    def _name(self, handle: str) -> str:
        return f"{self.connection.caller.user}/{handle}"

    def _real(self, name: str) -> str:
        user, _, handle = name.rpartition("/")
        if user != self.connection.caller.user and user == self._owner(user):
            raise ActivityUnknown(f"the activity {handle!r} belongs to {user}")
        return handle

    @staticmethod
    def _owner(user: str) -> str:
        return user if user.startswith(("user-", "other-user-")) else ""


class ProgressJumpsBack(ReferenceDriver):
    """Reports the progress of the phase that it is in, which starts from nought again half-way."""

    must_fail = ("H-7",)

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, with the progress within the phase."""
        status = super().get_activity(context, handle)
        if status.progress is None or status.state is ActivityState.DONE:
            return status
        return dataclasses.replace(status, progress=(2 * status.progress) % 1.0)


class OneHandleForAll(ReferenceDriver):
    """Gives each activity the same handle and answers for the latest."""

    must_fail = ("H-6",)
    may_fail = ("H-1", "H-2", "H-3", "H-5", "H-8")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._latest = ""

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and remember the latest."""
        self._latest = super().start_activity(context, method, arguments, request_id=request_id)
        return f"{method}-in-progress"

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status of the latest."""
        return super().get_activity(context, self._latest)

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort the latest."""
        super().abort_activity(context, self._latest)


class NewHandleEachTime(ReferenceDriver):
    """Pays no heed to the request id, so that a start that is repeated is carried out again."""

    must_fail = ("H-6",)
    may_fail = ("H-8", "R-12")

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, under a request id of its own."""
        return super().start_activity(context, method, arguments, request_id=self._request_id())


class FailedIsDone(ReferenceDriver):
    """Reports every activity that the backend took on and that is over as done, however it ended."""

    must_fail = ("H-7",)
    may_fail = ("R-9", "R-4", "H-9", "R-12", "Q-9", "Q-10", "R-3")

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, in its own words."""
        status = super().get_activity(context, handle)
        if not status.state.is_terminal or status.error_code == "unsupported":
            return status
        return dataclasses.replace(status, state=ActivityState.DONE)


class AbortIsAWish(ReferenceDriver):
    """Notes that an activity is to be aborted, and returns without having told the backend."""

    must_fail = ("H-1", "H-3")
    may_fail = ("H-5", "H-7", "R-9", "R-12")

    def abort_activity(self, context: Context, handle: str) -> None:
        """Make sure that there is such an activity."""
        self.connection.status(handle)


class AddressIsEnough(NamesItsOwnHandles, OpenToAnyCaller):
    """Publishes source-specific handles, and takes any caller with the first one's IP address for the same host."""

    must_fail = ("H-5",)

    scope = HandleScope.SOURCE

    def _name(self, handle: str) -> str:
        caller = self.connection.caller
        return f"{handle}@{caller.host}@{caller.address}"

    def _real(self, name: str) -> str:
        handle, host, address = [*name.split("@"), "", ""][:3]
        caller = self.connection.caller
        if host != caller.host and address != caller.address:
            raise ActivityUnknown(f"no activity {name!r}")
        return handle


class LeavesItsTemporarySnapshot(ConnectionSpecific):
    """Clones from a temporary snapshot that it deletes once it has seen the clone's end; after a loss it never does."""

    must_fail = ("H-4",)
    may_fail = ("H-3", "H-8", "R-9")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._handles: dict[str, str] = {}
        self._temporary: dict[str, str] = {}

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, a clone from a snapshot."""
        if method != "create_cloned_volume":
            return super().start_activity(context, method, arguments, request_id=request_id)
        if request_id not in self._handles:
            new, source = arguments["volume"], arguments["src_vref"]
            temporary = f"{new.id}-base"
            run_job(self.connection, Job("snapshot", source.id, temporary), self._request_id())
            handle = self.connection.start(Job("copy", temporary, new.id, size=new.size), request_id)
            self._handles[request_id], self._temporary[handle] = handle, temporary
        return self._handles[request_id]

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status; at the end the temporary snapshot goes."""
        status = super().get_activity(context, handle)
        if status.state.is_terminal:
            self._tidy(handle)
        return status

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort, and tidy up."""
        super().abort_activity(context, handle)
        self._tidy(handle)

    def _tidy(self, handle: str) -> None:
        temporary = self._temporary.pop(handle, None)
        if temporary is not None:
            delete_if_there(self.connection, temporary, self._request_id())


class NeverGivesUp(ConnectionSpecific):
    """Starts a clone again over a new connection when the first is lost, and goes on polling the lost handle."""

    must_fail = ("H-4",)
    may_fail = ("H-3", "H-8", "H-9", "R-9")

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._watched: set[str] = set()

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and let a thread watch over a clone."""
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        if method == "create_cloned_volume" and handle not in self._watched:
            self._watched.add(handle)
            job = self._job(method, arguments)
            threading.Thread(target=self._watch, args=(handle, job), daemon=True).start()
        return handle

    def _watch(self, handle: str, job: Job) -> None:
        connection = self.connection
        while True:
            time.sleep(0.1)
            try:
                if connection.status(handle).state.is_terminal:
                    return
            except ConnectionLost:
                connection = self._configuration.backend_connect()
            except ActivityUnknown:
                with contextlib.suppress(ActivityFailed, VolumeIsBusy):
                    delete_if_there(connection, job.target, self._request_id())
                    connection.start(job, self._request_id())
