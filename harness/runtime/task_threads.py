"""Locks and threads of the standard library inside virtual tasks.

Only the lowest layer is replaced: the lock, the start and end of a thread, and who is running. Conditions, events,
semaphores, barriers, queues, timers and thread pools are Python on top of that and work as they are.
"""

from __future__ import annotations

import _thread
import _threading_local
import itertools
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from harness.runtime.port import Abandoned, Expired, Signal, nanoseconds
from harness.runtime.standstill import Standstill
from harness.runtime.virtual_task import VirtualTask, current_task

_IDENT_BASE = 1 << 40
"""Thread idents of tasks start here. They count from it, as a run must not depend on where something lies in memory."""

_real_allocate = _thread.allocate_lock
_real_get_ident = threading.get_ident
_real_current_thread = threading.current_thread
_real_start_new_thread = _thread.start_new_thread
_real_start = threading.Thread.start
_real_join = threading.Thread.join
_real_is_alive = threading.Thread.is_alive

_task_of: weakref.WeakKeyDictionary[threading.Thread, VirtualTask[Any]] = weakref.WeakKeyDictionary()
_thread_of: weakref.WeakKeyDictionary[VirtualTask[Any], threading.Thread] = weakref.WeakKeyDictionary()


def install() -> None:
    """Replace the primitives, for good."""
    setattr(threading, "Lock", Lock)  # noqa: B010
    setattr(threading, "_allocate_lock", Lock)  # noqa: B010 - conditions and the Python RLock use it
    setattr(threading, "_CRLock", None)  # noqa: B010 - RLock() then makes the one in Python, which asks get_ident
    threading.get_ident = _get_ident
    threading.current_thread = _current_thread
    setattr(threading, "local", _threading_local.local)  # noqa: B010 - the one in C knows no tasks
    # bound by name before now
    setattr(_threading_local, "current_thread", _current_thread)  # noqa: B010
    _thread.start_new_thread = _start_new_thread
    setattr(threading.Thread, "start", _start)  # noqa: B010
    setattr(threading.Thread, "join", _join)  # noqa: B010
    setattr(threading.Thread, "is_alive", _is_alive)  # noqa: B010
    setattr(queue, "SimpleQueue", queue._PySimpleQueue)  # type: ignore[attr-defined]  # noqa: B010


def reset_names() -> None:
    """Let the names that threads and pools number by themselves start again, so that a run repeats exactly."""
    setattr(threading, "_counter", itertools.count(1).__next__)  # noqa: B010
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        pools.ThreadPoolExecutor._counter = itertools.count().__next__


class Lock:
    """Stands in for `threading.Lock`: a real lock outside of virtual tasks; inside them, waiting takes virtual time.

    Tasks get it in the order in which they asked.
    """

    __slots__ = ("__weakref__", "_real", "_waiters")

    def __init__(self) -> None:
        self._real = _real_allocate()
        self._waiters: dict[Signal[Any], None] = {}

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; see `threading.Lock.acquire`."""
        task = current_task()
        if task is None:
            return self._real.acquire(blocking, timeout)
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if self._real.acquire(False):
            return True
        if not blocking or timeout == 0:
            task.runtime.note_clock_read()
            return False
        handed_over = task.runtime.signal("a threading lock")
        self._waiters[handed_over] = None
        try:
            handed_over.wait(None if timeout == -1 else max(1, nanoseconds(timeout)))
        except Expired:
            return False
        except BaseException:
            if handed_over.is_over:  # in the instant in which the task was abandoned
                self.release()
            raise
        finally:
            self._waiters.pop(handed_over, None)
        return True

    def release(self) -> None:
        """Give the lock back, or hand it to the task that waited longest."""
        if not self._waiters:
            self._real.release()
            return
        handed_over = next(iter(self._waiters))
        del self._waiters[handed_over]
        handed_over.set(None)

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} lock at {id(self):#x}>"

    def _at_fork_reinit(self) -> None:
        self._real = _real_allocate()
        self._waiters.clear()


def _get_ident() -> int:
    task = current_task()
    return _real_get_ident() if task is None else _IDENT_BASE + task.number


def _current_thread() -> threading.Thread:
    task = current_task()
    if task is None:
        return _real_current_thread()
    thread = _thread_of.get(task)
    if thread is None:
        thread = threading.Thread(name=task.name, daemon=True)
        _tie(thread, task)
    return thread


def _tie(thread: threading.Thread, task: VirtualTask[Any]) -> None:
    _thread_of[task] = thread
    _task_of[thread] = task
    setattr(thread, "_ident", _IDENT_BASE + task.number)  # noqa: B010
    thread._started.set()  # type: ignore[attr-defined]


def _spawn(parent: VirtualTask[Any], name: str, body: Callable[[], None]) -> VirtualTask[None]:
    task = parent.runtime.spawn(name, body)
    parent.companions.append(task)  # a process that dies takes its threads with it
    if parent.standstill is not None:
        task.standstill = Standstill(parent.runtime.env, parent.standstill.lag_ns)
    return task


def _start(self: threading.Thread) -> None:
    parent = current_task()
    if parent is None:
        _real_start(self)
        return
    if not self._initialized:  # type: ignore[attr-defined]
        raise RuntimeError("thread.__init__() not called")
    if self._started.is_set():  # type: ignore[attr-defined]
        raise RuntimeError("threads can only be started once")
    _tie(self, _spawn(parent, self.name, lambda: _run(self)))


def _run(thread: threading.Thread) -> None:
    try:
        thread.run()
    except SystemExit:
        pass
    except Exception as error:
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    task = _task_of.get(self)
    if task is None:
        _real_join(self, timeout)
        return
    me = current_task()
    if me is None:  # the interpreter's exit joins pools; what is left of a run does not go on
        return
    if task is me:
        raise RuntimeError("cannot join current thread")
    try:
        task.wait(None if timeout is None else max(0, nanoseconds(timeout)))
    except Expired:
        pass
    except Abandoned:
        me.runtime.checkpoint()  # is it this task that was abandoned, or the other one?


def _is_alive(self: threading.Thread) -> bool:
    task = _task_of.get(self)
    return _real_is_alive(self) if task is None else not task.is_over


def _start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /
) -> int:
    parent = current_task()
    if parent is None:
        return _real_start_new_thread(function, args, kwargs or {})
    return _IDENT_BASE + _spawn(parent, "thread", lambda: _call(function, args, kwargs or {})).number


def _call(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    function(*args, **kwargs)
