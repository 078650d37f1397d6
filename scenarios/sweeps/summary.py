"""What a sweep says: of each point the means of a measure, and which variant is best there, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from harness.names import did_you_mean
from harness.study_results import Estimate, Measure, RunMeasures
from scenarios.measure_names import GAINS
from scenarios.study import differences, estimates
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import Axis
from scenarios.sweeps.scenario_runs import measure_columns, measures_of

_FIRST_CHOICE = ("completion", "end")


@dataclass(frozen=True)
class PointSummary:
    """A point of the grid: its values, the measure's estimate for each variant, and the best variant.

    Best is the one of the least mean (of measures in `GAINS`: the largest) if every other one's is larger by more than
    the margin, the paired intervals of the differences leave 0 out, and all of its runs have a value: one that fails at
    times is not the best because it is quick at others. Else None, as it is for a single variant.
    """

    values: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    best: str | None

    def of(self, variant: str) -> Estimate | None:
        """The estimate of a variant."""
        return next((each for each in self.estimates if each.variant == variant), None)


def choose_measure(frame: pandas.DataFrame, axes: Sequence[Axis], wanted: str | None) -> str:
    """The column of the measure: the wanted one, or what the first operation took. Raises `SweepError`."""
    known = measure_columns(records(frame.head(1)), axes)
    if wanted is not None:
        if wanted in known:
            return wanted
        inside = [column for column in known if column.partition("[")[0] == wanted]
        if len(inside) > 1:
            raise SweepError(f"--measure {wanted!r} is one of several; name one of {', '.join(inside)}")
        if inside:
            return inside[0]
        raise SweepError(f"--measure {wanted!r} is no measure of these runs; {did_you_mean(wanted, known)}")
    for name in _FIRST_CHOICE:
        for column in known:
            if column.partition("[")[0] == name:
                return column
    if not known:
        raise SweepError("the runs have no measure; see what [scenario] measures names")
    return known[0]


def summarize(
    frame: pandas.DataFrame, axes: Sequence[Axis], measure: str, level: float = 0.95, margin: float = 0.0
) -> tuple[PointSummary, ...]:
    """A summary of each point of the grid, in its order; intervals over the replications, paired between variants.

    `margin` is the share by which a variant has to be ahead of all others to count as the best.
    """
    keys = [axis.key for axis in axes]
    groups: list[tuple[Any, pandas.DataFrame]]
    groups = list(frame.groupby(keys, sort=False)) if keys else [((), frame)]
    found = []
    for values, part in groups:
        runs = measures_of(records(part), axes)
        own = tuple(each for each in estimates(runs, level) if each.key == measure)
        found.append(PointSummary(tuple(values), own, _best(runs, own, measure, level, margin)))
    return tuple(found)


def _best(runs: list[RunMeasures], own: tuple[Estimate, ...], measure: str, level: float, margin: float) -> str | None:
    with_mean = [(each.mean, each.variant) for each in own if each.mean is not None]
    if len(with_mean) < 2:
        return None
    more = measure.partition("[")[0] in GAINS
    found, best = max(with_mean) if more else min(with_mean)
    if any(each.variant == best and each.count < sum(run.variant == best for run in runs) for each in own):
        return None
    others_means = [mean for mean, variant in with_mean if variant != best]
    if any(found <= mean * (1 + margin) if more else mean <= found * (1 + margin) for mean in others_means):
        return None
    of_all = differences(runs, best, level)
    others = [each for each in of_all if Measure(name=each.name, of=each.of, value=None).key == measure]
    far = [each.high if more else each.low for each in others]
    clear = all(end is not None and (end < 0 if more else end > 0) for end in far)
    return best if clear and len(others) == len(with_mean) - 1 else None


def records(frame: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows of a data frame."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
