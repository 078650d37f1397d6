"""The runtime port: time, waiting and tasks, the same for blocking code under either clock.

Time is an integer number of nanoseconds since the run began. Code written against this port blocks as ordinary code
does; under the virtual clock a blocked task is a greenlet that waits for an event, under the wall clock it is a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


def nanoseconds(value: float) -> int:
    """Turn seconds into whole nanoseconds, rounded to the nearest."""
    return round(value * SECOND)


def seconds(ns: int) -> float:
    """Turn nanoseconds into seconds."""
    return ns / SECOND


class Expired(Exception):
    """A wait was not over within its time-out."""


class Abandoned(BaseException):
    """Raised in a task that was abandoned, at its next port call.

    A BaseException, so that a driver's `except Exception` does not swallow the end of its caller.
    """


class RuntimeLimit(Exception):
    """The run went past one of its limits; the message says which, where, and who was waiting for what."""


class Deadlock(RuntimeLimit):
    """Nothing is left that could ever wake the tasks that still wait (virtual clock only)."""


class Livelock(RuntimeLimit):
    """Too many steps, or too many clock reads without waiting, at one instant (virtual clock only)."""


class HorizonExceeded(RuntimeLimit):
    """The main task was not over at the run's horizon (virtual nanoseconds, or wall seconds under the wall clock)."""


@dataclass(frozen=True)
class Limits:
    """What one run may use.

    `horizon_ns` bounds virtual time, `steps_at_one_instant` and `clock_reads_at_one_instant` find livelocks under the
    virtual clock, `wall_s` bounds a run under the wall clock (seconds). Memory and the hard wall limit of the process
    are the cell's (`harness.cell.CellLimits`).
    """

    horizon_ns: int = 24 * 3600 * SECOND
    steps_at_one_instant: int = 200_000
    clock_reads_at_one_instant: int = 100_000
    wall_s: float = 60.0


class Signal(Generic[T]):
    """Something that happens once: it is set to a value or fails with an error, and wakes all who wait.

    Abstract; a runtime's `signal()` makes one. Setting or failing a signal a second time is ignored.
    """

    name: str

    @property
    def is_over(self) -> bool:
        """Whether the signal was set or failed."""
        raise NotImplementedError

    def set(self, value: T) -> None:
        """Set the value and wake all waiters, in the order in which they began to wait. Never blocks."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """Make every wait, present and future, raise `error`. Never blocks."""
        raise NotImplementedError

    def wait(self, timeout_ns: int | None = None) -> T:
        """Block until the signal is over and return its value.

        Raises the error that it failed with, or `Expired` after `timeout_ns` nanoseconds.
        """
        raise NotImplementedError


class Task(Signal[T]):
    """A running body of code; as a signal it is over when the body is, with its value or its error."""

    def abandon(self) -> None:
        """Fence the task: its next port call, and every later one, raises `Abandoned`. Never blocks, never kills.

        A task that waits in a port call is woken to meet the exception. This is how the crash of a caller is played:
        what the task did stays done, its `finally` blocks reach no port any more.
        """
        raise NotImplementedError

    @property
    def is_abandoned(self) -> bool:
        """Whether `abandon` was called."""
        raise NotImplementedError

    def take_along(self, other: Task[Any]) -> None:
        """Let `other` share this task's fate: it is abandoned when this one is."""
        raise NotImplementedError


class Timer(Protocol):
    """A pending call; `cancel` makes sure that it does not happen any more (no effect if it has)."""

    def cancel(self) -> None:
        """Cancel the call."""


class RuntimeLock(Protocol):
    """A mutual exclusion lock between tasks; first come, first served; not reentrant. Use it with `with`."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc_info: object) -> None: ...


class Runtime(Protocol):
    """Time, waiting and tasks.

    Every call that waits or starts something raises `Abandoned` inside an abandoned task. Setting signals and
    releasing locks does not: others wait for that, and nobody else could do it.
    """

    @property
    def virtual(self) -> bool:
        """True if the clock is virtual: time passes only while all tasks wait."""

    def now(self) -> int:
        """Nanoseconds since the run began."""

    def clock(self) -> int:
        """Nanoseconds on the clock of the calling task's machine: `now`, less the time for which it stood still.

        For what a caller measures itself, such as its time-outs; only the virtual clock can let a machine stand still.
        """

    def sleep(self, ns: int) -> None:
        """Block the calling task for `ns` nanoseconds. `sleep(0)` does not switch to another task."""

    def signal(self, name: str = "") -> Signal[Any]:
        """Make a signal; the name shows up in the message of a deadlock."""

    def lock(self, name: str) -> RuntimeLock:
        """The lock of that name, made on first use."""

    def spawn(self, name: str, body: Callable[[], T]) -> Task[T]:
        """Start `body` as a task. Its error is raised by `wait()` on the task; if nobody waits, it is just kept."""

    def call_later(self, ns: int, action: Callable[[], None]) -> Timer:
        """Call `action` after `ns` nanoseconds. The action runs in no task and must not block; it may set signals."""

    def current(self) -> Task[Any] | None:
        """The task that is running, or None outside of tasks (in a `call_later` action, for one)."""

    def checkpoint(self) -> None:
        """Raise `Abandoned` if the running task was abandoned. Every port of ours calls this first."""

    def run(self, main: Callable[[], T], limits: Limits) -> T:
        """Run `main` as the first task and return its value when it is over, whatever other tasks still do.

        Raises the error of `main`, or `Deadlock`, `Livelock`, `HorizonExceeded`. Called once for each runtime.
        """

    def close(self) -> None:
        """End every task that is left, so that no code of theirs runs later. Repeating it is harmless."""


def end_run(runtime: Runtime, error: BaseException) -> None:
    """Let `run` raise an error soon, whatever task met it: for what is the harness's fault and nobody else's."""

    def fail() -> None:
        raise error

    runtime.call_later(0, fail)
