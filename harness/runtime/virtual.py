"""The virtual clock: a SimPy environment in integer nanoseconds, blocking code in greenlets.

The hub greenlet (the caller of `run`) steps the environment; a task that blocks switches to the hub and is resumed
from the callback of the event that it waits for. Everything that wakes a task goes through the event queue, so that
one run has one order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import greenlet

from harness.runtime.agenda import Agenda, Alarm
from harness.runtime.port import Abandoned, Deadlock, HorizonExceeded, Limits, Livelock, seconds
from harness.runtime.virtual_lock import VirtualLock
from harness.runtime.virtual_task import TaskGreenlet, VirtualSignal, VirtualTask, current_task

T = TypeVar("T")

_open_runtimes: set[VirtualRuntime] = set()
"""Runtimes that are not closed: a greenlet that is collected runs its `finally` blocks, whatever runs just then."""

_TIME = "time to pass"


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

    @property
    def horizon_ns(self) -> int:
        """Up to when the run may go on; see `harness.runtime.Limits`."""
        return self._limits.horizon_ns

    def now(self) -> int:
        """See `harness.runtime.Runtime.now`."""
        now: int = self.env._now  # type: ignore[assignment]  # SimPy's may be a float, an agenda's is not
        return now

    def clock(self) -> int:
        """See `harness.runtime.Runtime.clock`."""
        task = current_task()
        return self.now() if task is None or task.standstill is None else self.now() - task.standstill.lag_ns

    def sleep(self, ns: int) -> None:
        """See `harness.runtime.Runtime.sleep`. Raises `ValueError` if `ns` is negative."""
        running = greenlet.getcurrent()
        task = running.task if running.__class__ is TaskGreenlet else None
        if task is not None and task._fenced:
            self.refuse(task)
        if ns > 0:
            if task is None:
                task = self.blocking_task(_TIME)  # which raises
            env = self.env
            at = self.now() + ns
            # Nothing at all is due until after then: the hub would do no more than resume this task next, and letting
            # the time pass here spares two switches. At a tie the hub decides.
            if (
                self._state == "running"
                and self._stopped_by is None
                and at <= self._limits.horizon_ns
                and (not env._queue or env._queue[0][0] > at or self._is_free_until(at))
            ):
                env._now = at
                self._steps, self._clock_reads = 1, 0
            else:
                task.park(_TIME, ns)
        elif ns == 0:
            self.note_clock_read()
        else:
            raise ValueError(f"can't sleep for {ns} ns")

    def _is_free_until(self, at: int) -> bool:
        """Whether nothing is due by that instant, what was cancelled left out."""
        due = self.env.next_at()
        return due is None or due > at

    def undisturbed_ns(self) -> int:
        """For how long (ns) nothing at all is due, and no limit reached; 0 or less where that can't be relied on."""
        if self._state != "running" or self._stopped_by is not None or current_task() is None:
            return 0
        due, end = self.env.next_at(), self._limits.horizon_ns + 1
        return (end if due is None else min(due, end)) - self.now()

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
        env, next_at, step = self.env, self.env.next_at, self.env.step
        while not task._over:
            at = next_at()
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
            step()
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
        self._state, self.hub = "closed", greenlet.getcurrent()
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
