"""Taskflows that go wrong after a restart or a lost answer (section H)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.faulty_taskflows.registry import flaw, patch
from harness.activity import ActivityState, ActivityStatus
from harness.contract import ConnectionLost
from harness.taskflow import flow, recovery
from harness.taskflow.errors import DriverError, OutcomeUnknown


@flaw("H-8")
def starts_twice() -> None:
    """Makes up a new request id when it repeats a start whose answer was lost."""
    real = flow.Flow._start

    def start(self: flow.Flow, end: Any, method: str, arguments: dict[str, Any], request_id: str) -> Any:
        try:
            return end.call("start_activity", end.context, method, arguments, request_id=request_id)
        except ConnectionLost:
            end.reopen()
            return real(self, end, method, arguments, request_id + "/again")

    patch(flow.Flow, "_start", start)


@flaw("H-8")
def trusts_a_lost_activity() -> None:
    """Takes an activity that it can't find any more for done."""
    patch(recovery.Recovery, "_reattach", lambda *_: True)
    real = recovery.Recovery._end

    def end(self: recovery.Recovery, record: Any) -> Any:
        self._core.finish(record)
        return real(self, record)

    patch(recovery.Recovery, "_end", end)


@flaw("H-8")
def waits_for_nothing() -> None:
    """Cleans up after an activity that it can't reach without waiting for the activity's end."""
    real = flow.Policy.of
    patch(flow.Policy, "of", lambda profile: replace(real(profile), lost_activity_ns=0))


@flaw("H-9")
def takes_the_lost_for_done() -> None:
    """Takes an activity that can't be looked up any more for one that is done."""
    real = flow.Flow.wait_for

    def wait_for(self: flow.Flow, end: Any, handle: str, since_ns: int) -> Any:
        try:
            return real(self, end, handle, since_ns)
        except (OutcomeUnknown, ConnectionLost):
            return ActivityStatus(ActivityState.DONE, 1.0, None, None, 0.0)

    patch(flow.Flow, "wait_for", wait_for)


@flaw("H-9")
def takes_the_lost_for_failed() -> None:
    """Takes an activity that can't be looked up any more for one that failed, and cleans up at once."""
    real = flow.Flow.wait_for

    def wait_for(self: flow.Flow, end: Any, handle: str, since_ns: int) -> Any:
        try:
            return real(self, end, handle, since_ns)
        except (OutcomeUnknown, ConnectionLost) as error:
            raise DriverError(end.name, "get_activity", "the activity failed", error) from error

    patch(flow.Flow, "wait_for", wait_for)
