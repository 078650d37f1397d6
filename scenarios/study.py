"""Studies: every variant with the same seeds, and what follows: means, differences, confidence intervals.

Replications are independent: each has its own seed, and everything random of a run comes from it. Run number r of every
variant has the same seed (common random numbers), so that variants differ by what they change and not by luck; their
differences are estimated pair by pair. Intervals are Student's t over replications, at the scenario's level for each
interval by itself. A figure that does not vary has an interval without width: nothing random has a part in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from harness import __version__
from harness.study_results import Difference, Estimate, Measure, RunMeasures, Study
from reports.timings import student_t
from scenarios.effort import check_effort
from scenarios.model import Scenario
from scenarios.reading import scenario_data
from scenarios.run import simulate

RunMany = Callable[[Callable[..., RunMeasures], Sequence[tuple[Any, ...]]], Iterable[RunMeasures]]
"""Calls a function with each tuple of arguments and gives the results in that order; a pool's `starmap` will do."""

METHOD = (
    "Student's t over independent replications; variants have common random numbers (run r has one seed in all of "
    "them) and their differences are paired by seed"
)

LATENCIES = (
    "Latencies under load are lower bounds: single host I/Os get less bandwidth beside bulk transfers, but don't queue "
    "at the disk behind them, and behind each other only where a backend's figure disk_queue is on."
)
"""What the model leaves out of latencies, for whoever reads them."""

BACKGROUND = (
    "Background I/O queues for link and disk behind that of its own table alone, one I/O at a time; it has the "
    "bandwidth that bulk transfers leave, and takes from them what it moves, up to half of a link."
)
"""What the model makes of background I/O."""


def run_study(
    scenario: Scenario,
    replications: int | None = None,
    seed: int | None = None,
    run_many: RunMany | None = None,
) -> Study:
    """Run every variant with the seeds `seed`, `seed` + 1, … and estimate; defaults are the scenario's own.

    The first run of each variant has details for plots. Raises as `simulate` does, and ValueError for no replication.
    """
    count = scenario.scenario.replications if replications is None else replications
    first = scenario.scenario.seed if seed is None else seed
    if count < 1:
        raise ValueError(f"a study has at least one replication, not {count}")
    check_effort(scenario)
    seeds = tuple(range(first, first + count))
    calls = [(scenario, variant, each, each == first) for variant in scenario.variants for each in seeds]
    return study_of(scenario, seeds, tuple((run_many or _one_by_one)(simulate, calls)))


def study_of(scenario: Scenario, seeds: Sequence[int], rows: Sequence[RunMeasures]) -> Study:
    """The study that follows from the runs of all variants with those seeds."""
    level = scenario.scenario.level
    baseline = scenario.variants[0]
    notes = [f"codec {name}: {codec.source}" for name, codec in scenario.codec.items()]
    keys = [key for each in scenario.variant.values() for key in each.set]
    if scenario.workload or any("workload" in key for key in keys):
        notes.append(LATENCIES)
    if scenario.background or any("background" in key for key in keys):
        notes.append(BACKGROUND)
    return Study(
        harness_version=__version__,
        scenario=scenario.name,
        question=scenario.scenario.question,
        scenario_text=json.dumps(scenario_data(scenario), indent=1, ensure_ascii=False),
        variants=scenario.variants,
        baseline=baseline,
        seeds=tuple(seeds),
        level=level,
        method=METHOD,
        rows=tuple(rows),
        estimates=estimates(rows, level),
        differences=differences(rows, baseline, level),
        notes=tuple(notes),
    )


def estimates(rows: Sequence[RunMeasures], level: float = 0.95) -> tuple[Estimate, ...]:
    """The mean of each measure over the runs of each variant, with Student's t interval over replications.

    A run that has no value of a measure does not count for it; `count` says how many do.
    """
    values: dict[tuple[str, str, str], list[float]] = {}
    units: dict[tuple[str, str, str], str] = {}
    for row in rows:
        for measure in row.measures:
            key = (row.variant, measure.name, measure.of)
            units[key] = measure.unit
            found = values.setdefault(key, [])
            if measure.value is not None:
                found.append(measure.value)
    made = []
    for key, found in values.items():
        mean, low, high = interval(found, level)
        variant, name, of = key
        estimate = Estimate(
            variant=variant, name=name, of=of, unit=units[key], count=len(found), mean=mean, low=low, high=high
        )
        made.append(estimate)
    return tuple(made)


def differences(rows: Sequence[RunMeasures], baseline: str, level: float = 0.95) -> tuple[Difference, ...]:
    """For each other variant and measure the mean difference to the baseline, by paired t over equal seeds.

    Pairs count in which both runs have a value.
    """
    base = {(row.seed, m.name, m.of): m for row in rows if row.variant == baseline for m in row.measures}
    pairs: dict[tuple[str, str, str], list[float]] = {}
    measures: dict[tuple[str, str, str], Measure] = {}
    for row in rows:
        if row.variant == baseline:
            continue
        for measure in row.measures:
            there = base.get((row.seed, measure.name, measure.of))
            key = (row.variant, measure.name, measure.of)
            measures[key] = measure
            found = pairs.setdefault(key, [])
            if there is not None and there.value is not None and measure.value is not None:
                found.append(difference_of(measure.value, there.value))
    made = []
    for key, found in pairs.items():
        mean, low, high = interval(found, level)
        variant, name, of = key
        made.append(
            Difference(
                variant=variant,
                baseline=baseline,
                name=name,
                of=of,
                unit=measures[key].unit,
                count=len(found),
                mean=mean,
                low=low,
                high=high,
            )
        )
    return tuple(made)


def difference_of(value: float, base: float) -> float:
    """`value` less `base`, without the noise of their last binary digits: equal differences are equal numbers.

    44 binary digits of the larger one are kept, which is less than a nanosecond in four hours.
    """
    quantum = math.ldexp(1.0, math.frexp(max(abs(value), abs(base)))[1] - 44)
    return round((value - base) / quantum) * quantum if quantum else value - base


def interval(values: Sequence[float], level: float) -> tuple[float | None, float | None, float | None]:
    """The mean of independent values and its confidence interval; None where there are too few for it."""
    count = len(values)
    if not count:
        return None, None, None
    mean = values[0] if min(values) == max(values) else math.fsum(values) / count
    if count < 2:
        return mean, None, None
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = student_t((1.0 + level) / 2.0, count - 1) * math.sqrt(variance / count)
    return mean, mean - half, mean + half


def _one_by_one(function: Callable[..., RunMeasures], calls: Sequence[tuple[Any, ...]]) -> Iterable[RunMeasures]:
    return [function(*arguments) for arguments in calls]
