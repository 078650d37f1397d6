"""Quantities with units, as scenario files write them: "10 Gb/s", "1 TiB", "5 ms", "2000 /s".

Each is kept as a whole number: bytes, bytes a second, nanoseconds; rates of events as a number a second. Bits are `b`,
bytes `B`; k, M, G, T are powers of 1000, Ki, Mi, Gi, Ti powers of 1024 (IEC 80000-13). A bandwidth may leave "/s" out
("25Gb"). What is written back is exact, so that reading it again gives the same number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from harness.names import did_you_mean
from harness.runtime import SECOND

_NUMBER = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)\s*([^\s0-9].*?)?\s*", re.ASCII)
_LONGEST = 60

_PREFIXES: Mapping[str, int] = MappingProxyType(
    {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
    | {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50}
)

SIZES: Mapping[str, Fraction] = MappingProxyType({f"{p}B": Fraction(factor) for p, factor in _PREFIXES.items()})
"""Bytes in each unit of size."""

BANDWIDTHS: Mapping[str, Fraction] = MappingProxyType(
    {f"{p}{unit}{per}": Fraction(factor, bits)
     for per in ("/s", "") for p, factor in _PREFIXES.items() for unit, bits in (("b", 8), ("bit", 8), ("B", 1))}
)  # fmt: skip
"""Bytes a second in each unit of bandwidth."""

TIMES: Mapping[str, Fraction] = MappingProxyType(
    {"ns": Fraction(1), "us": Fraction(10**3), "µs": Fraction(10**3), "ms": Fraction(10**6), "s": Fraction(SECOND)}
    | {"min": Fraction(60 * SECOND), "h": Fraction(3600 * SECOND), "d": Fraction(86400 * SECOND)}
)
"""Nanoseconds in each unit of time."""

RATES: Mapping[str, Fraction] = MappingProxyType(
    {"/s": Fraction(1), "/min": Fraction(1, 60), "/h": Fraction(1, 3600), "k/s": Fraction(1000)}
)
"""Events a second in each unit of rate."""

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {"size": "100 GiB", "bandwidth": "10 Gb/s", "time": "5 ms", "rate": "2000 /s"}
)


class QuantityError(ValueError):
    """A text is no such quantity; the message says what was expected."""


def parse_size(text: str) -> int:
    """Bytes. Raises `QuantityError`."""
    return _whole(_parse(text, "size", SIZES), text, "size", "bytes")


def parse_bandwidth(text: str) -> int:
    """Bytes a second, rounded down to whole ones. Raises `QuantityError`, also for less than one."""
    value = int(_parse(text, "bandwidth", BANDWIDTHS))
    if value < 1:
        raise QuantityError(f"{_shown(text)} is less than a byte a second")
    return value


def parse_time(text: str) -> int:
    """Nanoseconds. Raises `QuantityError`."""
    return _whole(_parse(text, "time", TIMES), text, "time", "nanoseconds")


def parse_rate(text: str) -> float:
    """Events a second. Raises `QuantityError`."""
    return float(_parse(text, "rate", RATES))


def size_text(value: int) -> str:
    """Bytes as a text that `parse_size` reads back exactly."""
    return _largest(value, ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB", "B"), SIZES)


def bandwidth_text(value: int) -> str:
    """Bytes a second as a text that `parse_bandwidth` reads back exactly."""
    return _largest(value, ("Tb/s", "Gb/s", "Mb/s", "kb/s", "B/s"), BANDWIDTHS)


def time_text(value: int) -> str:
    """Nanoseconds as a text that `parse_time` reads back exactly."""
    return _largest(value, ("d", "h", "min", "s", "ms", "us", "ns"), TIMES)


def rate_text(value: float) -> str:
    """Events a second as a text that `parse_rate` reads back exactly."""
    return f"{value!r} /s"


def _parse(text: object, kind: str, units: Mapping[str, Fraction]) -> Fraction:
    expected = f"a {kind} with its unit, such as {EXAMPLES[kind]!r}"
    if not isinstance(text, str):
        raise QuantityError(f"expected {expected}")
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise QuantityError(f"expected {expected}")
    number, unit = found.groups()
    if unit is None:
        if Decimal(number) == 0:
            return Fraction(0)
        raise QuantityError(f"it has no unit; expected {expected}")
    unit = re.sub(r"\s*/\s*", "/", unit)
    if unit not in units:
        raise QuantityError(f"{unit!r} is no unit of {kind}: {did_you_mean(unit, list(units))}; expected {expected}")
    return Fraction(Decimal(number.replace("_", ""))) * units[unit]


def _whole(value: Fraction, text: str, kind: str, of: str) -> int:
    if value.denominator != 1:
        raise QuantityError(f"{_shown(text)} is no whole number of {of}")
    return value.numerator


def _largest(value: int, names: tuple[str, ...], units: Mapping[str, Fraction]) -> str:
    if not value:
        return f"0 {names[-1]}"
    return next(f"{whole.numerator} {name}" for name in names if (whole := value / units[name]).denominator == 1)


def _shown(text: object) -> str:
    return repr(text)[:_LONGEST]
