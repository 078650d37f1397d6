"""Conducting a sweep: what is finished is kept, what is not is run, and all of it ends in one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from scenarios.sweeps.batches import Batches
from scenarios.sweeps.errors import RunFailedError, SweepError
from scenarios.sweeps.executor import QUEUED, Executor
from scenarios.sweeps.grid import Grid
from scenarios.sweeps.journal import Journal, difference
from scenarios.sweeps.runs_file import swept, write_runs
from scenarios.sweeps.work import Failed

RUNS_NAME = "runs.parquet"
JOURNAL_NAME = "runs.journal"

Progress = Callable[[int, int], None]
"""Told how many runs are finished, and how many there are."""


def conduct(
    directory: Path,
    grid: Grid,
    sweep: Mapping[str, Any],
    make_executor: Callable[[], Executor],
    progress: Progress = lambda finished, total: None,
) -> Path:
    """Run what is left of the grid and write `runs.parquet` to `directory`; returns its path.

    `sweep` says as JSON what is swept; what is found in `directory` has to be of the same. The executor is made only
    if there is anything to run. Raises `SweepError`; what was finished until then stays in `runs.journal`, and the same
    call goes on from there.
    """
    path = directory / RUNS_NAME
    _prepare(directory)
    if path.exists():
        _check_same(path, sweep)
        (directory / JOURNAL_NAME).unlink(missing_ok=True)  # of a sweep that was killed just before it would have
        progress(len(grid), len(grid))
        return path
    with Journal(directory / JOURNAL_NAME, sweep) as journal:
        progress(len(journal.rows), len(grid))
        left = [number for number in range(len(grid)) if number not in journal.rows]
        if left:
            with closing(make_executor()) as executor:
                _run(left, grid, executor, journal, progress)
        write_runs(path, journal.rows, sweep)
        journal.remove()
    return path


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SweepError(
            f"{directory}: the directory can't be made: {error.strerror}; give another --out DIR"
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SweepError(f"{directory}: the directory can't be written to; give another --out DIR")


def _check_same(path: Path, sweep: Mapping[str, Any]) -> None:
    found = swept(path)
    if found is None:
        raise SweepError(f"{path}: it is there already and is no file of a sweep; give another --out DIR")
    problem = difference(found, sweep)
    if problem is not None:
        raise SweepError(
            f"{path}: it has the runs of another sweep ({problem}); give another --out DIR, or remove the file"
        )


def _run(left: list[int], grid: Grid, executor: Executor, journal: Journal, progress: Progress) -> None:
    batches = Batches(left, executor.slots)
    while batches or executor.outstanding:
        while batches and executor.outstanding < QUEUED * executor.slots:
            executor.submit(batches.next())
        done = executor.next()
        journal.append(done.rows)
        progress(len(journal.rows), len(grid))
        if isinstance(done, Failed):
            raise RunFailedError(
                f"run {done.spec.number} ({done.spec}) failed: {done.problem}. What is finished is kept"
            )
        batches.learn(len(done.rows), done.seconds)
