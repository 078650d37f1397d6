"""The pytest plugin that turns check functions into a certification run.

In the repository the root `conftest.py` loads it; elsewhere `pytest -p conformance.plugin --pyargs conformance` does.
A check's body runs in a cell (`conformance.execution`); this module holds only the hooks. Tests that are no checks are
left alone. The exit status stands at `conformance.session.ExitCode`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance import plugin_run
from conformance.certificate import Brought
from conformance.checks import DEFAULT_SCHEDULES, batch_names, spec_of
from conformance.execution import RUNNER, VIRTUAL_LIMITS, WALL_LIMITS
from conformance.identity import read_identities
from conformance.plugin_run import Run, place_of
from conformance.session import (
    DEFAULT_DRIVER,
    DEFAULT_REPORT,
    DEFAULT_SEED,
    DEFAULT_TESTBEDS,
    ExitCode,
    UsageProblem,
    make_settings,
    prepare_report,
)
from conformance.waivers import Waivers, read_waivers
from harness.cell import CellError
from harness.results import CheckResult, ClauseInfo, Level, Outcome
from reports.digest import standing

KEY = pytest.StashKey[Run]()
"""Where the configuration keeps the run's state."""

ATTRIBUTE = "backend_activity"
"""The attribute of a test report that carries a check's result to the process that writes the report."""


class AdvisoryWarning(UserWarning):
    """A check failed on advisory clauses only."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a certification run."""
    group = parser.getgroup("backend-activity", "certification of backend activity attributes")
    add = group.addoption
    add("--driver", action="append", default=[], metavar="TARGET",
        help="driver to certify: package.module:Class, or a name registered under backend_activity.drivers; "
        f"repeatable (default: {DEFAULT_DRIVER})")  # fmt: skip
    add("--attributes", action="append", default=[], metavar="FILE",
        help="publication without code, .toml or .json; repeatable")  # fmt: skip
    add("--driver-config", metavar="FILE", help="options for the drivers given by --driver, .toml or .json")
    add("--testbed", action="append", default=[], metavar="NAME",
        help=f"testbed to run on, repeatable (default: {', '.join(DEFAULT_TESTBEDS)})")  # fmt: skip
    add("--seed", type=int, metavar="N", help=f"seed of everything random (default: {DEFAULT_SEED})")
    add("--level", default=Level.FULL, metavar="LEVEL", help="core or full: what the verdict is for (default: full)")
    add("--identity", action="append", default=[], metavar="FILE",
        help="whose driver it is: TOML with vendor, product, version, contact, for the certificate")  # fmt: skip
    add("--waivers", metavar="FILE", help="clauses to set aside for some versions of a driver, until a day; TOML")
    add("--report", default=DEFAULT_REPORT, metavar="DIR",
        help="directory for report, certificate, junit.xml and badge.json (default: %(default)s)")  # fmt: skip
    add("--schedules", type=int, default=DEFAULT_SCHEDULES, metavar="N",
        help="schedules to draw for each driver on each testbed, in whole batches (default: %(default)s)")  # fmt: skip
    add("--schedule", metavar="FILE", help="run only the check that a saved schedule is of, and replay it")
    add("--check-timeout", type=float, metavar="SECONDS",
        help="wall time for one check (default: "
        f"{VIRTUAL_LIMITS.wall_s:g} on simulated testbeds, {WALL_LIMITS.wall_s:g} on real ones)")  # fmt: skip
    add("--check-runner", default=RUNNER, help=argparse.SUPPRESS)
    add("--check-clauses", default="conformance.clauses", help=argparse.SUPPRESS)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options."""
    option = config.option
    clauses: Mapping[str, ClauseInfo] = importlib.import_module(option.check_clauses).CLAUSES
    try:
        settings = make_settings(
            drivers=option.driver,
            attributes=option.attributes,
            driver_config=option.driver_config,
            testbeds=option.testbed,
            seed=option.seed,
            report=option.report,
            schedule=option.schedule,
            schedules=option.schedules,
            timeout_s=option.check_timeout,
            level=option.level,
        )
        identities = read_identities(option.identity, settings.drivers)
        waivers = read_waivers(option.waivers, clauses) if option.waivers is not None else []
    except UsageProblem as error:
        raise pytest.UsageError(str(error)) from None
    today = datetime.datetime.now(datetime.UTC).date()
    brought = Brought(identities, Waivers(waivers, today), today)
    run = config.stash[KEY] = Run(config, settings, clauses, brought, requested=_is_requested(config))
    if run.requested and not run.is_worker and not option.collectonly:
        try:
            prepare_report(settings.report)
        except UsageProblem as error:
            raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the cells."""
    if KEY in config.stash:
        config.stash[KEY].close()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what a certification runs with."""
    run = config.stash[KEY]
    if not run.requested:
        return None
    names = ", ".join(driver.label for driver in run.settings.drivers)
    return f"backend activity: drivers {names}; testbeds {', '.join(run.settings.testbeds)}; seed {run.settings.seed}"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Under xdist nothing is collected here, so drivers are looked at while the workers start, which takes as long.

    Where there are waivers they are looked at before: the workers have to know which waivers hold for their versions.
    """
    run = session.config.stash[KEY]
    if run.requested and run.is_controller and not session.config.option.collectonly:
        if session.config.option.waivers is not None:
            _describe(run)
        else:
            run.begin_describing()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Wait until the drivers have been looked at; no check begins before."""
    run = session.config.stash[KEY]
    if run.is_describing:
        try:
            _describe(run)
        except BaseException:
            _end_workers(session.config)
            raise


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each check for each driver on each testbed."""
    spec = spec_of(metafunc.function)
    if spec is None:
        return
    if "lab" not in metafunc.fixturenames or metafunc.cls is not None:
        pytest.fail(f"{metafunc.function.__name__}: a check is a plain function with a parameter lab", pytrace=False)
    settings = metafunc.config.stash[KEY].settings
    if spec.batch:
        marks = metafunc.definition.own_markers
        marks[:] = [mark for mark in marks if mark.name != "parametrize" or mark.args[0] != "batch"]
        metafunc.parametrize("batch", batch_names(settings.schedules, spec.batch, settings.replayed_batch))
    metafunc.parametrize("lab", settings.places, ids=[place.id for place in settings.places])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what was selected; look at the drivers before the first check."""
    run = config.stash[KEY]
    try:
        dropped = [*run.apply_schedule(items), *run.apply_level(items)]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        run.note_selected(items)
    except UsageProblem as error:
        raise pytest.UsageError(str(error)) from None
    if run.gathered.selection.selected and not run.is_worker and not config.option.collectonly:
        _describe(run)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what was left out of what the level needs."""
    for item in items:
        place = place_of(item)
        if place is not None and item.config.stash[KEY].needs(item):
            item.config.stash[KEY].gathered.selection.deselected[place.driver.index] += 1


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run a check's body in its cell, and tell pytest how it went."""
    if place_of(pyfuncitem) is None:
        return None
    run = pyfuncitem.config.stash[KEY]
    result = run.execute(pyfuncitem)
    pyfuncitem.stash[plugin_run.RESULT] = result
    if result.output:
        pyfuncitem.add_report_section("call", "output of the cell", plugin_run.for_terminal(result.output))
    _tell(result, run.clauses)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the check's result to the report, which carries it to the process that sums up."""
    report = yield
    place = place_of(item)
    if place is None:
        return report
    result = item.stash.get(plugin_run.RESULT, None) if call.when == "call" else None
    failed_outside = report.failed and result is None
    attached: dict[str, Any] = {
        "driver": place.driver.index,
        "result": None if result is None else result.model_dump(mode="json"),
        "error": f"{item.nodeid} failed in {call.when}: {report.longreprtext}" if failed_outside else None,
        "selection": item.config.stash[KEY].gathered.selection.to_json(),
    }
    setattr(report, ATTRIBUTE, attached)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report and set the exit status; or say that the schedule could not be replayed."""
    run = session.config.stash.get(KEY, None)
    _leave_hypothesis_out(session.config)
    if run is not None and not run.is_worker:
        try:
            run.finish(session)
        except UsageProblem as error:
            raise pytest.UsageError(str(error)) from None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the verdicts and where the report is."""
    run = config.stash[KEY]
    lines = run.closing_lines()
    if not lines:
        return
    terminalreporter.section("backend activity")
    for line in lines:
        terminalreporter.write_line(line)


