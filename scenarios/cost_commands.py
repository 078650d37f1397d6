"""The verb `costs` of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reports.plots.omissions import Omission, draw_omissions
from reports.plots.style import save
from scenarios.measure_names import GAINS
from scenarios.omissions import Cost, costliest, costs_frame, costs_of, toggles_of
from scenarios.options import ClusterOption, JobsOption, ScenarioArgument, SeedOption, SetOption, find_own_modules
from scenarios.reading import load_scenario
from scenarios.settings import with_settings
from scenarios.sweep_commands import ONE_REPLICATION, progress_bar, told_to_people
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.pictures import measure_scale
from scenarios.sweeps.runs_file import read_runs
from scenarios.sweeps.summary import choose_measure
from scenarios.sweeps.sweep import write_sweep

COSTS_NAME = "costs.csv"
_MOST_COLUMNS = 4
"""More leave no room for their names in 80 columns; the file has all."""


def costs(
    scenario: ScenarioArgument,
    driver: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose publication; default: that of the first operation's volumes."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(metavar="NAME", help="The variant to begin with; default: the first.")
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What is ranked and drawn; default: completion of the first operation."),
    ] = None,
    replications: Annotated[
        int | None, typer.Option(metavar="N", help="Pairs of runs for each attribute; default: the scenario's.")
    ] = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where results go; default: NAME-costs. Run again, it goes on there."),
    ] = None,
    jobs: JobsOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Tell what it costs to leave out each attribute that a driver publishes, or could publish.

    The publication is compared with itself but for one attribute, on equal seeds. Exit status: 0 done; 2 interrupted;
    3 a run came to no end, or could not begin; 4 usage error.
    """
    find_own_modules()
    with told_to_people():
        loaded, warnings = with_settings(load_scenario(scenario), set_ or ())
        for warning in warnings:
            typer.echo(warning, err=True)
        toggled, toggles = toggles_of(loaded, driver, variant)
        directory = Path(f"{loaded.name}-costs") if out is None else out
        with progress_bar(f"costs of {loaded.name}") as progress:
            path = write_sweep(toggled, (), directory, replications, seed, jobs, cluster, progress)
        frame, level = read_runs(path), loaded.scenario.level
        found = costs_of(frame, toggles, level)
        column = choose_measure(frame, (), measure)
        if column.partition("[")[0] in GAINS:
            raise SweepError(f"--measure {column}: more of it is better, so it is no cost; name another measure")
        ranked = costliest(found, column)
        console = Console(highlight=False)
        console.print(table_of(found, ranked, column, level))
        console.print(conclusion(ranked, level), soft_wrap=True)
        try:
            costs_frame(found).to_csv(directory / COSTS_NAME, index=False)
            rows = [Omission(cost.attribute, cost.published, cost.mean, cost.low, cost.high) for cost in ranked]
            title = f"cost of leaving an attribute out: {column}"
            pictures = save(draw_omissions(rows, measure_scale(column), title), directory, "costs")
        except OSError as error:
            raise SweepError(f"{directory}: results can't be written: {error.strerror or error}; make room") from None
        for written in (path, directory / COSTS_NAME, *pictures):
            console.print(f"written: {written}", soft_wrap=True)


def table_of(costs: Sequence[Cost], ranked: Sequence[Cost], first: str, level: float) -> Table:
    """A row for each attribute, the costliest first; columns for the measure ranked by and those that differ."""
    moved = dict.fromkeys([first, *(cost.measure for cost in costs if cost.is_clear)])
    columns = list(moved)[:_MOST_COLUMNS]
    table = Table(
        title=f"cost of leaving an attribute out: mean ± half of the {level:.0%} interval", title_justify="left"
    )
    table.add_column("attribute", overflow="fold")
    table.add_column("published")
    by_place = {(cost.attribute, cost.measure): cost for cost in costs}
    for column in columns:
        unit = next((cost.unit for cost in costs if cost.measure == column), "")
        table.add_column(f"{column} ({unit})" if unit else column, justify="right", overflow="fold")
    for cost in ranked:
        cells = [_cell(by_place.get((cost.attribute, column))) for column in columns]
        table.add_row(cost.attribute, "yes" if cost.published else "no", *cells)
    return table


def _cell(cost: Cost | None) -> str:
    if cost is None:
        return "–"
    half = f" ± {(cost.high - cost.low) / 2:.2g}" if cost.low is not None and cost.high is not None else ""
    return f"{cost.mean:+.4g}{half}"


def conclusion(ranked: Sequence[Cost], level: float) -> str:
    """Which omission costs most, in a sentence; or that none clearly costs anything."""
    clear = [cost for cost in ranked if cost.is_clear and cost.mean > 0]
    if not clear:
        what = ranked[0].measure if ranked else "anything"
        words = f"no omission clearly costs {what}"
        return f"{words}; {ONE_REPLICATION}" if any(cost.pairs < 2 for cost in ranked) else words
    worst = clear[0]
    verb = "would cost" if worst.published else "costs"
    return (
        f"leaving out {worst.attribute} {verb} most: {worst.mean:.4g} {worst.unit} of {worst.measure} "
        f"({level:.0%} interval {worst.low:.4g} to {worst.high:.4g}, {worst.pairs} pairs of runs)"
    )
