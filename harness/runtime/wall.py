"""The wall clock: each task is a daemon thread, time is the machine's monotonic clock."""

from __future__ import annotations

import _thread
import contextvars
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

from harness.runtime.port import SECOND, Abandoned, Expired, HorizonExceeded, Limits, Signal, Task, seconds
from harness.runtime.wall_timers import TimerThread, WallTimer

T = TypeVar("T")

RUNNING: contextvars.ContextVar[WallRuntime | None] = contextvars.ContextVar("the runtime of the task", default=None)
"""The runtime whose task runs here, for code that was handed none."""
_JOIN_S = 1.0
"""How long `close` waits in all for threads to end, in seconds; what blocks elsewhere stays behind, fenced."""
_CALLS_TOLD = 4
"""How many calls of a stack an error tells: enough to get from the library that blocks to the code that called it."""


class _Bell:
    """Wakes one waiting thread, once."""

    def __init__(self, waiting_for: object) -> None:
        self.waiting_for = waiting_for
        self.thread = _thread.get_ident()
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._rung = False

    def ring(self) -> None:
        """Wake the thread. Called with the runtime's mutex held."""
        if not self._rung:
            self._rung = True
            self._lock.release()

    def wait(self, ns: int | None) -> None:
        """Block until rung, or for `ns` nanoseconds."""
        if ns is None:
            self._lock.acquire()
        elif ns > 0:
            self._lock.acquire(timeout=min(ns / SECOND, threading.TIMEOUT_MAX))


class WallSignal(Signal[T]):
    """See `harness.runtime.Signal`."""

    def __init__(self, runtime: WallRuntime, name: str) -> None:
        self.name = name
        self._runtime = runtime
        self._over = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiters: dict[_Bell, None] = {}

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
        with self._runtime.mutex:
            if self._over:
                return
            self._value, self._error, self._over = value, error, True
            waiters, self._waiters = self._waiters, {}
            for bell in waiters:
                bell.ring()

    def wait(self, timeout_ns: int | None = None) -> T:
        """See `harness.runtime.Signal.wait`. Raises `RuntimeError` in a `call_later` action if it would block."""
        runtime = self._runtime
        runtime.checkpoint()
        if not self._over:
            runtime.refuse_in_timers(self)
            runtime.park(_Bell(self), self.waiters_unless_over, timeout_ns)
            if not self._over:
                raise Expired(f"{self!r} was not over within {seconds(timeout_ns or 0):g} s")
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def waiters_unless_over(self) -> dict[_Bell, None] | None:
        """Where a bell queues for this signal; called with the mutex held."""
        return None if self._over else self._waiters


class WallTask(WallSignal[T], Task[T]):
    """See `harness.runtime.Task`."""

    def __init__(self, runtime: WallRuntime, name: str, body: Callable[[], T]) -> None:
        super().__init__(runtime, name)
        self.bell: _Bell | None = None
        self.fenced = False
        self._companions: list[Task[Any]] = []
        self._body: Callable[[], T] | None = body
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)

    def __repr__(self) -> str:
        return f"task {self.name!r}"

    @property
    def is_abandoned(self) -> bool:
        """See `harness.runtime.Task.is_abandoned`."""
        return self.fenced

    def abandon(self) -> None:
        """See `harness.runtime.Task.abandon`."""
        with self._runtime.mutex:
            self.fenced = True
            if self.bell is not None:
                self.bell.ring()
        for companion in self._companions:
            companion.abandon()

    def take_along(self, other: Task[Any]) -> None:
        """See `harness.runtime.Task.take_along`."""
        self._companions.append(other)

    def _run(self) -> None:
        RUNNING.set(self._runtime)  # in the context that was copied for this task
        body, self._body = self._body, None
        assert body is not None
        self._runtime.enter(self)
        try:
            self._runtime.checkpoint()
            value = body()
        except BaseException as error:
            self._runtime.leave(self)
            self.fail(error)
        else:
            self._runtime.leave(self)
            self.set(value)


