"""Flows over time as a Gantt chart: each flow's steps as bars, the time its volume was quiesced hatched behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.study_results import Bar, FlowTimeline, QuiesceWindow, RunDetails
from reports.plots.style import BLUE, GRID, MUTED, ORANGE, VERMILION, drawn, new_axes, time_unit
from reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FLOWS = 12
"""More flows than that are not told apart on a page."""
MAX_ROWS = 40

QUIESCED = "volume quiesced"
_KINDS = {
    "operation": ("operation", GRID, "", 0.86),
    "step": ("step of the flow", BLUE, "", 0.56),
    "activity": ("activity on the backend", VERMILION, "////", 0.3),
    "quiesce": (QUIESCED, ORANGE, "....", 1.0),
    "downtime": ("taskflow down", MUTED, "xxxx", 0.86),
}
"""Of each kind of bar: its words, colour, hatch and height in rows."""

_LABEL = 40


def _rows(details: RunDetails) -> tuple[list[tuple[FlowTimeline, str]], int]:
    """A row for each label of each flow, in order of the first start; and how many flows are not drawn."""
    flows = [flow for flow in details.timelines if flow.bars]
    flows.sort(key=lambda flow: (min(bar.start_ns for bar in flow.bars), flow.title))
    rows: list[tuple[FlowTimeline, str]] = []
    shown = 0
    for flow in flows[:MAX_FLOWS]:
        bars = sorted((bar for bar in flow.bars if bar.kind != "quiesce"), key=_order)
        labels = list(dict.fromkeys(bar.label for bar in bars))
        if rows and len(rows) + len(labels) > MAX_ROWS:
            break
        rows += [(flow, label) for label in labels[:MAX_ROWS]]
        shown += 1
    return rows, len(flows) - shown + details.left_out


def _order(bar: Bar) -> tuple[int, int, int]:
    """By start; of those that begin at once an operation comes before its steps, and those before their activities."""
    return bar.start_ns, list(_KINDS).index(bar.kind), -bar.end_ns


def _windows(flow: FlowTimeline, details: RunDetails) -> list[tuple[int, int]]:
    """When the flow's volume was quiesced while the flow was under way."""
    first = min(bar.start_ns for bar in flow.bars)
    last = max(bar.end_ns for bar in flow.bars)
    spans: list[Bar | QuiesceWindow] = [bar for bar in flow.bars if bar.kind == "quiesce"]
    spans = spans or [window for window in details.windows if window.volume == flow.volume]
    return [(max(s.start_ns, first), min(s.end_ns, last)) for s in spans if s.start_ns < last and s.end_ns > first]


@drawn
def draw_gantt(details: RunDetails, title: str) -> Figure:
    """The flows of one run: a row for each step, grouped by flow, the earliest on top; time counts from the first bar.

    Bars and windows have their kind as their gid. At most `MAX_FLOWS` flows are drawn; the title tells how many not.
    """
    rows, left_out = _rows(details)
    figure, axes = new_axes(8.4, 1.5 + 0.3 * max(3, len(rows)))
    flows = list({id(flow): flow for flow, _ in rows}.values())
    times = [t for flow in flows for bar in flow.bars for t in (bar.start_ns, bar.end_ns)] or [0]
    origin = min(times)
    unit, unit_ns = time_unit(max(times) - origin)
    known: dict[str, Any] = {}

    def bar(row: float, height: float, start_ns: int, end_ns: int, kind: str) -> None:
        words, colour, hatch, _ = _KINDS[kind]
        face = colour if kind in ("operation", "step") else "none" if kind == "downtime" else colour
        (container,) = axes.barh(
            row, (end_ns - start_ns) / unit_ns, height, (start_ns - origin) / unit_ns,
            facecolor=face, edgecolor="white" if hatch and kind == "activity" else colour,
            hatch=hatch, linewidth=0.6, alpha=0.45 if kind == "quiesce" else 1.0,
            zorder={"operation": 1, "quiesce": 1.5, "downtime": 3}.get(kind, 2), gid=kind,
        ).patches  # fmt: skip
        known.setdefault(words, container)

    for flow in flows:
        own = [number for number, (of, _) in enumerate(rows) if of is flow]
        for start, end in _windows(flow, details):
            bar((own[0] + own[-1]) / 2, len(own), start, end, "quiesce")
        for number in own:
            for each in flow.bars:
                if each.label == rows[number][1] and each.kind != "quiesce":
                    bar(number, _KINDS[each.kind][3], each.start_ns, each.end_ns, each.kind)
        if own[0]:
            axes.axhline(own[0] - 0.5, color=MUTED, linewidth=0.8, zorder=4)
    _label(axes, rows)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_xlabel(f"time after the first step began ({unit})")
    more = f" ({left_out:,} more flow{'s' if left_out > 1 else ''} not drawn)" if left_out else ""
    axes.set_title(one_line(title, 90) + more, fontsize="medium")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.01)
    if known:
        figure.legend(list(known.values()), list(known), loc="outside lower center", ncols=len(known))
    return figure


def _label(axes: Axes, rows: list[tuple[FlowTimeline, str]]) -> None:
    """Name each row by its step, and the first row of each flow, where there are several, by the flow too."""
    several = len({id(flow) for flow, _ in rows}) > 1
    labels = []
    for number, (flow, label) in enumerate(rows):
        begins = several and (number == 0 or rows[number - 1][0] is not flow)
        title = one_line(flow.title, _LABEL)
        labels.append(f"{title} · {one_line(label, _LABEL)}" if begins and title != label else one_line(label, _LABEL))
    axes.set_yticks(range(len(rows)), labels)
