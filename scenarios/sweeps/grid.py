"""The grid of a sweep: values for keys of a scenario, its variants, replications; each run has one number.

The seed of a replication is the same at all points of the grid and for all variants (common random numbers), so that
differences between them are not differences of luck: replication r has the seed `first_seed + r`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scenarios.model import MOST_SEED
from scenarios.sweeps.errors import SweepError

MAX_RUNS = 10_000_000
"""More runs than this are taken for a slip of the pen."""

_WITH_UNIT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*([A-Za-zµ%/][\w/%]*)")
_BARE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMMA = re.compile(r""",(?![^\[\]]*\])(?=(?:[^"]*"[^"]*")*[^"]*$)""")
"""A comma outside of brackets and quotes."""
_EXAMPLE = "--vary link.bandwidth=1,10,25Gb"


@dataclass(frozen=True)
class Axis:
    """A key of the scenario, as `scenarios.vary` knows it, and the texts of its values."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class RunSpec:
    """One run: its number in the grid, what is varied, the variant, the replication (from 0) and its seed."""

    number: int
    values: tuple[tuple[str, str], ...]
    variant: str
    replication: int
    seed: int

    def __str__(self) -> str:
        varied = "".join(f"{key}={value}, " for key, value in self.values)
        return f"{varied}variant {self.variant}, seed {self.seed}"


@dataclass(frozen=True)
class Grid:
    """All combinations of the axes' values, variants and replications. The last axis turns fastest, then variants."""

    axes: tuple[Axis, ...]
    variants: tuple[str, ...]
    replications: int
    first_seed: int = 1

    def __post_init__(self) -> None:
        if not self.variants:
            raise SweepError("the grid is empty: the scenario has no variant; give it at least one")
        if self.replications < 1:
            raise SweepError(f"the grid is empty: --replications is {self.replications}; it must be at least 1")
        if not 0 <= self.first_seed <= MOST_SEED:
            raise SweepError(f"--seed is {self.first_seed}; it must be from 0 to {MOST_SEED}")
        seen: set[str] = set()
        for axis in self.axes:
            if axis.key in seen:
                raise SweepError(f"--vary {axis.key} is given twice; give all its values at once, as in {_EXAMPLE}")
            seen.add(axis.key)
            if not axis.values:
                raise SweepError(f"the grid is empty: --vary {axis.key} has no value; give some, as in {_EXAMPLE}")
            twice = next((value for value in axis.values if axis.values.count(value) > 1), None)
            if twice is not None:
                raise SweepError(f"--vary {axis.key} has the value {twice!r} twice; leave one out")
        if len(self) > MAX_RUNS:
            raise SweepError(f"the grid has {len(self):,} runs; at most {MAX_RUNS:,} make a sweep: give fewer values")

    def __len__(self) -> int:
        return self._points * len(self.variants) * self.replications

    @property
    def _points(self) -> int:
        return math.prod(len(axis.values) for axis in self.axes)

    def points(self) -> Iterable[tuple[tuple[str, str], ...]]:
        """Each combination of values, as pairs of key and value, in the order of the grid."""
        keys = [axis.key for axis in self.axes]
        for values in itertools.product(*(axis.values for axis in self.axes)):
            yield tuple(zip(keys, values, strict=True))

    def run(self, number: int) -> RunSpec:
        """The run of that number, 0 <= number < len(grid). Raises IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(f"run {number} of a grid of {len(self)}")
        rest, replication = divmod(number, self.replications)
        rest, variant = divmod(rest, len(self.variants))
        values: list[tuple[str, str]] = []
        for axis in reversed(self.axes):
            rest, index = divmod(rest, len(axis.values))
            values.append((axis.key, axis.values[index]))
        seed = self.first_seed + replication
        return RunSpec(number, tuple(reversed(values)), self.variants[variant], replication, seed)

    def to_dict(self) -> dict[str, object]:
        """The grid as JSON has it."""
        return {
            "axes": [[axis.key, list(axis.values)] for axis in self.axes],
            "variants": list(self.variants),
            "replications": self.replications,
            "first_seed": self.first_seed,
        }


def axes_from(vary: Mapping[str, Sequence[object]] | Iterable[str]) -> tuple[Axis, ...]:
    """The axes of `{"link.bandwidth": ["1Gb", "10Gb"]}`, or of texts as the command line has them (`parse_axis`)."""
    if isinstance(vary, Mapping):
        return tuple(Axis(key, tuple(str(value) for value in values)) for key, values in vary.items())
    return tuple(parse_axis(text) for text in vary)


def parse_axis(text: str) -> Axis:
    """An axis from `KEY=VALUE,VALUE…`. A unit at the last value also counts for bare numbers before it: `1,10,25Gb`.

    A value may be a list, whose commas part no values: `techniques=["zlib"],["zstd","none"]`.

    Raises `SweepError`.
    """
    key, equals, rest = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SweepError(f"--vary {text!r} is not KEY=VALUE,VALUE…; write it as in {_EXAMPLE}")
    values = [value.strip() for value in _COMMA.split(rest)]
    if not any(values):
        return Axis(key, ())
    if not all(values):
        raise SweepError(f"--vary {text!r} has an empty value; leave out the comma too many")
    unit = _WITH_UNIT.fullmatch(values[-1])
    if unit is not None:
        values = [value + unit[1] if _BARE.fullmatch(value) else value for value in values]
    return Axis(key, tuple(values))
