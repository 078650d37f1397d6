"""Where a schedule's choices come from: a seeded source, a test's own, or the record of an earlier run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol


class Choices(Protocol):
    """A source of whole numbers. Everything that a schedule leaves open is asked of one, before the run."""

    def integer(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""


class SeededChoices:
    """Choices drawn from a seeded random source."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def integer(self, low: int, high: int) -> int:
        """See `Choices.integer`."""
        return self._source.randint(low, high)


class RecordedChoices:
    """The choices of a record, in its order; those that don't fit become the nearest that does, missing ones are `low`.

    So every sequence of numbers is a record of some schedule, which is what lets it be shrunk; and lower numbers are
    never a record of higher choices, which is what makes it smaller.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = iter(numbers)

    def integer(self, low: int, high: int) -> int:
        """See `Choices.integer`."""
        number = next(self._numbers, low)
        return min(max(number, low), high)
