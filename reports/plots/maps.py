"""Maps of which option is best where: regions by a model, simulated points drawn upon them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.curves import Scale, set_ticks, spread
from reports.plots.style import BLACK, GRID, drawn, logarithmic, look, new_axes
from reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDECIDED = "no difference shown"
_ALPHA = 0.28


@dataclass(frozen=True)
class MapPoint:
    """A simulated point, and the option that was best there; None where the intervals do not tell."""

    x: float
    y: float
    best: str | None


@dataclass(frozen=True)
class Regions:
    """What a model says: for each y (rows) and each x (columns) the index of the best option, None where none is.

    `xs` and `ys` ascend.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    best: tuple[tuple[int | None, ...], ...]


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
        seen = {each for row in regions.best for each in row}
        for number, option in enumerate(every):
            index = None if option is None else number
            if index not in seen:
                continue
            mask = [[float(each == index) for each in row] for row in regions.best]
            colour, hatch = (look(number).colour, look(number).hatch) if option else (GRID, "")
            area = axes.contourf(regions.xs, regions.ys, mask, levels=[0.5, 1.5], colors=[colour], alpha=_ALPHA,
                                 hatches=[hatch])  # fmt: skip
            area.set_gid(f"region {option or UNDECIDED}")
            words = f"{one_line(option, 40)} best by the closed form" if option else f"{undecided}, by the closed form"
            entries.append(Patch(facecolor=colour, alpha=_ALPHA, hatch=hatch, edgecolor=BLACK, label=words))
            if len(seen) > 1:
                edge = axes.contour(regions.xs, regions.ys, mask, levels=[0.5], colors=[BLACK], linewidths=1.2)
                edge.set_gid(f"edge {option or UNDECIDED}")
    for number, option in enumerate(every):
        at = [(point.x, point.y) for point in points if point.best == option]
        if not at:
            continue
        style = look(number)
        (line,) = axes.plot(
            [px for px, _ in at], [py for _, py in at], linestyle="none", marker=style.marker if option else "*",
            markersize=8 if option else 10, markerfacecolor=style.colour if option else "white", markeredgecolor=BLACK,
            label=f"{one_line(option, 40)} best, simulated" if option else f"{undecided}, simulated",
            gid=f"points {option or UNDECIDED}", clip_on=False, zorder=3,
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
