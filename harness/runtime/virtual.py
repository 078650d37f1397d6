"""The virtual clock: a SimPy environment in integer nanoseconds, blocking code in greenlets.

The hub greenlet (the caller of `run`) steps the environment; a task that blocks switches to the hub and is resumed
from the callback of the event that it waits for. Everything that wakes a task goes through the event queue, so that
one run has one order.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, TypeVar, cast

import greenlet

from harness.runtime.agenda import Agenda, Alarm
from harness.runtime.port import Abandoned, Deadlock, Expired, HorizonExceeded, Limits, Livelock, Signal, Task, seconds
from harness.runtime.virtual_lock import VirtualLock

T = TypeVar("T")

_open_runtimes: set[VirtualRuntime] = set()
"""Runtimes that are not closed: a greenlet that is collected runs its `finally` blocks, whatever runs just then."""

_unending: list[object] = []
"""Greenlets that refused to end, kept for the same reason."""

_TIME = "time to pass"


class TaskGreenlet(greenlet.greenlet):
    """The greenlet of a task; how code finds out in which task it runs."""

    task: VirtualTask[Any]


def current_task() -> VirtualTask[Any] | None:
    """The task of whichever virtual runtime this code runs in, or None (the hub, a thread, no run)."""
    running = greenlet.getcurrent()
    return running.task if running.__class__ is TaskGreenlet else None


class VirtualSignal(Signal[T]):
    """See `harness.runtime.Signal`."""

    def __init__(self, runtime: VirtualRuntime, name: str) -> None:
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

    `number` counts the runtime's tasks. `companions` share its fate: threads that its code started.
    """

    def __init__(self, runtime: VirtualRuntime, name: str, body: Callable[[], T], number: int) -> None:
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

    def begin(self) -> None:
        """Start the body; called in the hub. A task that was abandoned before never starts."""
        if self._over:
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
            self._wake = runtime.env.alarm(ns, self._resume)
        runtime.hub.switch()
        self._waiting_for = None
        if self._fenced:
            runtime.refuse(self)

    def wake_soon(self) -> None:
        """Resume the parked task at this instant, through the queue; whatever would have woken it is cancelled."""
        if self._wake is not None:
            self._wake.cancel()
        self._wake = self.runtime.env.alarm(0, self._resume)

    def _resume(self) -> None:
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


