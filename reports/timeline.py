"""The picture of one activity: its steps as bars, its volume's writes as ticks, the time it was quiesced shaded.

`build_figure` makes a matplotlib figure without any global state, `draw_timeline` its SVG text: the same timeline gives
the same text. matplotlib is imported when first needed; that costs half a second.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from harness.results import Timeline, TimelineStep
from reports.text import duration, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 20
MAX_BARS = 400
MAX_MARKS = 1000
"""The most marks in one row of writes; more than there are pixels would not be told apart."""

WRITES_ISSUED = "writes issued"
WRITES_ACKNOWLEDGED = "writes acknowledged"
QUIESCED = "quiesced"

# Okabe and Ito's palette, told apart by colour-blind people; a page may set the variables to suit a dark background
_COLOURS = {
    "ink": "#1b1f24",
    "muted": "#57606b",
    "grid": "#d5dae0",
    "step": "#0072b2",
    "activity": "#d55e00",
    "quiesce": "#e8c766",
    "write": "#00614a",
}
_LABEL_LENGTH = 34


@dataclass(frozen=True)
class _Scale:
    """How times (ns) become positions on the axis."""

    origin_ns: int
    unit: str
    unit_ns: float

    def __call__(self, at_ns: int) -> float:
        return (at_ns - self.origin_ns) / self.unit_ns


def _scale(timeline: Timeline) -> _Scale:
    times = [t for step in timeline.steps for t in (step.start_ns, step.end_ns)]
    times += [t for write in timeline.writes_ns for t in write if t >= 0]
    origin, end = (min(times), max(times)) if times else (0, 0)
    unit, size = ("s", 1e9) if end - origin >= 2e9 else ("ms", 1e6) if end - origin >= 2e6 else ("µs", 1e3)
    return _Scale(origin, unit, size)


def thin(times: Iterable[int], limit: int = MAX_MARKS) -> list[int]:
    """At most `limit` of the times, in order: the first in each of `limit` equal parts of their range."""
    ordered = sorted(times)
    if len(ordered) <= limit:
        return ordered
    first, span = ordered[0], ordered[-1] - ordered[0] + 1
    parts: dict[int, int] = {}
    for at in ordered:
        parts.setdefault((at - first) * limit // span, at)
    return list(parts.values())


def write_times(timeline: Timeline) -> tuple[list[int], list[int]]:
    """When writes were issued, and when they were acknowledged; one that never was has no time for that."""
    return [issued for issued, _ in timeline.writes_ns], [done for _, done in timeline.writes_ns if done >= 0]


def bars_by_row(timeline: Timeline) -> dict[tuple[str, str], list[TimelineStep]]:
    """The bars of each row: steps of one name and kind share one, in order of their first start."""
    rows: dict[tuple[str, str], list[TimelineStep]] = {}
    for step in sorted(timeline.steps, key=lambda step: (step.start_ns, step.end_ns))[:MAX_BARS]:
        if step.kind != "quiesce":
            rows.setdefault((step.label, step.kind), []).append(step)
    return dict(list(rows.items())[:MAX_ROWS])


def quiesce_windows(timeline: Timeline) -> list[TimelineStep]:
    """The times in which the volume was quiesced, `MAX_BARS` of them at most."""
    return [step for step in timeline.steps if step.kind == "quiesce"][:MAX_BARS]


def caption(timeline: Timeline) -> str:
    """What the picture shows and what it leaves out, in words; serves those who can't see it as well."""
    issued, acknowledged = write_times(timeline)
    rows, windows = bars_by_row(timeline), quiesce_windows(timeline)
    bars = [step for steps in rows.values() for step in steps]
    parts = []
    if bars:
        steps = (f"{one_line(step.label, 60)} ({duration(step.end_ns - step.start_ns)})" for step in bars[:8])
        parts.append(f"Steps: {', '.join(steps)}{f' and {len(bars) - 8} more' if len(bars) > 8 else ''}.")
    if windows:
        held = sum(step.end_ns - step.start_ns for step in windows)
        times = "once" if len(windows) == 1 else f"{len(windows)} times"
        parts.append(f"The volume was quiesced {times}, for {duration(held)} in all (shaded).")
    elif timeline.steps:
        parts.append("The volume was not quiesced.")
    if issued:
        never = len(issued) - len(acknowledged)
        count = f"{len(issued):,} write{'' if len(issued) == 1 else 's'}"
        parts.append(f"{count}{f', {never:,} of them never acknowledged' if never else ''}.")
        shown = len(thin(issued))
        if shown < len(issued):
            parts.append(
                f"Thinned out to {shown:,} marks for the {len(issued):,} writes: "
                f"one for each 1/{MAX_MARKS:,} of the time in which there was one."
            )
    else:
        parts.append("No writes were recorded.")
    omitted = len(timeline.steps) - len(windows) - len(bars)
    if omitted > 0:
        parts.append(f"{omitted:,} further steps are not drawn.")
    return " ".join(parts)


