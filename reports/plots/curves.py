"""Curves of cost against something that was varied: simulated means with their intervals, and models beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.plots.style import MUTED, drawn, logarithmic, look, new_axes
from reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = "band"
MODEL = "model"
SIMULATED = "simulated"


@dataclass(frozen=True)
class Scale:
    """An axis: what it shows, in which unit, and what ticks say where numbers are not the best labels."""

    words: str
    unit: str = ""
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def label(self) -> str:
        """Words and unit."""
        return f"{self.words} ({self.unit})" if self.unit else self.words


@dataclass(frozen=True)
class Curve:
    """One variant: points with their intervals (None: there is none), as simulated; and a model's line, if any.

    `xs` ascend. `model` is a pair of xs and ys.
    """

    name: str
    xs: tuple[float, ...]
    means: tuple[float, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    model: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def spread(values: Sequence[float]) -> bool:
    """Whether values are better shown on a logarithmic axis: all above 0, the largest ten times the smallest."""
    return bool(values) and min(values) > 0 and max(values) >= 10 * min(values)


@drawn
def draw_curves(
    curves: Sequence[Curve], x: Scale, y: Scale, title: str, crossings: Sequence[tuple[float, str]] = ()
) -> Figure:
    """Each curve with a band for its intervals; where there is a model, points with bars and the model's line instead.

    `crossings` are places on the x axis that are marked with words: break-even points. Both axes count from 0, or are
    logarithmic where their values are spread over a factor of ten.
    """
    figure, axes = new_axes()
    for number, curve in enumerate(curves):
        style, name = look(number), one_line(curve.name, 60)
        has = [n for n in range(len(curve.xs)) if curve.lows[n] is not None and curve.highs[n] is not None]
        lows = [curve.lows[n] or 0.0 for n in has]
        highs = [curve.highs[n] or 0.0 for n in has]
        if curve.model is None:
            axes.plot(curve.xs, curve.means, color=style.colour, linestyle=style.line, marker=style.marker,
                      markersize=5, label=name, gid=SIMULATED)  # fmt: skip
            axes.fill_between([curve.xs[n] for n in has], lows, highs, color=style.colour, alpha=0.22, linewidth=0,
                              gid=BAND)  # fmt: skip
        else:
            axes.plot(curve.xs, curve.means, style.marker, color=style.colour, markersize=5,
                      markerfacecolor="white", label=f"{name}, simulated", gid=SIMULATED, zorder=3)  # fmt: skip
            axes.vlines([curve.xs[n] for n in has], lows, highs, color=style.colour, linewidth=1.4, gid=BAND, zorder=3)
            axes.plot(*curve.model, color=style.colour, linestyle=style.line, linewidth=1.4, gid=MODEL,
                      label=f"{name}, closed form")  # fmt: skip
    _scales(axes, curves, x, y)
    for number, (place, words) in enumerate(crossings):
        axes.axvline(place, color=MUTED, linewidth=1.0, linestyle=":", gid="crossing")
        axes.annotate(one_line(words, 60), (place, 1.0), (4, -4 - 11 * number), xycoords=("data", "axes fraction"),
                      textcoords="offset points", va="top", fontsize=8, color=MUTED)  # fmt: skip
    axes.set_title(one_line(title, 90))
    if curves:
        figure.legend(loc="outside lower center", ncols=2 if len(curves) < 4 else 3)
    return figure


def _scales(axes: Axes, curves: Sequence[Curve], x: Scale, y: Scale) -> None:
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    if spread([v for curve in curves for v in curve.xs]):
        logarithmic(axes.xaxis, axes.set_xscale)
    heights = [v for curve in curves for v in curve.means]
    if spread(heights):
        logarithmic(axes.yaxis, axes.set_yscale)
    elif heights and min(heights) >= 0:
        axes.set_ylim(bottom=0)
    set_ticks(axes.xaxis, x)
    set_ticks(axes.yaxis, y)


def set_ticks(axis: Any, scale: Scale) -> None:
    """Name the places that the scale names, and no others."""
    if scale.ticks:
        axis.set_ticks([place for place, _ in scale.ticks], labels=[words for _, words in scale.ticks])
        axis.set_ticks([], minor=True)
