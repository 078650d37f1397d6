"""What goes over a session at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

Range = tuple[int, int]
"""Offset and length in bytes, whole blocks."""

OUTSTANDING = 16
"""Commands that are on the wire at most."""

T = TypeVar("T")


def cut_up(ranges: Iterable[Range], at_once: int) -> Iterator[Range]:
    """The ranges, cut into pieces of `at_once` bytes at most."""
    for offset, length in ranges:
        for start in range(offset, offset + length, at_once):
            yield start, min(at_once, offset + length - start)


def batches(things: Iterable[T]) -> Iterator[list[T]]:
    """The things, by as many as may be outstanding."""
    left = iter(things)
    while taken := list(itertools.islice(left, OUTSTANDING)):
        yield taken
