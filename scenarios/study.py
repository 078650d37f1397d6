"""Studies: every variant with the same seeds, and what follows: means, differences, confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from harness.study_results import Difference, Estimate, RunMeasures, Study
from scenarios.model import Scenario

RunMany = Callable[[Callable[..., RunMeasures], Sequence[tuple[Any, ...]]], Iterable[RunMeasures]]
"""Calls a function with each tuple of arguments and gives the results in that order; a pool's `starmap` will do."""

METHOD = "..."


def run_study(
    scenario: Scenario,
    replications: int | None = None,
    seed: int | None = None,
    run_many: RunMany | None = None,
) -> Study:
    """Run every variant with the seeds `seed`, `seed` + 1, … and estimate; defaults are the scenario's own."""
    raise NotImplementedError


def estimates(rows: Sequence[RunMeasures], level: float = 0.95) -> tuple[Estimate, ...]:
    """The mean of each measure over the runs of each variant, with Student's t interval over replications."""
    raise NotImplementedError


def differences(rows: Sequence[RunMeasures], baseline: str, level: float = 0.95) -> tuple[Difference, ...]:
    """For each other variant and measure the mean difference to the baseline, by paired t over equal seeds."""
    raise NotImplementedError
