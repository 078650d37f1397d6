"""Backend activities as the backend keeps them: handle scopes, status, and the table that decides who may look.

The table is used by every testbed of ours; the conformance suites judge it by a table of their own.
"""

from __future__ import annotations

import _thread
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.model import Caller


class HandleScope(enum.Enum):
    """Where a handle to a running activity can be used again (specification section 4)."""

    CONNECTION = "connection-specific"
    SOURCE = "source-specific"
    USER = "user-specific"
    UNRESTRICTED = "unrestricted"


class ActivityState(enum.Enum):
    """The states of an activity; the last three are terminal and never change (H-7)."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def is_terminal(self) -> bool:
        """Whether the activity is over."""
        return self is not ActivityState.QUEUED and self is not ActivityState.RUNNING


@dataclass(frozen=True)
class ActivityStatus:
    """What a driver's `get_activity` returns (specification section 6).

    `progress` is 0…1 or None where the backend has none, `poll_after` the seconds to wait before asking again,
    `result` the method's return value once done, `error` a text once failed or aborted.
    """

    state: ActivityState
    progress: float | None = None
    result: Any = None
    error: str | None = None
    poll_after: float = 0.1
    error_code: str | None = None


@dataclass(frozen=True)
class ConnectionIdentity:
    """What a backend knows of a connection: who is at the other end, and which connection it is."""

    caller: Caller
    connection_id: str


@dataclass
class Activity:
    """One entry of the handle table.

    `target` and `source` are the objects that its job names; what has no target of its own has its source for one.
    `destination` is the backend that its job names.
    `transfer` is the bulk work under way, if any; `task` what executes the activity; `over` a signal that is set once
    the activity has reached its end and writes nothing any more, and `answers` are set with it, for those who asked for
    that end; `orphaned` says that its connection is gone, so that nobody can reference it; `fails_at` is the share of
    its bytes (0…1) at which a fault lets it fail.
    """

    handle: str
    scope: HandleScope
    started_by: ConnectionIdentity
    request_id: str
    verb: str
    target: str
    source: str = ""
    destination: str = ""
    state: ActivityState = ActivityState.QUEUED
    progress: float | None = 0.0
    result: Any = None
    error: str | None = None
    error_code: str | None = None
    abortable: bool = True
    orphaned: bool = False
    ended_ns: int | None = None
    poll_after: float = 0.1
    transfer: Any = None
    cancel_reason: str | None = None
    fails_at: float | None = None
    over: Any = None
    answers: list[Any] = field(default_factory=list)
    task: Any = None


class HandleTable:
    """Live and retained activities of one backend, and who may reach them.

    A handle out of reach looks exactly like an unknown one (H-2); `may_reach` decides, by default the scope.
    Retained outcomes are forgotten `retention_ns` after their end (H-7).
    """

    def __init__(
        self,
        now: Callable[[], int],
        mint: Callable[[], str],
        retention_ns: int,
        may_reach: Callable[[Activity, ConnectionIdentity], bool] | None = None,
    ) -> None:
        self._may_reach = may_reach or self.may_reach
        self._now = now
        self._mint = mint
        self._retention_ns = retention_ns
        self._by_handle: dict[str, Activity] = {}
        self._nothing_old_until = -1
        self._guard = _thread.allocate_lock()  # under the wall clock jobs and callers are threads

    def register(
        self,
        identity: ConnectionIdentity,
        scope: HandleScope,
        request_id: str,
        verb: str,
        target: str,
        handle: str | None = None,
    ) -> tuple[Activity, bool]:
        """The activity of this request, and whether it is new (H-8: the same request gives the same handle).

        `handle` is for a protocol that makes its own. Raises `ValueError` if another activity has it.
        """
        with self._guard:
            self._forget_old()
            for activity in self._by_handle.values():
                if activity.request_id == request_id and self._may_reach(activity, identity):
                    return activity, False
            if handle is None:
                handle = self._mint()
                while handle in self._by_handle:
                    handle = self._mint()
            elif handle in self._by_handle:
                raise ValueError(f"handle {handle!r} is in use")
            activity = Activity(handle, scope, identity, request_id, verb, target)
            self._by_handle[handle] = activity
            return activity, True

    def look_up(self, handle: str, identity: ConnectionIdentity) -> Activity | None:
        """The activity, or None where it is unknown or out of the caller's reach."""
        with self._guard:
            self._forget_old()
            activity = self._by_handle.get(handle)
        if activity is None or not self._may_reach(activity, identity):
            return None
        return activity

    @staticmethod
    def may_reach(activity: Activity, identity: ConnectionIdentity) -> bool:
        """Specification section 4: the connection itself always; the rest by host or user, never by address."""
        if activity.orphaned:
            return False
        if identity.connection_id == activity.started_by.connection_id:
            return True
        match activity.scope:
            case HandleScope.CONNECTION:
                return False
            case HandleScope.SOURCE:
                return identity.caller.host == activity.started_by.caller.host
            case HandleScope.USER:
                return identity.caller.user == activity.started_by.caller.user
            case HandleScope.UNRESTRICTED:
                return True

    def started_on(self, connection_id: str) -> list[Activity]:
        """The activities that were started on that connection, in the order of their start."""
        with self._guard:
            return [a for a in self._by_handle.values() if a.started_by.connection_id == connection_id]

    def all(self) -> list[Activity]:
        """Every live and retained activity, in the order of their start."""
        with self._guard:
            self._forget_old()
            return list(self._by_handle.values())

    def find(self, handle: str) -> Activity | None:
        """The activity of that handle, live or retained, whoever asks; for inspection."""
        with self._guard:
            return self._by_handle.get(handle)

    def discard(self, activity: Activity) -> None:
        """Forget an activity at once (held status of a lost connection, SPC-4 §5.17.4.5)."""
        with self._guard:
            self._by_handle.pop(activity.handle, None)

    def _forget_old(self) -> None:
        now = self._now()
        if now <= self._nothing_old_until:
            return
        horizon = now - self._retention_ns
        oldest = now  # of the ends that are kept; what has not ended yet will not have ended before now
        for activity in list(self._by_handle.values()):
            if activity.ended_ns is None:
                continue
            if activity.ended_ns < horizon:
                del self._by_handle[activity.handle]
            else:
                oldest = min(oldest, activity.ended_ns)
        self._nothing_old_until = oldest + self._retention_ns