class WallLock:
    """See `harness.runtime.RuntimeLock`. It is handed from the owner straight to the thread that waited longest."""

    def __init__(self, runtime: WallRuntime, name: str) -> None:
        self.name = name
        self._runtime = runtime
        self._owner: _Bell | None = None  # each acquisition has its own bell; it tells owners apart
        self._waiters: dict[_Bell, None] = {}

    def __repr__(self) -> str:
        return f"lock {self.name!r}"

    def __enter__(self) -> None:
        runtime = self._runtime
        runtime.checkpoint()
        runtime.refuse_in_timers(self)
        bell = _Bell(self)
        owner = self._owner
        if owner is not None and owner.thread == bell.thread:
            raise RuntimeError(f"the calling task already holds {self!r}; runtime locks are not reentrant")

        def take_or_queue() -> dict[_Bell, None] | None:
            if self._owner is None:
                self._owner = bell
                return None
            return self._waiters

        try:
            runtime.park(bell, take_or_queue, None)
        except Abandoned:
            with runtime.mutex:
                if self._owner is bell:  # handed over just as the task was abandoned
                    self._hand_over()
            raise

    def __exit__(self, *exc_info: object) -> None:
        # Not fenced: as with the locks of a process that dies, nobody else could ever give it back.
        with self._runtime.mutex:
            self._hand_over()

    def _hand_over(self) -> None:
        self._owner = next(iter(self._waiters), None)
        if self._owner is not None:
            del self._waiters[self._owner]
            self._owner.ring()


