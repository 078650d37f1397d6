"""The runs of a scenario's grid as rows, and what identifies a sweep of it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import __version__
from harness.study_results import Measure, RunMeasures
from scenarios.effort import check_effort
from scenarios.measure_names import MEASURES
from scenarios.model import Scenario
from scenarios.reading import scenario_data
from scenarios.run import simulate
from scenarios.sweeps.axis_values import numbers, unit_of
from scenarios.sweeps.driver_sources import driver_digests, source_digest
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import Axis, Grid, RunSpec
from scenarios.sweeps.journal import Row
from scenarios.vary import set_by_variants, variant_of, with_value, with_values

LEADING = ("run", "scenario", "variant", "replication", "seed")
"""Columns of every row before those of the axes; `run` is the number in the grid."""
TRAILING = ("failures", "first_failure", "digest")
"""Columns of every row after the measures: failed operations, the first one's sentence, the record's SHA-256."""

_MOST_CORNERS = 256
"""Of so many combinations of extreme values at most the effort is estimated before a sweep begins."""
_NOT_OF_A_RUN = r"variant\..*|scenario\.(?!horizon$|settle$).*"
"""Keys that say how a scenario is told, studied or summed up."""


@dataclass(frozen=True)
class ScenarioRuns:
    """Simulates runs of a scenario; implements `scenarios.sweeps.work.RunOne`. Pickles."""

    scenario: Scenario
    axes: tuple[Axis, ...]
    drivers: tuple[tuple[str, str], ...] = ()
    """The digests of drivers' source by their references, where the sweep is begun."""

    def __call__(self, spec: RunSpec) -> Row:
        """The row of that run. Raises `SweepError` where a driver's code is not what the sweep was begun with."""
        for reference, begun_with in self.drivers:
            _check_driver(reference, begun_with)
        return row_of(spec, simulate(_varied(self.scenario, spec.values), spec.variant, spec.seed), self._numbers)

    @functools.cached_property
    def _numbers(self) -> Mapping[str, Mapping[str, float]]:
        """For each axis of numbers, by the name of its column of numbers, what each of its texts is worth."""
        found = {}
        for axis in self.axes:
            worth = numbers(axis)
            if worth is not None:
                found[number_column(axis.key)] = dict(zip(axis.values, worth, strict=True))
        return found


_known_here: dict[str, str] = {}
"""The digests of drivers' source by their references, as they were at this process's first run, which imported it."""


def _check_driver(reference: str, begun_with: str) -> None:
    if reference not in _known_here:
        _known_here[reference] = source_digest(reference)
    if _known_here[reference] != begun_with:
        raise SweepError(
            f"the code of {reference} is not what the sweep was begun with; have one and the same wherever runs are "
            "made, and leave it alone while a sweep runs"
        )


_latest: tuple[Scenario, tuple[tuple[str, str], ...], Scenario] | None = None


def _varied(scenario: Scenario, values: tuple[tuple[str, str], ...]) -> Scenario:
    """The scenario with those values; the runs of a point follow each other, so the latest one is kept."""
    global _latest
    if _latest is None or _latest[0] is not scenario or _latest[1] != values:
        _latest = scenario, values, with_values(scenario, dict(values)) if values else scenario
    return _latest[2]


def number_column(key: str) -> str:
    """The column that has an axis's values as numbers, with their unit: `link.bandwidth (bytes/s)`."""
    return f"{key} ({unit_of(key) or 'number'})"


