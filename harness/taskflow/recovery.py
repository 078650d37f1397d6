"""What a taskflow does about the flows that another left unfinished (H-8, R-9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.activity import HandleScope
from harness.contract import ActivityUnknown, BackendActivityError, ConnectionLost
from harness.taskflow.ends import DriverEnd
from harness.taskflow.errors import OutcomeUnknown, TaskflowError
from harness.taskflow.flow import Flow, FlowCore
from harness.taskflow.journal import FlowRecord, Undo

REATTACHABLE = ("create_snapshot", "create_cloned_volume", "create_volume_from_snapshot")
"""Kinds of flow that consist of one activity, whose end is the flow's end."""


@dataclass(frozen=True)
class Recovered:
    """What became of an unfinished flow: "completed" (its activity was found and waited for), "undone", or "pending"
    (something could not be undone yet; ask again once the backends can be reached)."""

    flow: str
    kind: str
    how: Literal["completed", "undone", "pending"]
    reattached: bool


class Recovery:
    """Ends unfinished flows."""

    def __init__(self, core: FlowCore) -> None:
        self._core = core

    def recover(self) -> list[Recovered]:
        """End every unfinished flow, in the order of their start. Repeating it is harmless (R-9)."""
        return [self._end(record) for record in self._core.journal.unfinished()]

    def _end(self, record: FlowRecord) -> Recovered:
        core = self._core
        core.recorder.emit("recovery", flow=record.id, kind=record.kind)
        # the hosts' writes come first; what still runs unquiesced must not be reported successful (Q-3)
        was_quiesced = any(self._could_be_written(undo) for undo in record.undo if undo.action == "release")
        for undo in [u for u in record.undo if u.action in ("release", "restore_status")]:
            core.carry_out(undo, record)
            record.undo.remove(undo)
        reattached = False
        if record.handle is not None and record.backend is not None:
            end = core.ends[record.backend]
            if record.scope != HandleScope.CONNECTION.value:
                if record.kind in REATTACHABLE and not was_quiesced:
                    reattached = self._reattach(end, record)
                    if reattached:
                        core.finish(record)
                        return Recovered(record.id, record.kind, "completed", True)
                else:
                    reattached = self._stop(end, record.handle)
        if record.request_id is not None and not reattached:
            # nobody can tell whether the activity still runs: wait until it surely does not (H-8)
            core.runtime.sleep(core.policy.lost_activity_ns)
        done = core.undo(record)
        return Recovered(record.id, record.kind, "undone" if done else "pending", reattached)

    def _could_be_written(self, release: Undo) -> bool:
        """Whether a host had the volume attached at some time since it was to be held."""
        attached_before: int | None = release.arguments["attached_before"]
        made = self._core.catalog.attachments_made(release.arguments["volume"])
        return attached_before is None or made > attached_before

    def _reattach(self, end: DriverEnd, record: FlowRecord) -> bool:
        """Wait for the activity of another taskflow; whether it was found and went well."""
        assert record.handle is not None
        try:
            Flow(self._core, record).wait_for(end, record.handle, self._core.runtime.clock())
        except (OutcomeUnknown, ConnectionLost):
            return False  # a failed look-up says nothing (H-9)
        except (TaskflowError, BackendActivityError):
            return False
        self._core.recorder.emit("reattached", flow=record.id, handle=record.handle)
        return True

    @staticmethod
    def _stop(end: DriverEnd, handle: str) -> bool:
        """Abort the activity of another taskflow; whether nothing is written by it any more."""
        try:
            end.call("abort_activity", end.context, handle)
        except (ActivityUnknown, ConnectionLost):
            return False
        except (BackendActivityError, TaskflowError):
            return False
        return True
