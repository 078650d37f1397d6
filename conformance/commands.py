"""The verbs `certify` and `inspect` of the command line. Exit codes stand at `conformance.session.ExitCode`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pytest
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

import reports
from conformance import session
from conformance.checks import DEFAULT_SCHEDULES
from conformance.execution import Executor
from conformance.plugin import ATTRIBUTE, KEY
from conformance.plugin_run import COMMAND, Run
from conformance.session import ExitCode, UsageProblem
from harness.cell import CellError
from harness.results import Description, Level, Severity
from reports.text import one_line


def certify(
    driver: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="Driver: package.module:Class or a registered name. Repeatable."),
    ] = None,
    attributes: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Publication without code, .toml or .json. Repeatable.")
    ] = None,
    driver_config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Options for the drivers, .toml or .json.")
    ] = None,
    testbed: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Testbed to run on. Repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of everything random.")] = None,
    level: Annotated[Level, typer.Option(help="What the verdict is for.")] = Level.FULL,
    identity: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Whose driver it is, .toml. One for each driver.")
    ] = None,
    waivers: Annotated[str | None, typer.Option(metavar="FILE", help="Clauses to set aside, .toml.")] = None,
    report: Annotated[str, typer.Option(metavar="DIR", help="Directory of the report.")] = session.DEFAULT_REPORT,
    schedules: Annotated[
        int, typer.Option(metavar="N", help="Schedules to draw for each driver and testbed.")
    ] = DEFAULT_SCHEDULES,
    schedule: Annotated[str | None, typer.Option(metavar="FILE", help="Replay a saved schedule.")] = None,
    check_timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Wall time for one check.")] = None,
    keyword: Annotated[str, typer.Option("-k", metavar="EXPRESSION", help="Run only checks that match.")] = "",
    stop: Annotated[bool, typer.Option("-x", help="Stop at the first failure.")] = False,
    jobs: Annotated[int, typer.Option("-n", "--jobs", metavar="N", min=0, help="Processes; 0 runs in one.")] = 0,
    suite: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    pytest_option: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Certify drivers: run the conformance suites, print the verdict, write the report.

    Exit status: 0 conformant or consistent, 1 non-conformant, 2 interrupted, 3 harness error, 4 usage error,
    6 incomplete.
    """
    arguments = ["-p", "conformance.plugin", "-p", "no:terminalreporter", "-p", "no:cacheprovider"]
    arguments += [*(suite or ("--pyargs", "conformance")), f"--report={report}"]
    options: list[tuple[str, Any]] = [
        *(("--driver", value) for value in driver or ()),
        *(("--attributes", value) for value in attributes or ()),
        *(("--testbed", value) for value in testbed or ()),
        *(("--identity", value) for value in identity or ()),
        ("--driver-config", driver_config),
        ("--level", level.value),
        ("--waivers", waivers),
        ("--seed", seed),
        ("--schedules", schedules),
        ("--schedule", schedule),
        ("--check-timeout", check_timeout),
    ]
    arguments += [f"{name}={value}" for name, value in options if value is not None]
    arguments += [*(("-k", keyword) if keyword else ()), *(("-x",) if stop else ()), "-n", str(jobs)]
    arguments += pytest_option or []
    watcher = _Watcher(shlex.join(["activity-harness", *sys.argv[1:]]))
    status = int(pytest.main(arguments, plugins=[watcher]))
    watcher.close()
    raise typer.Exit(_closing(status, watcher.run))


