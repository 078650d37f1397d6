"""How many runs go to a process at once: enough that handing them over costs little, few enough that none waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

BATCH_S = 0.25
"""What a batch should take (seconds): well above the 0.1 s at which handing it over would be felt."""

_LEAST_BATCH_S = 0.1
"""Towards the end batches get smaller, so that all processes end at about the same time, but not below this."""


class Batches:
    """Deals out the numbers of runs in batches of about `BATCH_S`, by what runs have taken so far."""

    def __init__(self, numbers: Iterable[int], slots: int) -> None:
        self._left = deque(numbers)
        self._slots = slots
        self._runs = 0
        self._seconds = 0.0

    def __bool__(self) -> bool:
        return bool(self._left)

    def learn(self, runs: int, seconds: float) -> None:
        """Take note of what a batch of so many runs took."""
        self._runs += runs
        self._seconds += seconds

    def next(self) -> tuple[int, ...]:
        """The next batch; single runs until something is known of how long they take."""
        return tuple(self._left.popleft() for _ in range(self._size()))

    def _size(self) -> int:
        left = len(self._left)
        if not self._runs:
            return min(1, left)
        each = max(self._seconds / self._runs, 1e-6)
        usual, least = int(BATCH_S / each), int(_LEAST_BATCH_S / each) + 1
        share = left // (2 * self._slots)  # the last ones are dealt out evenly
        return min(left, max(1, min(usual, max(least, share))))
