"""Our flows as flows of OpenStack's `taskflow`, run by its serial engine. The extra `cinder` installs that library.

There is one description of a flow: its own code. `export` lets that code run in a task of its own, stops it before the
flow's first effect, and makes one OpenStack task of each step in the flow's plan. `execute` lets the code go on to the
end of that step, `revert` carries out the undos that the journal holds for it. So the record of a run is the same as
without the engine; only the engine's tasks for steps that a flow does not take find nothing to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from harness.runtime import Runtime, Signal, Task
from harness.runtime.patches import aside
from harness.taskflow.errors import TaskflowError
from harness.taskflow.walking import FINISH, WALKER, Undoing

try:
    from taskflow import engines
    from taskflow.patterns import linear_flow
    from taskflow.task import Task as OpenStackTask
except ImportError as _error:
    raise ImportError(
        "harness.taskflow.openstack needs OpenStack's taskflow, which the extra `cinder` installs: "
        "pip install 'backend-activity-harness[cinder]'"
    ) from _error

T = TypeVar("T")

SERIAL = ("serial", "default")
"""The names that OpenStack's taskflow has for its serial engine."""


class UnsuitableEngine(TaskflowError):
    """Another engine than the serial one. Others run tasks in threads or processes that the runtime's clock knows
    nothing of, so that virtual time would be wrong; refused before the flow has any effect."""


def export(runtime: Runtime, body: Callable[[], T], name: str | None = None) -> ExportedFlow[T]:
    """Make a linear flow of OpenStack's taskflow of a flow of ours; nothing has happened when this returns.

    `body` calls one flow: `lambda: taskflow.methods.clone(volume, new)`, a replication, a backup, `taskflow.recover`.
    The engine's flow is called `name`, by default as the journal calls its kind, and its tasks `name/step`. What the
    body looks up before its flow begins is looked up now. Called in a task of the runtime.
    """
    return ExportedFlow(runtime, body, name)


@dataclass(frozen=True)
class _Go:
    """The engine's order to go on to the end of a step."""

    step: str


@dataclass(frozen=True)
class _Undo:
    """The engine's order to undo that step and those after it; `last`: it was the first step, nothing follows."""

    step: int
    last: bool


@dataclass(frozen=True)
class _Answer:
    """What has become of an order: the number of the step that was taken, or, if it was another's turn, of that one.

    `error`: what the step failed with.
    """

    number: int = 1
    error: BaseException | None = None


class _Conducted:
    """A `Walker` whose flow goes on when an engine says so: orders come in, each gets one answer."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._orders: Signal[_Go | _Undo] = runtime.signal("an engine's order")
        self.next_answer: Signal[_Answer] = runtime.signal("the flow's answer to its engine")
        self._order: _Go | _Undo = _Go("")
        self._failed: BaseException | None = None
        self._number = 1
        self.kind = ""
        self.plan: tuple[str, ...] = ()
        self.is_over = False

    # ---- in the engine's task --------------------------------------------------------------------------------------

    def order(self, order: _Go | _Undo) -> _Answer:
        """Tell the flow to go on, and wait until it has."""
        answer, orders = self.next_answer, self._orders
        self._orders = self._runtime.signal("an engine's order")
        orders.set(order)
        return answer.wait()

    # ---- in the flow's task ----------------------------------------------------------------------------------------

    def begins(self, kind: str, plan: Sequence[str] | None) -> None:
        """See `Walker.begins`."""
        if plan is None:
            raise TaskflowError(f"{kind} does not say which steps it may take; give its flow a plan")
        if self.plan:
            raise TaskflowError(f"{self.kind} is one flow, {kind} another: export each by itself")
        self.kind, self.plan = kind, (*plan, FINISH)
        self._reply(_Answer())

    def step(self, name: str, number: int) -> None:
        """See `Walker.step`. Steps that the plan has before this one are answered for: they are not taken."""
        self._number = number
        while self._order != _Go(name):
            self._reply(_Answer(number))

    def done(self) -> None:
        """See `Walker.done`."""
        self._reply(_Answer(self._number))
        self._number += 1  # what comes now is up to the step after it

    def failed(self, error: Exception) -> None:
        """See `Walker.failed`. A flow that fails because it is told to undo needs no answer."""
        self._failed = error
        if isinstance(self._order, _Go):
            self._reply(_Answer(self._number, error))

    def undo(self, undoing: Undoing) -> None:
        """See `Walker.undo`."""
        if self._failed is None:  # a recovery, which undoes what others have done
            undoing.back_to(1)
            return
        while True:
            assert isinstance(self._order, _Undo)
            undoing.back_to(self._order.step)
            if self._order.last:
                return
            self._reply(_Answer())

    def end(self, error: BaseException | None) -> None:
        """The flow is over."""
        self.is_over = True
        self.next_answer.set(_Answer(self._number, None if error is self._failed else error))

    def _reply(self, answer: _Answer) -> None:
        answers, orders = self.next_answer, self._orders
        self.next_answer = self._runtime.signal("the flow's answer to its engine")
        answers.set(answer)
        self._order = orders.wait()
        if isinstance(self._order, _Undo) and self._failed is None:
            raise TaskflowError(f"{self.kind}: the engine reverts it, because of something that is not its own")


class _StepTask(OpenStackTask):  # type: ignore[misc]  # the library has no types
    """One step of an exported flow, as the engine sees it."""

    def __init__(self, name: str, step: str, flow: ExportedFlow[Any], is_first: bool) -> None:
        super().__init__(name)
        self._step = step
        self._flow = flow
        self._is_first = is_first
        self._number = 1

    def execute(self) -> None:
        """Let the flow go on to this step's end; raises what the flow raises."""
        answer = self._flow.order(_Go(self._step))
        self._number = answer.number
        if answer.error is not None:
            raise answer.error

    def revert(self, *_: Any, **__: Any) -> None:
        """Undo this step. A flow that is done stays as it is."""
        answer = self._flow.order(_Undo(self._number, self._is_first))
        if answer.error is not None:
            raise answer.error


