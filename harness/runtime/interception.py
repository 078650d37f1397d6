"""Clocks and processes of the standard library inside virtual tasks: clocks are the runtime's, processes refused.

What waits in C without asking a clock in Python (sockets, `select`, hence event loops) blocks the whole process; the
cell's wall limit ends that.
"""

from __future__ import annotations

import copyreg
import datetime
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from harness.runtime.port import SECOND, nanoseconds
from harness.runtime.virtual_task import current_task

EPOCH_NS = 1_767_225_600 * SECOND
"""What `time.time_ns` says when a virtual run begins: 2026-01-01T00:00:00Z, in nanoseconds."""

_real_sleep = time.sleep
_RealDatetime = datetime.datetime


def install() -> None:
    """Replace the clocks and the ways to start processes, for good."""
    setattr(time, "sleep", _sleep)  # noqa: B010
    for name in ("monotonic", "perf_counter"):
        _replace_clock(name, 0)
    _replace_clock("time", EPOCH_NS)
    # names that the standard library bound before now
    setattr(threading, "_time", time.monotonic)  # noqa: B010
    setattr(queue, "time", time.monotonic)  # noqa: B010
    for name in ("gmtime", "localtime", "ctime"):
        _replace_conversion(name, getattr(time, name))
    for name, position in (("strftime", 1), ("asctime", 0)):
        _replace_formatting(name, position, getattr(time, name))
    setattr(datetime, "datetime", _Datetime)  # noqa: B010
    copyreg.pickle(_RealDatetime, _reduce_datetime)
    for name in ("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, _refusing(f"os.{name}", getattr(os, name)))
    setattr(subprocess.Popen, "__init__", _refusing("subprocess.Popen", subprocess.Popen.__init__))  # noqa: B010


def _sleep(secs: float, /) -> None:
    task = current_task()
    if task is None:
        _real_sleep(secs)
    elif secs < 0:
        raise ValueError("sleep length must be non-negative")
    else:
        task.runtime.sleep(max(nanoseconds(secs), 1 if secs else 0))


def _replace_clock(name: str, origin_ns: int) -> None:
    """Replace `time.<name>` and `time.<name>_ns` by clocks that show `origin_ns` when a run begins."""
    real: Callable[[], float] = getattr(time, name)
    real_ns: Callable[[], int] = getattr(time, f"{name}_ns")

    def in_seconds() -> float:
        task = current_task()
        if task is None:
            return real()
        task.runtime.note_clock_read()
        return (origin_ns + task.runtime.clock()) / SECOND

    def in_nanoseconds() -> int:
        task = current_task()
        if task is None:
            return real_ns()
        task.runtime.note_clock_read()
        return origin_ns + task.runtime.clock()

    in_seconds.__name__ = in_seconds.__qualname__ = name
    in_nanoseconds.__name__ = in_nanoseconds.__qualname__ = f"{name}_ns"
    setattr(time, name, in_seconds)
    setattr(time, f"{name}_ns", in_nanoseconds)


def _replace_conversion(name: str, real: Callable[[float | None], Any]) -> None:
    def convert(secs: float | None = None, /) -> Any:
        return real(time.time() if secs is None and current_task() is not None else secs)

    convert.__name__ = convert.__qualname__ = name
    setattr(time, name, convert)


def _replace_formatting(name: str, position: int, real: Callable[..., str]) -> None:
    def render(*args: Any) -> str:
        if len(args) == position and current_task() is not None:
            args = (*args, time.localtime())
        return real(*args)

    render.__name__ = render.__qualname__ = name
    setattr(time, name, render)


def _refusing(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def start(*args: Any, **kwargs: Any) -> Any:
        if current_task() is not None:
            raise RuntimeError(
                f"{what} was called under the virtual clock: an external process takes real time and would see none of "
                "the simulated backend; use a testbed under the wall clock, such as files"
            )
        return real(*args, **kwargs)

    start.__name__ = start.__qualname__ = what.rpartition(".")[2]
    return start


class _AsDatetime(type):
    """Lets every datetime pass for an instance of the stand-in."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime) if cls is _Datetime else super().__instancecheck__(instance)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _RealDatetime) if cls is _Datetime else super().__subclasscheck__(other)


class _Datetime(_RealDatetime, metaclass=_AsDatetime):
    """Stands in for `datetime.datetime`; makes ordinary ones, and knows which clock to ask what time it is now.

    Without it a loop that waits for a deadline in calendar time would never end: the machine's clock stands still
    while virtual hours pass.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _RealDatetime.__new__(_RealDatetime if cls is _Datetime else cls, *args, **kwargs)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """The time now, of the running task's clock."""
        return cls.fromtimestamp(time.time(), tz) if current_task() is not None else super().now(tz)

    @classmethod
    def today(cls) -> Any:
        """The time now, of the running task's clock."""
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        """The time now in UTC without a zone, of the running task's clock."""
        return cls.now(datetime.UTC).replace(tzinfo=None)


_Datetime.__name__ = _Datetime.__qualname__ = "datetime"
_Datetime.__module__ = "datetime"


def _reduce_datetime(value: datetime.datetime) -> tuple[Any, ...]:
    return (datetime.datetime, *value.__reduce__()[1:])