def _leave_hypothesis_out(config: pytest.Config) -> None:
    """Where only checks were asked for, none of which uses Hypothesis, spare its plugin the import of all of it for a
    summary that says nothing; that takes longer than many a check."""
    name, manager = "hypothesispytest", config.pluginmanager
    if manager.has_plugin(name) and all(_is_in_suites(config, argument) for argument in config.args):
        manager.unregister(name=name)


def _describe(run: Run) -> None:
    try:
        run.describe_drivers()
    except UsageProblem as error:
        raise pytest.UsageError(str(error)) from None
    except CellError as error:
        run.gathered.errors.append(str(error))
        pytest.exit(f"harness error: {error}", returncode=ExitCode.HARNESS_ERROR)


_WORKERS_END_S = 0.2
"""So long a worker that is only starting may take to end (seconds of wall time), before it is killed."""


def _end_workers(config: pytest.Config) -> None:
    """End xdist's workers. They are only starting, and may let xdist, which asks more patiently, wait for seconds."""
    manager = getattr(config.pluginmanager.getplugin("dsession"), "nodemanager", None)
    if manager is not None:
        manager.group.terminate(_WORKERS_END_S)


def _is_requested(config: pytest.Config) -> bool:
    """Whether the command line asks for a certification: by an option, or by naming the suites."""
    option = config.option
    asked = (option.driver, option.attributes, option.testbed, option.schedule, option.driver_config)
    if any((*asked, option.identity, option.waivers)):
        return True
    return any(_is_in_suites(config, argument) or _holds_suites(config, argument) for argument in config.args)


_SUITES = Path(__file__).parent


def _is_in_suites(config: pytest.Config, argument: str) -> bool:
    """Whether an argument of pytest names the suites or some of them, and nothing else."""
    name = argument.split("::")[0]
    if config.option.pyargs and (name == "conformance" or name.startswith("conformance.")):
        return True
    path = (config.invocation_params.dir / name).resolve()
    return path == _SUITES or _SUITES in path.parents


def _holds_suites(config: pytest.Config, argument: str) -> bool:
    """Whether an argument of pytest names a directory in which the suites are."""
    return (config.invocation_params.dir / argument.split("::")[0]).resolve() in _SUITES.parents


def _tell(result: CheckResult, clauses: Mapping[str, ClauseInfo]) -> None:
    """Raise what pytest shows for a result."""
    outcome = standing(result, {info.id for info in clauses.values() if info.mandatory})
    if outcome is Outcome.ERROR:
        told = plugin_run.for_terminal(f"harness error: {result.message}\nrerun: {result.reproduce}")
        pytest.fail(told, pytrace=False)
    elif outcome is Outcome.FAILED:
        pytest.fail(plugin_run.explain(result), pytrace=False)
    elif outcome is not Outcome.PASSED:
        pytest.skip(plugin_run.for_terminal(f"{outcome}: {result.message}"))
    elif result.outcome is Outcome.FAILED:
        warnings.warn(AdvisoryWarning(plugin_run.explain(result)), stacklevel=2)
