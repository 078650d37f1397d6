"""The plots of a sweep: curves where one key of numbers was varied, a map of the best variant where two were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.study_results import Estimate
from reports.plots.curves import Curve, Scale, draw_curves
from reports.plots.maps import UNDECIDED, MapPoint, Regions, draw_map
from reports.plots.style import save
from scenarios.measure_names import GAINS, MEASURES
from scenarios.model import Scenario
from scenarios.sweeps.axis_values import numbers, scale_of
from scenarios.sweeps.break_even import Crossing, Model, places, regions
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import Axis
from scenarios.sweeps.summary import PointSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_sweep(
    scenario: Scenario,
    axes: Sequence[Axis],
    points: Sequence[PointSummary],
    measure: str,
    margin: float,
    found: Sequence[Crossing],
    directory: Path,
) -> list[Path]:
    """Draw what can be drawn of the points; returns the files: none for three and more axes.

    Where the closed form tells the measure of every variant, it is drawn with them. Raises `SweepError`.
    """
    figure: Figure | None = None
    if len(axes) == 1:
        name, figure = "curves", curves(scenario, axes[0], points, measure, found)
    elif len(axes) == 2 and len(scenario.variants) > 1:
        name, figure = "best-variant", best_variant(scenario, axes[0], axes[1], points, measure, margin)
    if figure is None:
        return []
    try:
        return list(save(figure, directory, name))
    except OSError as error:
        raise SweepError(f"{directory}: the plots can't be written: {error.strerror or error}; make room") from None


def curves(
    scenario: Scenario, axis: Axis, points: Sequence[PointSummary], measure: str, found: Sequence[Crossing] = ()
) -> Figure:
    """The measure of each variant over what was varied."""
    scale, factor = scale_of(axis)
    worth = numbers(axis)
    model = Model(scenario, measure)
    lines = model_lines(model, axis, scenario.variants, factor) if worth is not None and model else {}
    at = {value: (worth[n] / factor if worth else float(n)) for n, value in enumerate(axis.values)}
    drawn = []
    for variant in scenario.variants:
        own = _sorted(points, variant, at)
        drawn.append(
            Curve(
                variant,
                tuple(x for x, _ in own),
                tuple(each.mean or 0.0 for _, each in own),
                tuple(each.low for _, each in own),
                tuple(each.high for _, each in own),
                lines.get(variant),
            )
        )
    marks = [(crossing.at / factor, f"{crossing.at / factor:.3g} {scale.unit}") for crossing in found]
    return draw_curves(drawn, scale, measure_scale(measure), scenario.scenario.question, marks)


def _sorted(points: Sequence[PointSummary], variant: str, at: dict[str, float]) -> list[tuple[float, Estimate]]:
    """The estimates of a variant that have a mean, by their place on the axis."""
    pairs = [(at[point.values[0]], point.of(variant)) for point in points]
    has = [(x, each) for x, each in pairs if each is not None and each.mean is not None]
    return sorted(has, key=lambda pair: pair[0])


def model_lines(
    model: Model, axis: Axis, variants: Sequence[str], factor: float
) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """The closed form of each variant along an axis."""
    xs = places(axis)
    costs = [model.at({axis.key: x}) for x in xs]
    return {variant: (tuple(x / factor for x in xs), tuple(cost[variant] for cost in costs)) for variant in variants}


def best_variant(
    scenario: Scenario, x: Axis, y: Axis, points: Sequence[PointSummary], measure: str, margin: float
) -> Figure | None:
    """The map of two axes of numbers; None if either has none."""
    across, up = numbers(x), numbers(y)
    if across is None or up is None:
        return None
    (x_scale, x_factor), (y_scale, y_factor) = scale_of(x), scale_of(y)
    x_at, y_at = dict(zip(x.values, across, strict=True)), dict(zip(y.values, up, strict=True))
    marks = [
        MapPoint(x_at[point.values[0]] / x_factor, y_at[point.values[1]] / y_factor, point.best) for point in points
    ]
    model, areas = Model(scenario, measure), None
    if model:
        raw = regions(model, x, y, scenario.variants, margin)
        xs, ys = tuple(v / x_factor for v in raw.xs), tuple(v / y_factor for v in raw.ys)
        areas = Regions(xs, ys, raw.ahead, raw.margin)
    most = "most" if measure.partition("[")[0] in GAINS else "least"
    title = f"Which variant has the {most} {measure}" + (f", by more than {margin:.0%}" if margin else "")
    words = f"less than {margin:.0%} ahead" if margin else UNDECIDED
    return draw_map(scenario.variants, areas, marks, x_scale, y_scale, title, words)


def measure_scale(measure: str) -> Scale:
    """How a measure's axis is labelled."""
    known = MEASURES.get(measure.partition("[")[0])
    return Scale(measure, known.unit if known else "")
