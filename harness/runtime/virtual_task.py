"""Tasks and signals of the virtual clock: greenlets that switch to the hub where they block."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import greenlet

from harness.runtime.agenda import Agenda, Alarm
from harness.runtime.port import Abandoned, Expired, Runtime, Signal, Task, seconds
from harness.runtime.standstill import Standstill

T = TypeVar("T")

_unending: list[object] = []
"""Greenlets that refused to end; kept, since one that is collected runs its `finally` blocks, whatever runs then."""


class Hub(Runtime, Protocol):
    """A runtime, and what its tasks and signals need beside; `hub` is the greenlet that steps the agenda `env`."""

    env: Agenda
    hub: greenlet.greenlet

    def spawn(self, name: str, body: Callable[[], T]) -> VirtualTask[T]:
        """See `harness.runtime.Runtime.spawn`."""

    def note_clock_read(self) -> None:
        """Count a look at the clock that let no time pass."""

    def blocking_task(self, wanted: object) -> VirtualTask[Any]:
        """The running task, which is about to wait for `wanted`; raises `RuntimeError` outside of one."""

    def refuse(self, task: VirtualTask[Any]) -> None:
        """Raise `Abandoned` in a task that was abandoned."""

    def stop(self, error: BaseException) -> None:
        """End the run with an error."""

    def discard(self, task: VirtualTask[Any]) -> None:
        """Forget a task that is over."""


class TaskGreenlet(greenlet.greenlet):
    """The greenlet of a task; how code finds out in which task it runs."""

    task: VirtualTask[Any]


def current_task() -> VirtualTask[Any] | None:
    """The task of whichever virtual runtime this code runs in, or None (the hub, a thread, no run)."""
    running = greenlet.getcurrent()
    return running.task if running.__class__ is TaskGreenlet else None


class VirtualSignal(Signal[T]):
    """See `harness.runtime.Signal`."""

    def __init__(self, runtime: Hub, name: str) -> None:
        self.name = name
        self._runtime = runtime
        self._over = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiters: dict[VirtualTask[Any], None] = {}  # in the order in which they began to wait

    def __repr__(self) -> str:
        return f"signal {self.name!r}"

    @property
    def is_over(self) -> bool:
        """See `harness.runtime.Signal.is_over`."""
        return self._over

    def set(self, value: T) -> None:
        """See `harness.runtime.Signal.set`."""
        self._settle(value, None)

    def fail(self, error: BaseException) -> None:
        """See `harness.runtime.Signal.fail`."""
        self._settle(None, error)

    def _settle(self, value: T | None, error: BaseException | None) -> None:
        if self._over:
            return
        self._over, self._value, self._error = True, value, error
        waiters, self._waiters = self._waiters, {}
        for task in waiters:
            task.wake_soon()

    def wait(self, timeout_ns: int | None = None) -> T:
        """See `harness.runtime.Signal.wait`. Raises `RuntimeError` outside of a task if it would block."""
        runtime = self._runtime
        runtime.checkpoint()
        if not self._over:
            task = runtime.blocking_task(self)
            if timeout_ns is None or timeout_ns > 0:
                self._waiters[task] = None
                try:
                    task.park(self, timeout_ns)
                finally:
                    self._waiters.pop(task, None)
            else:
                runtime.note_clock_read()
            if not self._over:
                raise Expired(f"{self!r} was not over within {seconds(timeout_ns or 0):g} s")
        if self._error is not None:
            raise self._error
        return cast(T, self._value)


class VirtualTask(VirtualSignal[T], Task[T]):
    """See `harness.runtime.Task`.

    `number` counts the runtime's tasks. `companions` share its fate: threads that its code started, and tasks that it
    takes along. `standstill` is there once its machine has been suspended.
    """

    def __init__(self, runtime: Hub, name: str, body: Callable[[], T], number: int) -> None:
        super().__init__(runtime, name)
        self.number = number
        self.runtime = runtime
        self.companions: list[VirtualTask[Any]] = []
        self.greenlet: TaskGreenlet | None = None
        self._body: Callable[[], T] | None = body
        self._context = contextvars.copy_context()
        self._fenced = False
        self._waiting_for: object | None = None
        self._wake: Alarm | None = None
        self.standstill: Standstill | None = None

    def __repr__(self) -> str:
        return f"task {self.name!r}"

    @property
    def is_abandoned(self) -> bool:
        """See `harness.runtime.Task.is_abandoned`."""
        return self._fenced

    @property
    def waiting_for(self) -> object | None:
        """What the task waits for (its `repr` says it), or None if it does not wait."""
        return self._waiting_for

    def abandon(self) -> None:
        """See `harness.runtime.Task.abandon`."""
        if self._fenced:
            return
        self._fenced = True
        if self._waiting_for is not None:
            self.wake_soon()
        for companion in self.companions:
            companion.abandon()

    def take_along(self, other: Task[Any]) -> None:
        """See `harness.runtime.Task.take_along`."""
        assert isinstance(other, VirtualTask)
        self.companions.append(other)

    def suspend(self) -> None:
        """Let nothing happen in this task until `resume`, as on a machine that is paused. Suspensions nest.

        What wakes it meanwhile is kept for then, a time-out keeps what it had left, and its clock stands still. For
        models, called in the hub; companions are not touched.
        """
        if current_task() is self:
            raise RuntimeError(f"{self!r} can't suspend itself; the hub can")
        self.standstill = self.standstill or Standstill(self.runtime.env)
        self.standstill.begin(self._wake)
        self._wake = None

    def resume(self) -> None:
        """Take one suspension back: the task's timers and its clock go on where they stood."""
        assert self.standstill is not None
        left_ns = self.standstill.end()
        if left_ns is not None:
            self._wake = self.runtime.env.alarm(left_ns, self.begin if self.greenlet is None else self.go_on)

    def begin(self) -> None:
        """Start the body; called in the hub. A task that was abandoned before never starts."""
        if self._over:
            return
        self._wake = None
        if self.standstill is not None and self.standstill.is_on:
            self.standstill.wake()
            return
        if self._fenced:
            self.finish(None, Abandoned(f"{self!r} was abandoned"))
            return
        self.greenlet = TaskGreenlet(self._run)  # its parent is the hub
        self.greenlet.task = self
        self.greenlet.gr_context = self._context
        self.greenlet.switch()

    def _run(self) -> None:
        body, self._body = self._body, None
        assert body is not None
        try:
            value = body()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self.runtime.stop(error)
            self.finish(None, error)
        else:
            self.finish(value, None)

    def finish(self, value: T | None, error: BaseException | None) -> None:
        """Note that the body is over."""
        self.runtime.discard(self)
        self._settle(value, error)

    def park(self, waiting_for: object, ns: int | None) -> None:
        """Block until woken, or for `ns` nanoseconds; called in the task itself. Raises `Abandoned`."""
        runtime = self.runtime
        self._waiting_for = waiting_for
        if ns is not None:
            self._wake = runtime.env.alarm(ns, self.go_on)
        runtime.hub.switch()
        self._waiting_for = None
        if self._fenced:
            runtime.refuse(self)

    def wake_soon(self) -> None:
        """Resume the parked task at this instant, through the queue; whatever would have woken it is cancelled."""
        if self.standstill is not None and self.standstill.is_on:
            self.standstill.wake()
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake = self.runtime.env.alarm(0, self.go_on)

    def go_on(self) -> None:
        """Go on at once; called in the hub."""
        self._wake = None
        # settled from outside (a run that was closed) or parked for good by a limit: nothing to resume
        if self._waiting_for is not None:
            self.greenlet.switch()  # type: ignore[union-attr]

    def end(self) -> None:
        """End the task from `close`, fenced, so that its `finally` blocks reach no port."""
        self._fenced = True
        if self.greenlet is None:
            self.finish(None, Abandoned(f"{self!r} was abandoned"))
            return
        self.greenlet.parent = self.runtime.hub
        self.greenlet.switch()
        if not self.greenlet.dead:
            _unending.append(self.greenlet)
            self.finish(None, Abandoned(f"{self!r} refused to end"))
