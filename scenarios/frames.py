"""Studies as pandas data frames, and studies from Python: `study("native-or-fallback")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.study_results import Difference, Estimate, Study
from scenarios.model import Scenario
from scenarios.reading import load_scenario
from scenarios.study import RunMany, run_study
from scenarios.vary import with_values


def study(
    scenario: str | Path | Scenario,
    values: Mapping[str, Any] | None = None,
    replications: int | None = None,
    seed: int | None = None,
    run_many: RunMany | None = None,
) -> Study:
    """Run a scenario (a file, a name of the library, or a scenario) with other `values` by key path.

    Raises `ScenarioError`, and as `run_study`.
    """
    read = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    return run_study(with_values(read, values) if values else read, replications, seed, run_many)


def runs_frame(study: Study) -> pd.DataFrame:
    """A row for each run: `variant`, `seed`, and a column for each measure, by its key (`completion[copy]`).

    What a run has no value of is NaN.
    """
    rows = []
    for run in study.rows:
        row: dict[str, Any] = {"variant": run.variant, "seed": run.seed, "failures": len(run.failures)}
        row.update({measure.key: float("nan") if measure.value is None else measure.value for measure in run.measures})
        rows.append(row)
    return pd.DataFrame(rows)


def estimates_frame(study: Study) -> pd.DataFrame:
    """A row for each variant and measure: `variant`, `measure`, `unit`, `count`, `mean`, `low`, `high`."""
    return _frame(study.estimates)


def differences_frame(study: Study) -> pd.DataFrame:
    """A row for each variant other than the baseline and each measure, with the same columns."""
    return _frame(study.differences)


def _frame(figures: Sequence[Estimate] | Sequence[Difference]) -> pd.DataFrame:
    columns = ["variant", "measure", "unit", "count", "mean", "low", "high"]
    rows = [(each.variant, each.key, each.unit, each.count, each.mean, each.low, each.high) for each in figures]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"mean": "float64", "low": "float64", "high": "float64"})