def _label(axes: Axes, positions: Sequence[int], labels: Sequence[str]) -> None:
    axes.set_yticks(positions, [one_line(label, _LABEL_LENGTH) for label in labels])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # a "$" in a driver's name is no formula


def build_figure(timeline: Timeline) -> Figure:
    """The figure: one row for each step, below them the writes; the axis counts from the first event."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    scale, rows = _scale(timeline), bars_by_row(timeline)
    issued, acknowledged = write_times(timeline)
    labels = [label for label, _ in rows] + ([WRITES_ISSUED, WRITES_ACKNOWLEDGED] if issued else [])
    figure = Figure(figsize=(8.4, 1.25 + 0.34 * max(2, len(labels))), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    known: dict[str, Any] = {}
    for window in quiesce_windows(timeline):
        known[QUIESCED] = axes.axvspan(
            scale(window.start_ns),
            scale(window.end_ns),
            facecolor=_COLOURS["quiesce"],
            alpha=0.45,
            linewidth=0,
            zorder=0,
        )
        known[QUIESCED].set_gid(QUIESCED)
    for row, ((_, kind), steps) in enumerate(rows.items()):
        colour, name = (
            (_COLOURS["activity"], "activity on the backend") if kind == "activity" else (_COLOURS["step"], "step")
        )
        bars = axes.barh(
            [row] * len(steps),
            [scale(step.end_ns) - scale(step.start_ns) for step in steps],
            left=[scale(step.start_ns) for step in steps],
            height=0.56,
            color=colour,
            edgecolor=colour,  # so that a bar of no length is seen
            linewidth=0.8,
            zorder=2,
        )
        known[name] = bars
    for row, (name, times) in enumerate(((WRITES_ISSUED, issued), (WRITES_ACKNOWLEDGED, acknowledged)), len(rows)):
        if issued:
            (line,) = axes.plot(
                [scale(at) for at in thin(times)], [row] * len(thin(times)), "|", color=_COLOURS["write"]
            )
            line.set(markersize=9, markeredgewidth=0.7, label=name, gid=name.replace(" ", "-"), zorder=2)
    _label(axes, range(len(labels)), labels)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_xlabel(f"time after the first event ({scale.unit})", color=_COLOURS["ink"])
    axes.tick_params(colors=_COLOURS["ink"], length=0)
    axes.grid(axis="x", color=_COLOURS["grid"], linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_COLOURS["muted"])
    if known:
        names = list(known)
        figure.legend(
            [known[name] for name in names],
            names,
            loc="outside upper right",
            ncols=3,
            frameon=False,
            fontsize="small",
            labelcolor=_COLOURS["ink"],
        )
    return figure


def _tag(tag: str, prefix: str) -> str:
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}", tag)
    tag = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", tag)
    for name, colour in _COLOURS.items():
        tag = re.sub(rf"(fill|stroke): {colour}", rf"\1: var(--plot-{name}, {colour})", tag)
    return tag


def _inline(svg: str, timeline: Timeline, prefix: str) -> str:
    """matplotlib's SVG made fit to stand in a page: own ids, a title, a description, colours that a page can set."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], prefix), svg)  # tags only: text is as the driver chose it
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    title, about = escape(one_line(timeline.title, 200) or "Timeline"), escape(caption(timeline))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view[0]} version="1.1" '
        f'role="img" aria-labelledby="{prefix}title {prefix}desc" style="stroke-linejoin: round">\n'
        f' <title id="{prefix}title">{title}</title>\n <desc id="{prefix}desc">{about}</desc>'
    )
    return head + svg[svg.index(">") + 1 :].rstrip() + "\n"


def draw_timeline(timeline: Timeline, *, prefix: str = "timeline-") -> str:
    """The timeline as the text of one `<svg>` element; `prefix` keeps its ids apart from those of others in a page."""
    import matplotlib

    stream = io.StringIO()
    settings: dict[Any, Any] = {"svg.hashsalt": "timeline", "svg.fonttype": "none", "font.size": 10}
    with warnings.catch_warnings(), matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the reader's own matplotlibrc says
        matplotlib.rcParams.update(settings)
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's fonts count, not ours
        figure = build_figure(timeline)
        figure.savefig(
            stream,
            format="svg",
            facecolor="none",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _inline(stream.getvalue(), timeline, prefix)
