"""The runtime: one port, two clocks (virtual and wall)."""

from harness.runtime.port import (
    SECOND,
    Abandoned,
    Deadlock,
    Expired,
    HorizonExceeded,
    Limits,
    Livelock,
    Runtime,
    RuntimeLimit,
    RuntimeLock,
    Signal,
    Task,
    Timer,
    end_run,
    nanoseconds,
    seconds,
)

__all__ = [
    "SECOND",
    "Abandoned",
    "Deadlock",
    "Expired",
    "HorizonExceeded",
    "Limits",
    "Livelock",
    "Runtime",
    "RuntimeLimit",
    "RuntimeLock",
    "Signal",
    "Task",
    "Timer",
    "end_run",
    "nanoseconds",
    "seconds",
]
