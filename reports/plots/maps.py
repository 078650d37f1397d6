"""Maps of which option is best where: regions by a model, simulated points drawn upon them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.plots.curves import Scale, set_ticks, spread
from reports.plots.style import BLACK, drawn, logarithmic, look, new_axes
from reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDECIDED = "no difference shown"
_NOBODYS = "#f0f2f4"
_LEAST_LEAD = 1e-6
"""Less than that is no lead, but rounding."""


@dataclass(frozen=True)
class MapPoint:
    """A simulated point, and the option that was best there; None where the intervals do not tell."""

    x: float
    y: float
    best: str | None


@dataclass(frozen=True)
class Regions:
    """What a model says: for each option, y (rows) and x (columns) by which share it is ahead of the next best one.

    That is the next best's cost over its own, less 1: below 0 where another option is better. `xs` and `ys` ascend. An
    option is best where it is ahead by more than `margin`.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    ahead: tuple[tuple[tuple[float, ...], ...], ...]
    margin: float = 0.0


def _places(regions: Regions) -> Iterator[tuple[float, ...]]:
    """For each place the leads of all options."""
    for rows in zip(*regions.ahead, strict=True):
        yield from zip(*rows, strict=True)


@drawn
def draw_map(
    options: Sequence[str],
    regions: Regions | None,
    points: Sequence[MapPoint],
    x: Scale,
    y: Scale,
    title: str,
    undecided: str = UNDECIDED,
) -> Figure:
    """Regions coloured and hatched by option with a line between them, and a marker of each point's own best option.

    A point that agrees with its region has the region's colour; any other stands out by colour and shape. `undecided`
    are the words for where no option is best.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, axes = new_axes(7.2, 5.0)
    entries: list[Patch | Line2D] = []
    every: list[str | None] = [*options, None]
    if regions is not None:
        axes.set_facecolor(_NOBODYS)
        least = regions.margin + _LEAST_LEAD
        for number, (option, field) in enumerate(zip(options, regions.ahead, strict=True)):
            most = max(max(row) for row in field)
            if most <= least:
                continue
            style = look(number)
            paint: dict[str, Any] = {"colors": [style.pale], "hatches": [style.hatch]}
            axes.contourf(regions.xs, regions.ys, field, levels=[least, most + 1], **paint).set_gid(f"region {option}")
            edge = axes.contour(regions.xs, regions.ys, field, levels=[least], colors=[BLACK], linewidths=1.2)
            edge.set_gid(f"edge {option}")
            words = f"{one_line(option, 40)} best by the closed form"
            entries.append(Patch(facecolor=style.pale, hatch=style.hatch, edgecolor=BLACK, label=words))
        between = regions.margin > 0 and len(entries) > 1
        if between or any(all(at <= least for at in each) for each in _places(regions)):
            entries.append(Patch(facecolor=_NOBODYS, edgecolor=BLACK, label=f"{undecided}, by the closed form"))
    for number, best in enumerate(every):
        at = [(point.x, point.y) for point in points if point.best == best]
        if not at:
            continue
        style = look(number)
        (line,) = axes.plot(
            [px for px, _ in at], [py for _, py in at], linestyle="none", marker=style.marker if best else "*",
            markersize=8 if best else 10, markerfacecolor=style.colour if best else "white", markeredgecolor=BLACK,
            label=f"{one_line(best, 40)} best, simulated" if best else f"{undecided}, simulated",
            gid=f"points {best or UNDECIDED}", clip_on=False, zorder=3,
        )  # fmt: skip
        entries.append(line)
    xs = [*(regions.xs if regions else ()), *(point.x for point in points)]
    ys = [*(regions.ys if regions else ()), *(point.y for point in points)]
    if spread(xs):
        logarithmic(axes.xaxis, axes.set_xscale)
    if spread(ys):
        logarithmic(axes.yaxis, axes.set_yscale)
    set_ticks(axes.xaxis, x)
    set_ticks(axes.yaxis, y)
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    axes.set_title(one_line(title, 90), pad=12)
    axes.grid(visible=False)
    if entries:
        figure.legend(handles=entries, loc="outside lower center", ncols=2)
    return figure