def row_of(spec: RunSpec, result: RunMeasures, worth: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The row of a run: what it was, what was varied as text and as number, what was measured."""
    row: dict[str, Any] = dict(
        zip(LEADING, (spec.number, result.scenario, spec.variant, spec.replication, spec.seed), strict=True)
    )
    for key, value in spec.values:
        row[key] = value
        if number_column(key) in worth:
            row[number_column(key)] = float(worth[number_column(key)][value])
    row.update((measure.key, measure.value) for measure in result.measures)
    return row | dict(zip(TRAILING, (len(result.failures), "".join(result.failures[:1]), result.digest), strict=True))


def measures_of(rows: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> list[RunMeasures]:
    """The rows back as results, for the estimates of `scenarios.study`."""
    return [
        RunMeasures(
            scenario=row["scenario"],
            variant=row["variant"],
            seed=row["seed"],
            measures=tuple(_measure(key, row[key]) for key in measure_columns(rows[:1], axes)),
        )
        for row in rows
    ]


def measure_columns(rows: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> list[str]:
    """The columns of measures."""
    others = {*LEADING, *TRAILING, *(axis.key for axis in axes), *(number_column(axis.key) for axis in axes)}
    return [column for column in (rows[0] if rows else ()) if column not in others]


def _measure(key: str, value: float | None) -> Measure:
    name, _, of = key.partition("[")
    known = MEASURES.get(name)
    missing = value is None or value != value  # a data frame has NaN for what is not there
    return Measure(
        name=name, of=of.removesuffix("]"), unit=known.unit if known else "", value=None if missing else value
    )


def grid_of(
    scenario: Scenario, axes: tuple[Axis, ...], replications: int | None = None, first_seed: int | None = None
) -> Grid:
    """The grid of a scenario; replications and seed default to the scenario's own.

    Raises `SweepError`, or `ScenarioError` for a key or value that the scenario can't have, or too much to do.
    """
    about = scenario.scenario
    grid = Grid(
        axes,
        scenario.variants,
        about.replications if replications is None else replications,
        about.seed if first_seed is None else first_seed,
    )
    for axis in axes:
        if re.fullmatch(_NOT_OF_A_RUN, axis.key):
            raise SweepError(
                f"--vary {axis.key}: it is no part of a run, so varying it would do nothing; the seed is given with "
                "--seed, how many runs there are with --replications"
            )
        worth = numbers(axis) or ()
        for place, number in enumerate(worth):
            if number in worth[:place]:
                first, second = axis.values[worth.index(number)], axis.values[place]
                raise SweepError(f"--vary {axis.key}: {first} and {second} are one value; leave one of them out")
        for value in axis.values:
            with_value(scenario, axis.key, value)
        _check_variants(scenario, axis)
    corners = itertools.product(*(_extremes(axis) for axis in axes))
    for corner in itertools.islice(corners, _MOST_CORNERS):
        check_effort(with_values(scenario, {axis.key: value for axis, value in zip(axes, corner, strict=True)}))
    return grid


def _extremes(axis: Axis) -> Sequence[str]:
    """The values between which all others of an axis lie; all of them, where they are no numbers."""
    worth = numbers(axis)
    if worth is None:
        return axis.values
    by_worth = sorted(zip(worth, axis.values, strict=True))
    return list(dict.fromkeys((by_worth[0][1], by_worth[-1][1])))


def _check_variants(scenario: Scenario, axis: Axis) -> None:
    """A variant that sets a key itself would undo what the sweep sets there, unseen."""
    for name, path in set_by_variants(scenario, axis.key):
        raise SweepError(
            f"--vary {axis.key}: variant {name!r} sets {path} itself, so varying it would do nothing there; "
            "vary another key, or take that one out of the variant"
        )


def editions(scenario: Scenario, axes: Sequence[Axis]) -> list[Scenario]:
    """The scenario as it stands, as each variant changes it, and with each single value of each axis."""
    varied = [with_value(scenario, axis.key, value) for axis in axes for value in axis.values]
    return [scenario, *(variant_of(scenario, name) for name in scenario.variants), *varied]


def drivers_of(scenario: Scenario, axes: Sequence[Axis]) -> tuple[tuple[str, str], ...]:
    """What `driver_digests` says of all drivers that any run of a sweep may have."""
    return tuple(driver_digests(editions(scenario, axes)).items())


def identity(scenario: Scenario, grid: Grid) -> dict[str, Any]:
    """What a journal and a file of runs belong to, as JSON: version, scenario, digest of its contents, drivers, grid.

    The contents are those of the logs, too, that the scenario names; `drivers` has the digests of drivers' source.
    """
    content = hashlib.sha256(json.dumps(scenario_data(scenario), sort_keys=True).encode())
    all_of_them = editions(scenario, grid.axes)
    for log in sorted({workload.replay or "" for each in all_of_them for workload in each.workload.values()} - {""}):
        content.update(log.encode() + Path(log).read_bytes())
    drivers = dict(drivers_of(scenario, grid.axes))
    return {
        "harness": __version__,
        "scenario": scenario.name,
        "digest": content.hexdigest(),
        **({"drivers": drivers} if drivers else {}),
        "grid": grid.to_dict(),
    }
