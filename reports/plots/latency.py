"""How long foreground I/O took, inside and outside of quiesce windows and operations: the tail of the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.study_results import Latencies
from reports.plots.style import drawn, logarithmic, look, new_axes, time_unit
from reports.text import duration, one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTILES = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
INSIDE, OUTSIDE = "inside a window or an operation", "outside"


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest of the values (ascending, at least one) that a share of at least `share` does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@drawn
def draw_latencies(latencies: Latencies, title: str) -> Figure:
    """The share of I/Os that took longer than a time, on logarithmic axes.

    p50, p99 and p99.9 are marked where there are I/Os beyond. A set of which only a part was kept is drawn from that
    part; the legend tells how many there were.
    """
    figure, axes = new_axes()
    sets = [(INSIDE, sorted(latencies.inside_ns), latencies.inside_count),
            (OUTSIDE, sorted(latencies.outside_ns), latencies.outside_count)]  # fmt: skip
    longest = max((values[-1] for _, values, _ in sets if values), default=1000)
    shortest = min((values[0] for _, values, _ in sets if values), default=1000)
    unit, unit_ns = time_unit(math.sqrt(max(shortest, 1) * max(longest, 1)) * 2)
    for number, (name, values, count) in enumerate(sets):
        if not values:
            axes.plot([], [], label=f"{name}: no I/O", color="none")
            continue
        style = look(1 - number)
        xs = [value / unit_ns for value in values]
        shares = [(len(values) - place) / len(values) for place in range(len(values))]
        line = f"{name}: {count:,} I/Os, longest {duration(values[-1])}"
        axes.step(
            xs, shares, where="post", label=line, color=style.colour, linestyle=style.line, linewidth=1.6, gid=name
        )
        for share, quantile_name in QUANTILES:
            if (1 - share) * len(values) < 1:
                continue  # too few I/Os for so rare a latency
            at = quantile(values, share)
            # the words of the first set stand to the left of its marks, but for those that are next to the axis
            at_axis = math.log(max(at, 1) / max(shortest, 1)) <= 0.3 * math.log(max(longest, 1) / max(shortest, 1))
            offset = (6, 2) if number else (6, -11) if at_axis else (-8, -9)
            axes.plot(at / unit_ns, 1 - share, style.marker, color=style.colour, gid=f"{name} {quantile_name}")
            axes.annotate(
                f"{quantile_name} {duration(at)}", (at / unit_ns, 1 - share), offset,
                textcoords="offset points", fontsize=8, color=style.colour, ha="left" if offset[0] > 0 else "right",
            )  # fmt: skip
    if sets[0][1] or sets[1][1]:
        logarithmic(axes.xaxis, axes.set_xscale)
        logarithmic(axes.yaxis, axes.set_yscale)
    axes.set_xlabel(f"latency ({unit})")
    axes.set_ylabel("share of I/Os that took longer")
    axes.set_title(one_line(title, 90))
    figure.legend(loc="outside lower center")
    return figure
