"""The lock between tasks of a virtual runtime."""

from __future__ import annotations

from typing import Protocol


class ParkingTask(Protocol):
    """What the lock needs of a task."""

    def park(self, waiting_for: object, ns: int | None) -> None:
        """Block until woken."""

    def wake_soon(self) -> None:
        """Let it go on, at the current instant."""


class LockingRuntime(Protocol):
    """What the lock needs of its runtime."""

    def checkpoint(self) -> None:
        """Raise if the running task was abandoned."""

    def blocking_task(self, wanted: object) -> ParkingTask:
        """The running task, which is about to wait for `wanted`."""


class VirtualLock:
    """See `harness.runtime.RuntimeLock`. It is handed from the owner straight to the task that waited longest."""

    def __init__(self, runtime: LockingRuntime, name: str) -> None:
        self.name = name
        self._runtime = runtime
        self._owner: ParkingTask | None = None
        self._waiters: dict[ParkingTask, None] = {}

    def __repr__(self) -> str:
        holder = "" if self._owner is None else f", held by {self._owner!r}"
        return f"lock {self.name!r}{holder}"

    def __enter__(self) -> None:
        self._runtime.checkpoint()
        task = self._runtime.blocking_task(self)
        if self._owner is None:
            self._owner = task
            return
        if self._owner is task:
            raise RuntimeError(f"{task!r} already holds lock {self.name!r}; runtime locks are not reentrant")
        self._waiters[task] = None
        try:
            task.park(self, None)
        except BaseException:
            self._waiters.pop(task, None)
            if self._owner is task:  # handed over in the instant in which the task was abandoned
                self._hand_over()
            raise

    def __exit__(self, *exc_info: object) -> None:
        # Not fenced: as with the locks of a process that dies, nobody else could ever give it back.
        self._hand_over()

    def _hand_over(self) -> None:
        self._owner = next(iter(self._waiters), None)
        if self._owner is not None:
            del self._waiters[self._owner]
            self._owner.wake_soon()
