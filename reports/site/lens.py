"""A timeline as a drawing that zooms: where its bars and marks stand, worked out beforehand.

The drawing is whole without JavaScript. What lies in time stands in a nested drawing of its own, `LENS_WIDTH` units
wide; a script that shows part of it only has to move that one's view, and lines keep their width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from harness.results import Timeline, TimelineStep
from reports.text import duration, one_line
from reports.timeline import (
    WRITES_ACKNOWLEDGED,
    WRITES_ISSUED,
    bars_by_row,
    caption,
    quiesce_windows,
    thin,
    write_times,
)

LENS_WIDTH = 100_000
"""Units across the part that zooms: enough to be exact to the pixel where a thousandth is shown."""

MAX_TABLE_ROWS = 200
"""The most bars that the table beside a drawing tells."""

_ROW, _TOP, _BAR = 26, 22, 15
_ROOM = 30
_MARKS = 4000
_TICKS = 8


@dataclass(frozen=True)
class Box:
    """A bar, or a time in which writes were held: its place in the lens, its class, and what it is, in words."""

    x: float
    width: float
    y: float
    height: float
    kind: str
    told: str


@dataclass(frozen=True)
class Row:
    """A row's label, and where its text stands."""

    label: str
    y: float

    @property
    def shown(self) -> str:
        """As much of the label as there is room for."""
        return self.label if len(self.label) <= _ROOM else f"{self.label[: _ROOM - 1]}…"


@dataclass(frozen=True)
class Mark:
    """An instant that something else on the page speaks of: a write of a witness, say."""

    x: float
    told: str


@dataclass(frozen=True)
class Tick:
    """A number on the axis: its place from 0 to 1, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """What the template draws. `span_ns` is the time that the whole lens shows."""

    id: str
    title: str
    about: str
    height: float
    span_ns: int
    rows: list[Row]
    windows: list[Box]
    bars: list[Box]
    writes: list[Markup]
    marks: list[Mark]
    ticks: list[Tick]
    table: list[tuple[str, str, int, int]]
    table_omitted: int


def draw(timeline: Timeline, drawing_id: str, instants: Sequence[tuple[str, int]] = ()) -> Drawing:
    """Work a timeline out; `instants` are told times (ns of the run) that are marked in it where they lie in it."""
    times = [t for step in timeline.steps for t in (step.start_ns, step.end_ns)]
    times += [t for write in timeline.writes_ns for t in write if t >= 0]
    begin, end = (min(times), max(times)) if times else (0, 0)
    span = max(end - begin, 1)

    def place(at_ns: int) -> float:
        return round((at_ns - begin) / span * LENS_WIDTH, 2)

    rows: list[Row] = []
    bars: list[Box] = []
    for (label, _), steps in bars_by_row(timeline).items():
        y = _TOP + len(rows) * _ROW
        rows.append(Row(one_line(label, 60), y + _ROW / 2))
        bars += [_box(step, place, y + (_ROW - _BAR) / 2, _BAR, begin) for step in steps]
    marks_of_writes: list[Markup] = []
    issued, acknowledged = write_times(timeline)
    for label, moments in ((WRITES_ISSUED, issued), (WRITES_ACKNOWLEDGED, acknowledged)):
        if issued:
            y = _TOP + len(rows) * _ROW
            rows.append(Row(label, y + _ROW / 2))
            top = y + (_ROW - _BAR) / 2
            drawn = "".join(f"M{place(at):.1f} {top:g}v{_BAR}" for at in thin(moments, _MARKS))
            marks_of_writes.append(Markup(drawn))  # numbers, and longer than any text may be
    bottom = _TOP + max(1, len(rows)) * _ROW
    held = [_box(step, place, 0, bottom, begin) for step in quiesce_windows(timeline)]
    told = [(one_line(s.label, 120), s.kind, s.start_ns - begin, s.end_ns - begin) for s in timeline.steps]
    told.sort(key=lambda bar: bar[2:])
    return Drawing(
        id=drawing_id,
        title=one_line(timeline.title, 200) or "Timeline",
        about=caption(timeline),
        height=bottom,
        span_ns=span,
        rows=rows,
        windows=held,
        bars=bars,
        writes=marks_of_writes,
        marks=[Mark(place(at), f"{name}: {duration(at - begin)}") for name, at in instants if begin <= at <= end],
        ticks=ticks(span),
        table=told[:MAX_TABLE_ROWS],
        table_omitted=max(0, len(told) - MAX_TABLE_ROWS),
    )


def _box(step: TimelineStep, place: Any, y: float, height: float, begin: int) -> Box:
    x = place(step.start_ns)
    start, length = duration(step.start_ns - begin), duration(step.end_ns - step.start_ns)
    told = f"{one_line(step.label, 120)}: from {start} for {length}"
    kind = step.kind if step.kind in ("activity", "quiesce", "operation", "downtime") else "step"
    return Box(x, round(place(step.end_ns) - x, 2), y, height, kind, told)


def ticks(span_ns: int) -> list[Tick]:
    """Round times across a span, counted from its begin, in one unit."""
    unit, size = next(((u, s) for u, s in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)) if span_ns >= 2 * s), ("ns", 1.0))
    rough = span_ns / size / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    count = int(span_ns / size / step + 1e-9)
    return [Tick(round(n * step * size / span_ns, 6), f"{n * step:g} {unit}") for n in range(count + 1)]


def instants(witness: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The times in a witness: every whole number under a key that ends in `_ns`, with a name made of its keys."""
    return list(_instants(witness, ""))[:12]


def _instants(value: Mapping[str, Any], before: str) -> Iterable[tuple[str, int]]:
    for name, item in value.items():
        told = f"{before}{one_line(name, 40).replace('_', ' ')}"
        if isinstance(item, Mapping) and not before:
            yield from _instants(item, f"{told} ")
        elif isinstance(name, str) and name.endswith("_ns") and isinstance(item, int) and not isinstance(item, bool):
            yield told.removesuffix(" ns"), item