class _Watcher:
    """Shows progress instead of pytest's own output, and keeps the run for the summary."""

    def __init__(self, command: str) -> None:
        self.run: Run | None = None
        self._command = command
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True),
            transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("certifying", total=None)

    def close(self) -> None:
        """Take the progress off the screen."""
        self._progress.stop()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        self.run = config.stash[KEY]
        config.stash[COMMAND] = self._command

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if session.items:
            self._progress.update(self._task, total=len(session.items))
        self._progress.start()

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._progress.update(self._task, total=len(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and getattr(report, ATTRIBUTE, None) is not None:
            self._progress.update(self._task, advance=1, description=escape(report.nodeid.rpartition("::")[2][:60]))


def _closing(status: int, run: Run | None) -> int:
    console = Console(highlight=False)
    if run is None or status == ExitCode.USAGE_ERROR:  # pytest has said what it was
        return status
    if run.report is not None:
        reports.summary(run.report, console)
        if run.written is not None:
            console.print(f"report: {run.written}", markup=False, soft_wrap=True)
    else:
        for line in run.closing_lines():
            console.print(line, markup=False, soft_wrap=True)
    return status


def inspect_target(
    target: Annotated[str, typer.Argument(help="A driver, or a publication (.toml or .json).", metavar="TARGET")],
    driver_config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Options for the driver, .toml or .json.")
    ] = None,
    testbed: Annotated[
        str, typer.Option(metavar="NAME", help="Testbed that the driver is set up on.")
    ] = session.DEFAULT_TESTBEDS[0],
    attributes: Annotated[bool, typer.Option("--attributes", help="Show the attributes only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the description as JSON.")] = False,
    runner: Annotated[str, typer.Option(hidden=True)] = "conformance.runner",
) -> None:
    """Show what a driver publishes, what that means, and what the harness will do before each method.

    Exit status: 0 without violations, 1 with violations, 3 harness error, 4 usage error.
    """
    is_file = Path(target).suffix in (".toml", ".json")
    try:
        if is_file and driver_config is not None:
            raise UsageProblem(f"--driver-config {driver_config}: {target} is a publication without code; leave it out")
        settings = session.make_settings(
            drivers=() if is_file else (target,),
            attributes=(target,) if is_file else (),
            driver_config=driver_config,
            testbeds=(testbed,),
        )
        executor = Executor(settings, {}, runner)
        try:
            description = executor.describe(settings.drivers[0], testbed)
        finally:
            executor.close()
    except UsageProblem as error:
        _refuse(str(error), ExitCode.USAGE_ERROR)
    except CellError as error:
        _refuse(f"harness error: {error}", ExitCode.HARNESS_ERROR)
    if as_json:
        typer.echo(json.dumps(description.model_dump(mode="json"), indent=2, sort_keys=True))
    else:
        _show(description, Console(highlight=False), methods=not attributes)
    violations = any(finding.severity is Severity.VIOLATION for finding in description.findings)
    raise typer.Exit(ExitCode.NON_CONFORMANT if violations else ExitCode.CONFORMANT)


def _refuse(text: str, code: ExitCode) -> NoReturn:
    typer.echo(f"ERROR: {text}", err=True)
    raise typer.Exit(code)


def _show(description: Description, console: Console, *, methods: bool) -> None:
    kind = "vendor's code" if description.vendor_code else "acted out by the bundled driver"
    console.print(f"[bold]{_safe(description.driver)}[/bold] ({_safe(description.target)}, {kind})")
    console.print(_attributes(description))
    for finding in description.findings:
        clause = f" {finding.clause}" if finding.clause else ""
        subject = f"{finding.subject}: " if finding.subject else ""
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        told = one_line(f"{finding.severity}{clause}: {subject}{finding.found}{remedy}")
        console.print(told, markup=False, soft_wrap=True)
    if methods and description.methods:
        console.print(_methods(description))


def _attributes(description: Description) -> Table:
    table = Table()
    table.add_column("attribute", no_wrap=True)
    table.add_column("published", overflow="fold")
    table.add_column("in effect", overflow="fold")
    for name in dict.fromkeys([*description.effective, *description.published]):
        published = _shown(description.published[name]) if name in description.published else "–"
        effective = _shown(description.effective[name]) if name in description.effective else "ignored"
        if effective == published:
            effective = "the same"
        default = " (default)" if name in description.defaults else ""
        table.add_row(_safe(name, 40), _safe(published), _safe(effective + default))
    return table


def _methods(description: Description) -> Table:
    table = Table()
    table.add_column("method", no_wrap=True)
    table.add_column("listed")
    table.add_column("the harness will", overflow="fold")
    table.add_column("because", overflow="fold")
    for plan in description.methods:
        listed = "yes" if plan.listed else "no"
        table.add_row(escape(plan.method), listed, escape(plan.plan), escape(plan.reason))
    return table


def _safe(text: str, limit: int = 2000) -> str:
    """What a driver may have written, for a terminal."""
    return escape(one_line(text, limit))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value)