class ExportedFlow(Generic[T]):
    """A flow of ours, ready to be run once by OpenStack's taskflow, in the task that exported it.

    `flow` is the `taskflow.patterns.linear_flow.Flow`, for engines that one loads oneself; `run` does it all.
    """

    def __init__(self, runtime: Runtime, body: Callable[[], T], name: str | None) -> None:
        task = runtime.current()
        if task is None:
            raise RuntimeError("a flow is exported and run in a task of the runtime; there is none here")
        self._runtime = runtime
        self._task = task
        self._walker = _Conducted(runtime)
        answer = self._walker.next_answer
        self._body: Task[T] = runtime.spawn("exported flow", lambda: self._conduct(body))
        task.take_along(self._body)
        self._early = answer.wait().error
        steps = self._walker.plan or (FINISH,)  # a body that did nothing, or was refused, tells so when it is run
        self.name = name or self._walker.kind or FINISH
        self.flow = linear_flow.Flow(self.name)
        for number, step in enumerate(steps):
            self.flow.add(_StepTask(f"{self.name}/{step}", step, self, number == 0))

    def run(self, engine: str = "serial") -> T:
        """Run the flow by the serial engine; returns the body's result and raises its error.

        Raises `UnsuitableEngine` for any other engine; the flow is abandoned then, without any effect.
        """
        if engine not in SERIAL:
            self.close()
            raise _unsuitable(f"the {engine} engine")
        if self._runtime.current() is not self._task:
            raise _unsuitable("an engine in another task")
        with aside(f"taskflow {self.name}"):  # its own ids are no part of the run
            loaded = engines.load(self.flow, engine="serial")
            loaded.compile()
            loaded.prepare()
        try:
            with contextlib.suppress(Exception):  # the body's own error follows
                loaded.run()
            self._runtime.checkpoint()
            if not self._body.is_over:
                raise TaskflowError(f"the engine has left {self.name} before its end")
            return self._body.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Abandon the flow, if it is not over. Repeating it is harmless."""
        if not self._body.is_over:
            self._body.abandon()

    def order(self, order: _Go | _Undo) -> _Answer:
        """Pass an order of the engine on to the flow and wait until it is carried out."""
        if self._runtime.current() is not self._task:
            raise _unsuitable("an engine that runs tasks elsewhere")
        if self._walker.is_over:
            early, self._early = self._early, None
            return _Answer(error=early)
        return self._walker.order(order)

    def _conduct(self, body: Callable[[], T]) -> T:
        WALKER.set(self._walker)
        try:
            result = body()
        except BaseException as error:
            self._walker.end(error)
            raise
        self._walker.end(None)
        return result


def _unsuitable(what: str) -> UnsuitableEngine:
    return UnsuitableEngine(
        f"{what} can't run a flow of this harness, since virtual time would be wrong; use the serial engine, in the "
        "task that exported the flow"
    )
