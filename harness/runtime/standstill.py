"""A task whose machine stands still: what wakes it is kept for later, and its clock falls behind."""

from __future__ import annotations

from harness.runtime.agenda import Agenda, Alarm


class Standstill:
    """The suspensions of one task; they nest. `lag_ns` is how far its machine's clock is behind."""

    def __init__(self, env: Agenda, lag_ns: int = 0) -> None:
        self.lag_ns = lag_ns
        self._env = env
        self._depth = 0
        self._since_ns = 0
        self._left_ns: int | None = None

    @property
    def is_on(self) -> bool:
        """Whether the machine stands still now."""
        return self._depth > 0

    def begin(self, wake: Alarm | None) -> None:
        """The machine stands still from now on; `wake`, which the task waits for, keeps the time that it has left."""
        self._depth += 1
        if self._depth > 1:
            return
        self._since_ns = int(self._env.now)
        if wake is not None:
            self._left_ns = self._env.due_ns(wake) - self._since_ns
            wake.cancel()

    def wake(self) -> None:
        """Something has woken the task meanwhile."""
        self._left_ns = 0

    def end(self) -> int | None:
        """The machine goes on, unless suspended once more; returns in how many nanoseconds the task is to wake up."""
        self._depth -= 1
        if self._depth:
            return None
        self.lag_ns += int(self._env.now) - self._since_ns
        left_ns, self._left_ns = self._left_ns, None
        return left_ns
