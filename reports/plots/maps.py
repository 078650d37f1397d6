"""Maps of which option is best where: regions by a model, simulated points drawn upon them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.curves import Scale, set_ticks, spread
from reports.plots.style import BLACK, drawn, logarithmic, look, new_axes
from reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDECIDED = "no difference shown"


@dataclass(frozen=True)
class MapPoint:
    """A simulated point, and the option that was best there; None where the intervals do not tell."""

    x: float
    y: float
    best: str | None


@dataclass(frozen=True)
class Regions:
    """What a model says: for each y (rows) and each x (columns) the index of the best option. `xs`, `ys` ascend."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    best: tuple[tuple[int, ...], ...]


@drawn
def draw_map(
    options: Sequence[str], regions: Regions | None, points: Sequence[MapPoint], x: Scale, y: Scale, title: str
) -> Figure:
    """Regions coloured and hatched by option with a line between them, and a marker of each point's own best option.

    A point that agrees with its region is filled with the region's colour; any other stands out by colour and shape.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, axes = new_axes(7.2, 5.0)
    entries: list[Patch | Line2D] = []
    if regions is not None:
        seen = {each for row in regions.best for each in row}
        for number, option in enumerate(options):
            if number not in seen:
                continue
            mask = [[float(each == number) for each in row] for row in regions.best]
            style = look(number)
            drawn_area = axes.contourf(regions.xs, regions.ys, mask, levels=[0.5, 1.5], colors=[style.colour],
                                       alpha=0.28, hatches=[style.hatch])  # fmt: skip
            drawn_area.set_gid(f"region {option}")
            entries.append(Patch(facecolor=style.colour, alpha=0.28, hatch=style.hatch, edgecolor=BLACK,
                                 label=f"{one_line(option, 40)} best by the closed form"))  # fmt: skip
            if len(seen) > 1:
                edge = axes.contour(regions.xs, regions.ys, mask, levels=[0.5], colors=[BLACK], linewidths=1.2)
                edge.set_gid(f"edge {option}")
    every: list[str | None] = [*options, None]
    for number, best in enumerate(every):
        at = [(point.x, point.y) for point in points if point.best == best]
        if not at:
            continue
        style, name = look(number), f"{one_line(best, 40)} best, simulated" if best else f"{UNDECIDED}, simulated"
        (line,) = axes.plot(
            [px for px, _ in at], [py for _, py in at], linestyle="none", marker=style.marker if best else "*",
            markersize=8, markerfacecolor=style.colour if best else "white", markeredgecolor=BLACK,
            label=name, gid=f"points {best or UNDECIDED}", clip_on=False, zorder=3,
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
    axes.set_title(one_line(title, 90))
    axes.grid(visible=False)
    if entries:
        figure.legend(handles=entries, loc="outside lower center", ncols=2)
    return figure