class VirtualRuntime:
    """See `harness.runtime.Runtime`. `env` is the SimPy environment, in integer nanoseconds, for models' callbacks."""

    virtual = True

    def __init__(self) -> None:
        self.env = Agenda()
        self.hub = greenlet.getcurrent()
        self._tasks: dict[VirtualTask[Any], None] = {}
        self._locks: dict[str, VirtualLock] = {}
        self._limits = Limits()
        self._spawned = 0
        self._steps = 0
        self._clock_reads = 0
        self._stopped_by: BaseException | None = None
        self._state = "new"
        _open_runtimes.add(self)

    def now(self) -> int:
        """See `harness.runtime.Runtime.now`."""
        now: int = self.env._now  # type: ignore[assignment]  # SimPy's may be a float, an agenda's is not
        return now

    def sleep(self, ns: int) -> None:
        """See `harness.runtime.Runtime.sleep`. Raises `ValueError` if `ns` is negative."""
        running = greenlet.getcurrent()
        task = running.task if running.__class__ is TaskGreenlet else None
        if task is not None and task._fenced:
            self.refuse(task)
        if ns > 0:
            if task is None:
                task = self.blocking_task(_TIME)  # which raises
            if not self._passes(ns):
                task.park(_TIME, ns)
        elif ns == 0:
            self.note_clock_read()
        else:
            raise ValueError(f"can't sleep for {ns} ns")

    def _passes(self, ns: int) -> bool:
        """Let `ns` nanoseconds pass at once where nothing at all is due until after then; returns whether it did so.

        The hub would do no more than resume the running task next; this spares two switches. At a tie the hub decides.
        """
        env = self.env
        at = env._now + ns
        if self._state != "running" or self._stopped_by is not None or at > self._limits.horizon_ns:
            return False
        if env._queue and env._queue[0][0] <= at:
            due = env.next_at()  # which leaves out what was cancelled
            if due is not None and due <= at:
                return False
        env._now = at
        self._steps, self._clock_reads = 1, 0
        return True

    def signal(self, name: str = "") -> VirtualSignal[Any]:
        """See `harness.runtime.Runtime.signal`."""
        return VirtualSignal(self, name)

    def lock(self, name: str) -> VirtualLock:
        """See `harness.runtime.Runtime.lock`."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = VirtualLock(self, name)
        return lock

    def spawn(self, name: str, body: Callable[[], T]) -> VirtualTask[T]:
        """See `harness.runtime.Runtime.spawn`. Raises `RuntimeError` once the runtime is closed."""
        self.checkpoint()
        if self._state == "closed":
            raise RuntimeError(f"can't start task {name!r}: the runtime is closed")
        self._spawned += 1
        task = VirtualTask(self, name, body, self._spawned)
        self._tasks[task] = None
        self.env.alarm(0, task.begin)
        return task

    def call_later(self, ns: int, action: Callable[[], None]) -> Alarm:
        """See `harness.runtime.Runtime.call_later`. An error of the action ends the run."""
        self.checkpoint()
        if ns < 0:
            raise ValueError(f"can't call back {-ns} ns ago")
        return self.env.alarm(ns, action)

    def current(self) -> VirtualTask[Any] | None:
        """See `harness.runtime.Runtime.current`."""
        return current_task()

    def checkpoint(self) -> None:
        """See `harness.runtime.Runtime.checkpoint`."""
        running = greenlet.getcurrent()
        if running.__class__ is TaskGreenlet and running.task._fenced:
            self.refuse(running.task)

    def run(self, main: Callable[[], T], limits: Limits) -> T:
        """See `harness.runtime.Runtime.run`."""
        if self._state != "new":
            raise RuntimeError(f"a runtime runs once; this one is {self._state}")
        self._state = "running"
        self._limits = limits
        self.hub = greenlet.getcurrent()
        task = self.spawn("main", main)
        env = self.env
        while not task.is_over:
            at = env.next_at()
            if at is None:
                raise Deadlock(f"nothing is scheduled any more at {seconds(self.now()):g} s; {self._who_waits()}")
            if at != env._now:
                if at > limits.horizon_ns:
                    raise HorizonExceeded(
                        f"main is not over at the horizon of {seconds(limits.horizon_ns):g} s; {self._who_waits()}"
                    )
                self._steps = self._clock_reads = 0
            self._steps += 1
            if self._steps > limits.steps_at_one_instant:
                raise Livelock(
                    f"more than {limits.steps_at_one_instant} steps at {seconds(self.now()):g} s and time does not "
                    f"pass; {self._who_waits()}"
                )
            env.step()
            if self._stopped_by is not None:
                raise self._stopped_by
        self._state = "over"
        return task.wait()

    def close(self) -> None:
        """See `harness.runtime.Runtime.close`. Called in the thread that ran the runtime, outside of its tasks."""
        if self._state == "closed":
            return
        if current_task() is not None:
            raise RuntimeError("a task can't close the runtime that it runs in")
        self._state = "closed"
        self.hub = greenlet.getcurrent()
        for task in list(self._tasks):
            self._clock_reads = 0
            task.end()
        self.env._queue.clear()
        _open_runtimes.discard(self)

    # ---- for the signals, locks and patches of this runtime --------------------------------------------------------

    def note_clock_read(self) -> None:
        """Count a call that lets no time pass (clock reads, `sleep(0)`); too many at one instant end the run.

        The task is not told but left parked in the call, so that no `except` of its own can go on.
        """
        self._clock_reads += 1
        if self._clock_reads <= self._limits.clock_reads_at_one_instant:
            return
        task = current_task()
        if task is None:
            return
        self.stop(
            Livelock(
                f"{task!r} read the clock, or slept for no time, more than {self._limits.clock_reads_at_one_instant} "
                f"times at {seconds(self.now()):g} s without waiting"
            )
        )
        self.hub.switch()
        raise Abandoned(f"{task!r} was ended")  # back here only from `close`

    def refuse(self, task: VirtualTask[Any]) -> None:
        """Raise `Abandoned` in the task. A task that goes on asking all the same is a livelock."""
        self.note_clock_read()
        raise Abandoned(f"{task!r} was abandoned")

    def stop(self, error: BaseException) -> None:
        """Let the hub end the run with this error as soon as control is back there; the first error counts."""
        if self._stopped_by is None:
            self._stopped_by = error

    def blocking_task(self, wanted: object) -> VirtualTask[Any]:
        """The running task. Raises `RuntimeError` outside of tasks, where nothing can wait."""
        task = current_task()
        if task is None:
            raise RuntimeError(f"can't wait for {wanted} outside of a task; start one with spawn() or run()")
        return task

    def discard(self, task: VirtualTask[Any]) -> None:
        """Forget a task that is over."""
        self._tasks.pop(task, None)

    def _who_waits(self) -> str:
        waiting = [f"{task!r} waits for {task.waiting_for}" for task in self._tasks if task.waiting_for is not None]
        return "; ".join(waiting) or "no task waits"
