"""How a flow gets from step to step: by itself, or conducted by an engine that isn't ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Protocol

from harness.contract import BackendActivityError
from harness.recorder import Recorder
from harness.taskflow.errors import TaskflowError
from harness.taskflow.journal import FlowRecord, Undo


class Undoing:
    """The undoing of one flow, last step first. What can't be undone now stays in the flow's record.

    `carry_out` carries one undo out and raises what the driver raises.
    """

    def __init__(self, record: FlowRecord, recorder: Recorder, carry_out: Callable[[Undo, FlowRecord], None]) -> None:
        self._record = record
        self._recorder = recorder
        self._carry_out = carry_out
        self._waiting = list(record.undo)
        self._left: list[Undo] = []

    def back_to(self, step: int) -> None:
        """Carry out what undoes that step (they are counted from 1) and those after it. Repeating it is harmless."""
        while self._waiting and self._waiting[-1].step >= step:
            undo = self._waiting.pop()
            kept = [each.arguments.get("id", "") for each in self._left if each.action != "forget"]
            if undo.action == "forget" and undo.arguments["id"] in kept:
                self._left.append(undo)  # what could not be deleted must not be forgotten
                continue
            try:
                self._carry_out(undo, self._record)
            except (BackendActivityError, TaskflowError) as error:
                told = {"action": undo.action, "error": str(error)[:200]}
                self._recorder.emit("undo.failed", flow=self._record.id, **told)
                self._left.append(undo)

    def end(self) -> bool:
        """Write down what is left; True if that is nothing."""
        record = self._record
        record.undo = [*self._waiting, *self._left[::-1]]
        if not record.undo:
            record.state = "undone"
            self._recorder.emit("flow.undone", flow=record.id)
        return not record.undo


class Walker(Protocol):
    """Is asked before and after each step of a flow, in the flow's own task, and may let it wait."""

    def begins(self, kind: str, plan: Sequence[str] | None) -> None:
        """A flow of that kind is about to begin, with those steps at most (None: nobody knows); it has had no effect so
        far."""

    def step(self, name: str, number: int) -> None:
        """The flow has come to a step, its `number`-th; `FINISH` is where it is done but for saying so."""

    def done(self) -> None:
        """The step is over, and went well."""

    def failed(self, error: Exception) -> None:
        """The flow has failed and is about to be undone."""

    def undo(self, undoing: Undoing) -> None:
        """Carry the undoing out, as far back as it goes."""


FINISH = "finish"
"""The name of what comes after a flow's last step: what it made becomes available."""


class _ByItself:
    """The flow goes on by itself."""

    def begins(self, kind: str, plan: Sequence[str] | None) -> None: ...

    def step(self, name: str, number: int) -> None: ...

    def done(self) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def undo(self, undoing: Undoing) -> None:
        undoing.back_to(1)


_BY_ITSELF = _ByItself()

WALKER: ContextVar[Walker] = ContextVar("walker", default=_BY_ITSELF)
"""Who conducts the flows of this task."""
