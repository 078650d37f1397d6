"""Which world the code of a hosted driver runs in, under either clock."""

from __future__ import annotations

from harness.hosting import HostingError
from harness.runtime import Runtime
from harness.runtime.virtual_task import current_task
from harness.runtime.wall import RUNNING


def running_runtime() -> Runtime | None:
    """The runtime of the task that runs, None outside of one."""
    task = current_task()
    return RUNNING.get() if task is None else task.runtime


def runtime_here(what: str) -> Runtime:
    """The same; raises `HostingError` outside of a task, with what was done there."""
    found = running_runtime()
    if found is None:
        raise HostingError(f"{what} outside of any world")
    return found
