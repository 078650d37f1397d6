"""The verb `sweep` of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from harness.cli import INTERRUPTED, USAGE_ERROR
from harness.loading import CandidateError
from scenarios.commands import HARNESS_ERROR
from scenarios.fio_log import FioLogError
from scenarios.options import ClusterOption, JobsOption, ScenarioArgument, SeedOption, SetOption, find_own_modules
from scenarios.reading import ScenarioError, load_scenario
from scenarios.settings import with_settings
from scenarios.sweeps.break_even import break_evens, told
from scenarios.sweeps.errors import RunFailedError, SweepError
from scenarios.sweeps.grid import axes_from
from scenarios.sweeps.pictures import draw_sweep
from scenarios.sweeps.runs_file import read_runs
from scenarios.sweeps.summary import PointSummary, choose_measure, summarize
from scenarios.sweeps.sweep import write_sweep

_MOST_ROWS = 60
ONE_REPLICATION = "one replication has no intervals, and without them nothing is clear: give --replications 2 or more"


def sweep(
    scenario: ScenarioArgument,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", metavar="KEY=V,V…", help="A key path and its values: link.bandwidth=1,10,25Gb. Repeatable."
        ),
    ] = None,
    replications: Annotated[
        int | None, typer.Option(metavar="N", help="Runs of each point and variant; default: the scenario's.")
    ] = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where results go; default: NAME-sweep. Run again, it goes on there."),
    ] = None,
    jobs: JobsOption = None,
    cluster: ClusterOption = None,
    measure: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What tables and plots show; default: completion of the first operation."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(metavar="SHARE", help="By how much a variant has to be ahead of all others to count as the best."),
    ] = 0.05,
) -> None:
    """Run a grid of values, variants and seeds; write a Parquet file with a row for each run, and plots.

    Interrupted or killed, it goes on where it was when the same command is given again.
    Exit status: 0 done; 2 interrupted; 3 a run came to no end, or could not begin; 4 usage error.
    """
    find_own_modules()
    with told_to_people():
        if not 0 <= margin < 1:
            raise SweepError(f"--margin is {margin}; it must be a share from 0 to 1")
        loaded, warnings = with_settings(load_scenario(scenario), set_ or ())
        for warning in warnings:
            typer.echo(warning, err=True)
        axes = axes_from(vary or ())
        directory = Path(f"{loaded.name}-sweep") if out is None else out
        with progress_bar(f"sweep of {loaded.name}") as progress:
            path = write_sweep(loaded, vary or (), directory, replications, seed, jobs, cluster, progress)
        frame = read_runs(path)
        column = choose_measure(frame, axes, measure)
        points = summarize(frame, axes, column, loaded.scenario.level, margin)
        changes = break_evens(loaded, axes, column, margin)
        console = Console(highlight=False)
        console.print(table_of(points, [axis.key for axis in axes], column, loaded.scenario.level))
        if len(points) > _MOST_ROWS:
            console.print(f"… and {len(points) - _MOST_ROWS:,} more points")
        if len(loaded.variants) > 1 and frame["seed"].nunique() < 2:
            console.print(ONE_REPLICATION, soft_wrap=True)
        console.print(f"{len(frame):,} runs in {path}", soft_wrap=True)
        failed = frame[frame["failures"] > 0]
        if len(failed):
            words = f"in {len(failed):,} of them operations failed (columns failures, first_failure), such as in run"
            console.print(
                f"{words} {failed['run'].iloc[0]}: {failed['first_failure'].iloc[0]}", markup=False, soft_wrap=True
            )
        for change in changes:
            console.print(told(change, axes[0]), soft_wrap=True)
        for picture in draw_sweep(loaded, axes, points, column, margin, changes, directory):
            console.print(f"plot: {picture}", soft_wrap=True)


def table_of(points: tuple[PointSummary, ...], keys: list[str], measure: str, level: float) -> Table:
    """The means of a measure at each point with half the width of their intervals, and which variant is best."""
    unit = next((each.unit for point in points for each in point.estimates if each.unit), "")
    variants = list(dict.fromkeys(each.variant for point in points for each in point.estimates))
    table = Table(
        title=f"{measure}{f' ({unit})' if unit else ''}, mean ± half of the {level:.0%} interval", title_justify="left"
    )
    for key in keys:
        table.add_column(key, justify="right", overflow="fold")
    for variant in variants:
        table.add_column(variant, justify="right", overflow="fold")
    if len(variants) > 1:
        table.add_column("ahead", overflow="fold")
    for point in points[:_MOST_ROWS]:
        cells = list(point.values)
        for variant in variants:
            found = point.of(variant)
            if found is None or found.mean is None:
                cells.append("–")
            elif found.low is None:
                cells.append(f"{found.mean:.4g}")
            else:
                cells.append(f"{found.mean:.4g} ± {found.mean - found.low:.2g}")
        table.add_row(*cells, *([point.best or "none clearly"] if len(variants) > 1 else []))
    return table


@contextmanager
def told_to_people() -> Iterator[None]:
    """Turn what a user can put right into a message and an exit status."""
    try:
        yield
    except (SweepError, ScenarioError, FioLogError, CandidateError) as error:
        for line in str(error).splitlines():
            typer.echo(f"ERROR: {line}", err=True)
        raise typer.Exit(HARNESS_ERROR if isinstance(error, RunFailedError) else USAGE_ERROR) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; what is finished is kept: give the same command again to go on", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bar(words: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; what it gives is told how many runs are finished, and how many there are."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(words, total=None)
        yield lambda finished, total: bar.update(task, completed=finished, total=total)
