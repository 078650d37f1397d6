"""The lock between tasks of a virtual runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.runtime.virtual import VirtualRuntime, VirtualTask


class VirtualLock:
    """See `harness.runtime.RuntimeLock`. It is handed from the owner straight to the task that waited longest."""

    def __init__(self, runtime: VirtualRuntime, name: str) -> None:
        self.name = name
        self._runtime = runtime
        self._owner: VirtualTask[Any] | None = None
        self._waiters: dict[VirtualTask[Any], None] = {}

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
