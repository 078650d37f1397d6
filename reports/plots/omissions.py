"""What leaving an attribute out costs: an estimate with its interval for each, the costliest on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.curves import Scale
from reports.plots.style import MUTED, drawn, look, new_axes
from reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED, ABSENT = "published: what leaving it out would cost", "not published: what that costs now"


@dataclass(frozen=True)
class Omission:
    """An attribute, whether the driver publishes it, and what its omission costs, with the interval (None: none)."""

    attribute: str
    published: bool
    mean: float
    low: float | None
    high: float | None


@drawn
def draw_omissions(omissions: Sequence[Omission], cost: Scale, title: str) -> Figure:
    """A row for each attribute in the order given; a filled marker where it is published, an open one where not."""
    figure, axes = new_axes(7.2, 1.7 + 0.42 * max(2, len(omissions)))
    for number, (published, words) in enumerate(((True, PUBLISHED), (False, ABSENT))):
        style = look(number)
        rows = [row for row, omission in enumerate(omissions) if omission.published is published]
        if not rows:
            continue
        for row in rows:
            low, high = omissions[row].low, omissions[row].high
            if low is not None and high is not None:
                axes.hlines(row, low, high, color=style.colour, linewidth=2.0, gid=f"interval {row}")
        axes.plot([omissions[row].mean for row in rows], rows, style.marker, color=style.colour, label=words,
                  markersize=7, markerfacecolor=style.colour if published else "white", gid=words)  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=1.0, zorder=0)
    axes.set_yticks(range(len(omissions)), [one_line(omission.attribute, 50) for omission in omissions])
    axes.set_ylim(max(len(omissions), 1) - 0.5, -0.5)
    axes.set_xlabel(cost.label)
    axes.set_title(one_line(title, 90))
    axes.tick_params(axis="y", length=0)
    if omissions:
        figure.legend(loc="outside lower center")
    return figure
