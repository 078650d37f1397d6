"""A driver's connection to a backend of ours: round trips, loss, and the way to the job engine.

Protocols differ in what a session is and when its loss is noticed; that is in the testbeds. What a driver sees of it
is the same, and is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness.activity import ActivityStatus, ConnectionIdentity
from harness.contract import ActivityNotAbortable, ActivityUnknown, ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime import Runtime, Signal
from harness.testbed import Job

_REFUSALS = (ActivityUnknown, ActivityNotAbortable, ValueError)
"""What a backend may answer to a call instead of doing it; that answer travels back as any other does."""


class Jobs(Protocol):
    """What a connection needs of the backend's jobs; `harness.backend_jobs.JobEngine` is one."""

    def start(self, identity: ConnectionIdentity, job: Job, request_id: str) -> str:
        """See `harness.testbed.Connection.start`."""

    def status(self, identity: ConnectionIdentity, handle: str) -> ActivityStatus:
        """See `harness.testbed.Connection.status`."""

    def abort(self, identity: ConnectionIdentity, handle: str) -> Signal[None]:
        """See `harness.testbed.Connection.abort`; returns what the backend sets when it answers. Does not block."""

    def connection_ended(self, connection_id: str, broke: bool) -> None:
        """The connection was closed, or broke without the backend's knowledge. Does not block."""


class BackendConnection:
    """One connection of a caller; implements `harness.testbed.Connection`.

    `round_trip_ns` is the time that each call takes. `ended` is called once, with True if the connection broke.
    """

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        engine: Jobs,
        caller: Caller,
        connection_id: str,
        round_trip_ns: int,
        ended: Callable[[BackendConnection, bool], None] | None = None,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._engine = engine
        self.caller = caller
        self.identity = ConnectionIdentity(caller, connection_id)
        self._round_trip_ns = round_trip_ns
        self._ended = ended
        self._state = "open"
        self._backend_knows = False
        self._lose_next_reply = False
        self._awaited: list[Signal[None]] = []

    @property
    def is_open(self) -> bool:
        """Whether calls can still be made on it."""
        return self._state == "open"

    def start(self, job: Job, request_id: str) -> str:
        """See `harness.testbed.Connection.start`."""
        self._travel()
        try:
            handle = self._engine.start(self.identity, job, request_id)
        except _REFUSALS:
            self._return("start")
            raise
        if self._state != "open":  # it broke while the job was being registered, so its end did not see the job
            self._engine.connection_ended(self.identity.connection_id, self._state == "broken")
        elif self._loses_reply():
            self._recorder.emit("fault", fault="start.reply_lost", host=self.caller.host, handle=handle)
            self.break_()
        self._return("start")
        return handle

    def status(self, handle: str) -> ActivityStatus:
        """See `harness.testbed.Connection.status`."""
        self._travel()
        try:
            status = self._engine.status(self.identity, handle)
        except _REFUSALS:
            self._return("status")
            raise
        self._return("status")
        return status

    def abort(self, handle: str) -> None:
        """See `harness.testbed.Connection.abort`."""
        self._travel()
        try:
            answer = self._engine.abort(self.identity, handle)
        except _REFUSALS:
            self._return("abort")
            raise
        self._await(answer)
        self._return("abort")

    def close(self) -> None:
        """See `harness.testbed.Connection.close`."""
        self._runtime.checkpoint()
        if self._state != "open":
            return
        self._end("closed", broke=False)

    def break_(self, noticed: bool = False) -> None:
        """Drop the connection: every call from now on, and the one under way, raises `ConnectionLost`.

        `noticed` says that the backend knows of it at once; otherwise it notices as late as its protocol does.
        """
        if self._state == "open":
            self._end("broken", broke=not noticed)

    def lose_next_reply(self) -> None:
        """Let the next start take effect, but drop the connection before its answer arrives."""
        self._lose_next_reply = True

    def _loses_reply(self) -> bool:
        """Whether the answer to the start that has just taken effect is lost; asked once for each."""
        lost, self._lose_next_reply = self._lose_next_reply, False
        return lost

    def _end(self, state: str, broke: bool) -> None:
        self._leave(state)
        self._tell_backend(broke)

    def _leave(self, state: str) -> None:
        self._state = state
        self._recorder.emit(
            f"connection.{state}", host=self.caller.host, user=self.caller.user, id=self.identity.connection_id
        )
        for answer in tuple(self._awaited):
            answer.set(None)

    def _tell_backend(self, broke: bool) -> None:
        if self._backend_knows:
            return
        self._backend_knows = True
        self._engine.connection_ended(self.identity.connection_id, broke)
        if self._ended is not None:
            self._ended(self, broke)

    def _await(self, answer: Signal[None]) -> None:
        """Block until an answer of this call's own is set, which the loss of the connection does as well."""
        self._awaited.append(answer)
        try:
            if self._state == "open":
                answer.wait()
        finally:
            self._awaited.remove(answer)

    def _cross(self) -> None:
        """Block while the network holds the message back; for testbeds whose network can do so."""

    def _travel(self) -> None:
        self._pass(self._round_trip_ns // 2)

    def _return(self, call: str) -> None:
        self._pass(self._round_trip_ns - self._round_trip_ns // 2)

    def _pass(self, ns: int) -> None:
        """Let a message take its time; the connection has to be open when it leaves and when it arrives."""
        if self._state != "open":
            self._check()
        self._runtime.sleep(ns)
        self._cross()
        if self._state != "open":
            self._check()

    def _check(self) -> None:
        if self._state != "open":
            self._runtime.checkpoint()  # who was abandoned is not told of the connection
            raise ConnectionLost(f"the connection of {self.caller.host} is {self._state}; open a new one")
