"""What the texts of an axis are worth as numbers, and how an axis is labelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from reports.plots.curves import Scale
from scenarios import quantities
from scenarios.model import Scenario
from scenarios.problems import table_at
from scenarios.sweeps.grid import Axis

_KINDS: Mapping[str, tuple[Callable[[str], float], str]] = MappingProxyType(
    {
        "size": (quantities.parse_size, "bytes"),
        "bandwidth": (quantities.parse_bandwidth, "bytes/s"),
        "time": (quantities.parse_time, "ns"),
        "rate": (quantities.parse_rate, "1/s"),
    }
)

_SHOWN: Mapping[str, tuple[tuple[str, float], ...]] = MappingProxyType(
    {
        "bytes": (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)),
        "bytes/s": (("Gb/s", 125e6), ("Mb/s", 125e3)),
        "ns": (("h", 3600e9), ("min", 60e9), ("s", 1e9), ("ms", 1e6), ("µs", 1e3)),
    }
)
"""Units for people, the largest first, in the unit that files are written in."""


def unit_of(key: str) -> str:
    """The unit in which a key's numbers are kept: bytes, bytes/s, ns, 1/s; "" for a key without one."""
    kind = _kind(key)
    return _KINDS[kind][1] if kind else ""


def numbers(axis: Axis) -> tuple[float, ...] | None:
    """The axis's values in `unit_of` its key; None if they are no numbers."""
    kind = _kind(axis.key)
    parse: Callable[[str], float] = _KINDS[kind][0] if kind else float
    try:
        return tuple(parse(value) for value in axis.values)
    except ValueError:
        return None


def scale_of(axis: Axis) -> tuple[Scale, float]:
    """How the axis is labelled, and by what its numbers are divided for that."""
    found = numbers(axis) or tuple(map(float, range(len(axis.values))))
    unit, factor = unit_of(axis.key), 1.0
    for name, size in _SHOWN.get(unit, ()):
        if all(number >= size for number in found) or name in ("KiB", "Mb/s", "µs"):
            unit, factor = name, size
            break
    ticks = tuple((number / factor, _short(number / factor)) for number in sorted(found))
    if numbers(axis) is None:
        ticks = tuple((float(place), text) for place, text in enumerate(axis.values))
    return Scale(axis.key, unit, ticks), factor


def _short(value: float) -> str:
    return f"{value:.0f}" if value == math.floor(value) and value < 1e6 else f"{value:.4g}"


def _kind(key: str) -> str | None:
    """What the key's field is: size, bandwidth, time, rate, or something else."""
    *tables, last = key.split(".")
    for path in (tables, [*tables[:1], "NAME", *tables[1:]]):  # the name may be left out
        table = table_at(Scenario, path)
        schema: dict[str, Any] = table.model_json_schema()["properties"] if table is not None else {}
        if last in schema:
            parts = [schema[last], *schema[last].get("anyOf", ())]
            return next((part["title"] for part in parts if part.get("title") in _KINDS), None)
    return None
