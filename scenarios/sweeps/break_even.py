"""Where one variant begins to beat another: by the closed form between the points that were simulated."""

from __future__ import annotations

import itertools
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from reports.plots.maps import Regions
from scenarios.closed_form import predicted
from scenarios.model import Scenario
from scenarios.sweeps.axis_values import numbers, scale_of
from scenarios.sweeps.grid import Axis
from scenarios.vary import variant_of

_STEPS = 120
"""Places along an axis at which the closed form is asked for a curve."""
_MAP_STEPS = 60
"""The same along each axis of a map."""


@dataclass(frozen=True)
class Crossing:
    """Between two values of an axis (in its unit) the best variant changes; at `at` by the closed form."""

    at: float
    below: str | None
    above: str | None


class Model:
    """The closed form of a scenario's variants as a function of what is varied. False where there is none."""

    def __init__(self, scenario: Scenario, measure: str) -> None:
        self._measure = measure
        self._bases = {name: variant_of(scenario, name) for name in scenario.variants}

    def __bool__(self) -> bool:
        return all(predicted(base, self._measure) is not None for base in self._bases.values())

    def at(self, values: Mapping[str, float]) -> dict[str, float]:
        """The measure of each variant, at numbers in `axis_values.unit_of` their keys."""
        found = {}
        for name, base in self._bases.items():
            for key, number in values.items():
                base = _with_number(base, key.split("."), number)
            found[name] = predicted(base, self._measure) or math.nan
        return found


def best_of(costs: Mapping[str, float], margin: float) -> str | None:
    """The one with the least cost if every other one's is larger by more than the margin, else None.

    None too where a cost is not known (NaN).
    """
    if any(map(math.isnan, costs.values())):
        return None
    ordered = sorted(costs.items(), key=lambda each: each[1])
    if len(ordered) < 2 or ordered[1][1] <= ordered[0][1] * (1 + margin):
        return None
    return ordered[0][0]


def places(axis: Axis, steps: int = _STEPS) -> tuple[float, ...]:
    """Numbers from the least to the largest value of the axis, evenly spread on a logarithmic scale if all are above 0.

    Raises ValueError for an axis that has no numbers.
    """
    found = numbers(axis)
    if found is None:
        raise ValueError(f"{axis.key} has no numbers")
    low, high = min(found), max(found)
    if low > 0:
        return tuple(low * (high / low) ** (step / (steps - 1)) for step in range(steps))
    return tuple(low + (high - low) * step / (steps - 1) for step in range(steps))


def break_evens(scenario: Scenario, axes: Sequence[Axis], measure: str, margin: float) -> list[Crossing]:
    """Where the best variant changes along the one axis of numbers; none where no closed form tells it."""
    if len(axes) != 1 or len(scenario.variants) < 2 or numbers(axes[0]) is None:
        return []
    model = Model(scenario, measure)
    return crossings(model, axes[0], margin) if model else []


def told(crossing: Crossing, axis: Axis) -> str:
    """A crossing in a sentence."""
    scale, factor = scale_of(axis)

    def who(variant: str | None) -> str:
        return f"{variant} is ahead" if variant else "no variant is clearly ahead"

    at = f"{crossing.at / factor:.4g} {scale.unit}".rstrip()
    below, above = who(crossing.below), who(crossing.above)
    return f"break-even at {axis.key} = {at} by the closed form: below it {below}, above it {above}"


def crossings(model: Model, axis: Axis, margin: float) -> list[Crossing]:
    """Where along the axis the best variant changes, by bisection between the places of `places`."""
    found = []
    xs = places(axis)

    def best(x: float) -> str | None:
        return best_of(model.at({axis.key: x}), margin)

    before = best(xs[0])
    for left, right in itertools.pairwise(xs):
        after = best(right)
        if after != before:
            found.append(Crossing(_bisect(best, left, right, before), before, after))
        before = after
    return found


def regions(model: Model, x: Axis, y: Axis, options: Sequence[str], margin: float) -> Regions:
    """By how much each option is ahead of the next best at each place of two axes."""
    xs, ys = places(x, _MAP_STEPS), places(y, _MAP_STEPS)
    costs = [[model.at({x.key: at_x, y.key: at_y}) for at_x in xs] for at_y in ys]
    ahead = tuple(tuple(tuple(_lead(cost, option) for cost in row) for row in costs) for option in options)
    return Regions(xs, ys, ahead, margin)


def _lead(costs: Mapping[str, float], option: str) -> float:
    if any(map(math.isnan, costs.values())):
        return math.nan  # nobody is known to be ahead
    return min(cost for other, cost in costs.items() if other != option) / costs[option] - 1


def _bisect(best: Callable[[float], str | None], low: float, high: float, below: str | None) -> float:
    for _ in range(40):
        middle = (low + high) / 2
        if best(middle) == below:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _with_number(table: BaseModel, path: Sequence[str], number: float) -> Scenario:
    """The scenario with a number at a key path, in every table where the path leaves the name out. Checks nothing."""
    changed = _set(table, path, number)
    assert isinstance(changed, Scenario)
    return changed


def _set(table: BaseModel, path: Sequence[str], number: float) -> BaseModel:
    key, *rest = path
    here = getattr(table, key, None)
    if isinstance(here, dict) and rest and not any(isinstance(inner, BaseModel) for inner in here.values()):
        new: object = here | {".".join(rest): round(number)}  # figures of a profile are whole numbers
    elif isinstance(here, dict):
        names = [rest[0]] if rest[0] in here else list(here)
        inner = rest[1:] if rest[0] in here else rest
        new = here | {name: _set(here[name], inner, number) for name in names}
    elif isinstance(here, BaseModel) and rest:
        new = _set(here, rest, number)
    else:
        new = round(number) if _is_whole(type(table).model_fields[key].annotation) else number
    return table.model_copy(update={key: new})


def _is_whole(annotation: object) -> bool:
    """Whether values of that type are whole numbers, so that there is nothing between two of them: 1.5 at a time."""
    return annotation is int or any(_is_whole(inner) for inner in typing.get_args(annotation))
