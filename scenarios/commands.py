"""The verb `run` of the command line: one scenario, all its variants, so many replications."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from harness.cli import INTERRUPTED, USAGE_ERROR
from harness.runtime import SECOND, RuntimeLimit
from harness.study_results import RunMeasures, Study
from scenarios.options import ScenarioArgument, SetOption, find_own_modules

if TYPE_CHECKING:
    from scenarios.model import Scenario
    from scenarios.study import RunMany

HARNESS_ERROR = 3
_SHOWN_FAILURES = 5


def run(
    scenario: ScenarioArgument,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=1 << 62, help="First seed; the scenario has its own.")
    ] = None,
    replications: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Runs of each variant; the scenario has its own number.")
    ] = None,
    set_: SetOption = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where results go.")] = "backend-activity-study",
    all_: Annotated[bool, typer.Option("--all", help="Show measures that are 0 everywhere, too.")] = False,
) -> None:
    """Run a scenario: print what was measured in each variant, and write results.

    Exit status: 0 done, whatever the operations came to; 2 interrupted; 3 a run came to no end; 4 usage error.
    """
    # loaded here, as every verb of the command line loads this module, and pandas and PyArrow take a second
    from scenarios.reading import ScenarioError, library, load_scenario
    from scenarios.settings import with_settings
    from scenarios.writing import draw_study, write_study

    find_own_modules()
    try:
        plan, warnings = with_settings(load_scenario(scenario), set_ or ())
        for warning in warnings:
            typer.echo(warning, err=True)
    except ScenarioError as error:
        names = "" if library() and Path(scenario).suffix else f"\nThe library has: {', '.join(library())}"
        _refuse(str(error) + (names if "no such file" in str(error) else ""))
    study = _study(plan, replications, seed)
    folder, paths, refused = Path(out), list[Path](), ""
    try:
        paths = write_study(study, folder)  # before it is printed, as who reads that may stop early
    except OSError as error:
        refused = f"{folder}: results can't be written: {error.strerror or error}; give another --out"
    _print(study, all_)
    if refused:
        _refuse(refused)
    drawn, problems = draw_study(study, folder)
    for problem in problems:
        typer.echo(f"activity-harness run: {problem}", err=True)
    typer.echo(f"results: {', '.join(str(path) for path in [*paths, *drawn])}")


def _study(plan: Scenario, replications: int | None, seed: int | None) -> Study:
    from harness.contract import BackendActivityError
    from harness.loading import CandidateError
    from harness.taskflow.errors import TaskflowError
    from scenarios.fio_log import FioLogError
    from scenarios.parsing import ScenarioError
    from scenarios.study import run_study

    try:
        with _progress(plan, replications) as run_many:
            return run_study(plan, replications, seed, run_many)
    except (ScenarioError, FioLogError, CandidateError) as error:
        _refuse(str(error))
    except (TaskflowError, BackendActivityError) as error:
        typer.echo(f"activity-harness run: a run of {plan.name} could not begin: {error}", err=True)
        raise typer.Exit(HARNESS_ERROR) from None
    except RuntimeLimit as error:
        typer.echo(f"activity-harness run: a run of {plan.name} came to no end: {error}", err=True)
        raise typer.Exit(HARNESS_ERROR) from None
    except KeyboardInterrupt:
        typer.echo("activity-harness run: interrupted; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextlib.contextmanager
def _progress(plan: Scenario, replications: int | None) -> Iterator[RunMany]:
    """What runs one after the other and shows how far it is: runs, and the simulated time of the present one."""
    from scenarios.effort import effort_of
    from scenarios.vary import variant_of

    columns = (TextColumn("{task.description}"), BarColumn(12), MofNCompleteColumn(), _SimulatedTime())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        total = len(plan.variants) * (replications or plan.scenario.replications)
        task = progress.add_task(plan.name, total=total, passed=None, expected_ns=0)

        def one_by_one(function: Callable[..., RunMeasures], calls: Sequence[tuple[Any, ...]]) -> Iterable[RunMeasures]:
            for arguments in calls:
                _, variant, seed, *_ = arguments
                expected_ns = effort_of(variant_of(plan, variant)).simulated_ns
                words = f"{plan.name}, {variant}, seed {seed}"
                progress.update(task, description=escape(words), passed=None, expected_ns=expected_ns)
                yield function(*arguments, begun=lambda passed: progress.update(task, passed=passed))
                progress.advance(task)

        yield one_by_one


class _SimulatedTime(ProgressColumn):
    """The simulated time of the present run, and about how long it is expected to be."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """See `rich.progress.ProgressColumn.render`; called in the thread that draws."""
        passed = task.fields["passed"]
        if passed is None:
            return Text("")
        words = f"simulated {passed() / SECOND:,.0f} s of about {task.fields['expected_ns'] / SECOND:,.0f} s"
        return Text(words, no_wrap=True)


def _print(study: Study, everything: bool) -> None:
    from scenarios.table import study_table

    console = Console()
    table, left_out = study_table(study, everything)
    console.print(table)
    count = len(study.seeds)
    seeds = f"seed {study.seeds[0]}" if count == 1 else f"seeds {study.seeds[0]} to {study.seeds[-1]}"
    console.print(f"{count} replications ({seeds}); ± is half of the {study.level:.0%} interval: {study.method}.")
    if left_out:
        console.print(f"{left_out} measures are 0 or empty in every variant; --all shows them.")
    for note in study.notes:
        console.print(escape(note))
    failures = {f"{row.variant}: {sentence}": None for row in study.rows for sentence in row.failures}
    for sentence in list(failures)[:_SHOWN_FAILURES]:
        console.print(f"[yellow]failed[/] {escape(sentence)}")
    if len(failures) > _SHOWN_FAILURES:
        console.print(f"… and {len(failures) - _SHOWN_FAILURES} more failures; study.json has them all.")


def _refuse(message: str) -> NoReturn:
    typer.echo(f"activity-harness run: {message}", err=True)
    raise typer.Exit(USAGE_ERROR)