class WallRuntime:
    """See `harness.runtime.Runtime`. Threads that code starts by itself may use the port too; they are no tasks."""

    virtual = False

    def __init__(self) -> None:
        self.mutex = threading.Lock()  # guards the waiters, fences and owners of this runtime; never held for long
        self._origin_ns = time.monotonic_ns()
        self._timers = TimerThread(self._fail)
        self._tasks: dict[WallTask[Any], None] = {}
        self._by_thread: dict[int, WallTask[Any]] = {}
        self._locks: dict[str, WallLock] = {}
        self._failure: BaseException | None = None
        self._main_bell: _Bell | None = None
        self._state = "new"

    def now(self) -> int:
        """See `harness.runtime.Runtime.now`."""
        return time.monotonic_ns() - self._origin_ns

    def clock(self) -> int:
        """See `harness.runtime.Runtime.clock`."""
        return self.now()

    def sleep(self, ns: int) -> None:
        """See `harness.runtime.Runtime.sleep`. Raises `ValueError` if `ns` is negative."""
        self.checkpoint()
        if ns < 0:
            raise ValueError(f"can't sleep for {ns} ns")
        if ns > 0:
            self.refuse_in_timers("time to pass")
            self.park(_Bell("time to pass"), dict, ns)

    def signal(self, name: str = "") -> WallSignal[Any]:
        """See `harness.runtime.Runtime.signal`."""
        return WallSignal(self, name)

    def lock(self, name: str) -> WallLock:
        """See `harness.runtime.Runtime.lock`."""
        with self.mutex:
            return self._locks.setdefault(name, WallLock(self, name))

    def spawn(self, name: str, body: Callable[[], T]) -> WallTask[T]:
        """See `harness.runtime.Runtime.spawn`. Raises `RuntimeError` once the runtime is closed."""
        self.checkpoint()
        task = WallTask(self, name, body)
        with self.mutex:
            if self._state == "closed":
                raise RuntimeError(f"can't start task {name!r}: the runtime is closed")
            self._tasks[task] = None
        task.thread.start()
        return task

    def call_later(self, ns: int, action: Callable[[], None]) -> WallTimer:
        """See `harness.runtime.Runtime.call_later`. An error of the action ends the run."""
        self.checkpoint()
        if ns < 0:
            raise ValueError(f"can't call back {-ns} ns ago")
        return self._timers.call_at(time.monotonic_ns() + ns, action)

    def current(self) -> WallTask[Any] | None:
        """See `harness.runtime.Runtime.current`."""
        return self._by_thread.get(_thread.get_ident())

    def checkpoint(self) -> None:
        """See `harness.runtime.Runtime.checkpoint`."""
        task = self._by_thread.get(_thread.get_ident())
        if task is not None and task.fenced:
            raise Abandoned(f"{task!r} was abandoned")

    def run(self, main: Callable[[], T], limits: Limits) -> T:
        """See `harness.runtime.Runtime.run`."""
        if self._state != "new":
            raise RuntimeError(f"a runtime runs once; this one is {self._state}")
        self._state = "running"
        bell = self._main_bell = _Bell("main")
        task = self.spawn("main", main)
        self.park(
            bell,
            lambda: None if self._failure is not None else task.waiters_unless_over(),
            round(limits.wall_s * SECOND),
        )
        if self._failure is not None:
            raise self._failure
        if not task.is_over:
            raise HorizonExceeded(f"main is not over after {limits.wall_s:g} s; {self._who_waits()}")
        self._state = "over"
        return task.wait()

    def close(self) -> None:
        """See `harness.runtime.Runtime.close`. A thread that blocks outside of the port is fenced and left behind."""
        with self.mutex:
            self._state = "closed"
            tasks = list(self._tasks)
        self._timers.stop()
        for task in tasks:
            task.abandon()
        give_up_ns = time.monotonic_ns() + round(_JOIN_S * SECOND)
        for thread in [task.thread for task in tasks] + [self._timers.thread]:
            if thread is not None and thread.ident not in (None, _thread.get_ident()):
                thread.join(max(0.0, (give_up_ns - time.monotonic_ns()) / SECOND))

    # ---- for the signals, tasks and locks of this runtime ----------------------------------------------------------

    def park(self, bell: _Bell, queue: Callable[[], dict[_Bell, None] | None], ns: int | None) -> None:
        """Block the calling thread until its bell rings, or for `ns` nanoseconds. Raises `Abandoned`.

        `queue` is called with the mutex held: it returns where the bell queues, or None if there is no need to wait.
        """
        task = self.current()
        with self.mutex:
            waiters = queue()
            if waiters is not None and not (task is not None and task.fenced):
                waiters[bell] = None
                if task is not None:
                    task.bell = bell
            else:
                bell.ring()
        try:
            bell.wait(ns)
        finally:
            with self.mutex:
                if waiters is not None:
                    waiters.pop(bell, None)
                if task is not None:
                    task.bell = None
        self.checkpoint()

    def refuse_in_timers(self, wanted: object) -> None:
        """Raise `RuntimeError` in a `call_later` action: all timers would wait with it."""
        if threading.current_thread() is self._timers.thread:
            raise RuntimeError(f"can't wait for {wanted} outside of a task; start one with spawn() or run()")

    def enter(self, task: WallTask[Any]) -> None:
        """Note that the calling thread runs the task."""
        self._by_thread[_thread.get_ident()] = task

    def leave(self, task: WallTask[Any]) -> None:
        """Note that the task is over."""
        self._by_thread.pop(_thread.get_ident(), None)
        with self.mutex:
            self._tasks.pop(task, None)

    def _fail(self, error: BaseException) -> None:
        with self.mutex:
            if self._failure is None:
                self._failure = error
            if self._main_bell is not None:
                self._main_bell.ring()

    def _who_waits(self) -> str:
        with self.mutex:
            tasks = [(task, task.bell) for task in self._tasks]
        frames = sys._current_frames()
        told = [_where_it_stands(task, bell, frames.get(task.thread.ident or 0)) for task, bell in tasks]
        return "; ".join(told) or "no task is left"


def _where_it_stands(task: WallTask[Any], bell: _Bell | None, frame: FrameType | None) -> str:
    """What a task waits for in a port call; else where its own code is, which a driver's author has to find."""
    if bell is not None:
        return f"{task!r} waits for {bell.waiting_for}"
    if frame is None:
        return f"{task!r} is not running"
    calls = [
        f"{call.name} ({'/'.join(Path(call.filename).parts[-2:])}, line {call.lineno})"
        for call in reversed(traceback.extract_stack(frame, _CALLS_TOLD))
    ]
    return f"{task!r} is outside of the port, in {' called from '.join(calls)}"
