"""Sweeps of scenarios: from a scenario and what is varied to a data frame and a file with a row for each run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas

from scenarios.model import Scenario
from scenarios.reading import load_scenario
from scenarios.sweeps.cluster import Cluster
from scenarios.sweeps.conduct import Progress, conduct
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.executor import Executor
from scenarios.sweeps.grid import axes_from
from scenarios.sweeps.pool import ProcessPool
from scenarios.sweeps.runs_file import read_runs
from scenarios.sweeps.scenario_runs import ScenarioRuns, drivers_of, grid_of, identity
from scenarios.sweeps.work import Work


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_sweep(
    scenario: Scenario,
    vary: Mapping[str, Sequence[object]] | Iterable[str],
    directory: Path,
    replications: int | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    progress: Progress = lambda finished, total: None,
) -> Path:
    """Run the grid, on `jobs` cores (default: all) or on the Dask scheduler at `cluster`; returns `runs.parquet`.

    `vary` has for each key path its values, as a file writes them: `{"link.bandwidth": ["1Gb", "10Gb"]}`. Replications
    and seed default to the scenario's. What `directory` has of the same sweep is not run again. Raises `SweepError` and
    `ScenarioError`. A script that calls this needs `if __name__ == "__main__":`, as `multiprocessing` explains.
    """
    if cluster is not None and jobs is not None:
        raise SweepError("--jobs counts processes of this machine and --cluster names others; leave one of them out")
    axes = axes_from(vary)
    grid = grid_of(scenario, axes, replications, seed)
    work = Work(ScenarioRuns(scenario, axes, drivers_of(scenario, axes)), grid)

    def executor() -> Executor:
        return Cluster(work, cluster) if cluster is not None else ProcessPool(work, cores() if jobs is None else jobs)

    return conduct(directory, grid, identity(scenario, grid), executor, progress)


def sweep(
    scenario: Scenario | str | Path,
    vary: Mapping[str, Sequence[object]] | Iterable[str],
    replications: int | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    directory: str | Path | None = None,
) -> pandas.DataFrame:
    """As `write_sweep`, but gives a data frame with a row for each run; without `directory` nothing else is kept."""
    loaded = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    with tempfile.TemporaryDirectory(prefix="sweep-") as temporary:
        where = Path(temporary if directory is None else directory)
        return read_runs(write_sweep(loaded, vary, where, replications, seed, jobs, cluster))
