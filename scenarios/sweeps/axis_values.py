"""What the texts of an axis are worth as numbers, and how an axis is labelled."""

from __future__ import annotations

import math
import re
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

_WRITTEN = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(\S.*)?")


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
    """How the axis is labelled, in the unit in which its last value is written, and what its numbers are divided by."""
    found = numbers(axis)
    if found is None:
        return Scale(axis.key, "", tuple((float(place), text) for place, text in enumerate(axis.values))), 1.0
    written = _WRITTEN.fullmatch(axis.values[-1])
    unit, factor = "", 1.0
    if written is not None and written[2] and float(written[1]):
        unit, factor = written[2], found[-1] / float(written[1])
        if unit_of(axis.key) == "bytes/s" and not unit.endswith("/s"):
            unit += "/s"
    ticks = tuple((number / factor, _short(number / factor)) for number in sorted(found))
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
