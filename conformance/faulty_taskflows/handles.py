"""Taskflows that go wrong after a restart or a lost answer (section H)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.faulty_taskflows.registry import flaw, patch
from harness.contract import ConnectionLost
from harness.taskflow import flow, recovery


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
