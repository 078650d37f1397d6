"""The state of one pytest process during a certification: what it runs, what it has gathered, how it ends."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

import reports
from conformance import rare_paths
from conformance.certificate import (
    Brought,
    Gathered,
    Selection,
    make_report,
    one_line,
    save_schedules,
    schedule_file,
    status_of,
)
from conformance.checks import DEFAULT_SCHEDULES, spec_of
from conformance.clauses import CLAUSES
from conformance.execution import CheckCall, Executor
from conformance.identity import driver_version
from conformance.schedules.saved import for_clause
from conformance.session import ExitCode, Place, Settings, UsageProblem, check_name, is_repeated, is_virtual
from conformance.suite import needed_at, whole
from harness.results import CheckResult, ClauseInfo, Description, Outcome, Report
from reports.files import write_broken_run
from reports.markdown import report_markdown, write_step_summary
from reports.text import clean

RESULT = pytest.StashKey[CheckResult]()
"""Where an item keeps its result between its call and its report."""

COMMAND = pytest.StashKey[str]()
"""The command line to put into the report, if pytest's own is not what the user typed."""

NOTHING_RUN = "no check was run, so nothing is said about any driver"

BROKE = "pytest or a plugin broke during the run (the traceback marked INTERNALERROR says where)"
TERMINAL_LIMIT = 20_000
"""Characters of one text that pytest is given to show."""

_LOOK_AGAIN_S = 0.05
"""After so long (seconds of wall time) a closing run looks again for cells that were being made."""

REASONS_SHOWN = 5
"""How many reasons the terminal summary shows for each driver."""


class Run:
    """One process of a run: the only one, the controller of xdist workers, or such a worker."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        clauses: Mapping[str, ClauseInfo],
        brought: Brought,
        *,
        requested: bool,
    ) -> None:
        self.config = config
        self.settings = settings
        self.clauses = clauses
        self.brought = brought
        self.requested = requested
        self.executor = Executor(settings, clauses, config.option.check_runner)
        self.gathered = Gathered()
        self.report: Report | None = None
        self._descriptions: dict[int, Description] = {}
        self._describing: Future[None] | None = None
        self._repeated: set[str] = set()
        self._refused = False
        self.written: Path | None = None
        self._notice: str | None = None
        self._collection_errors: list[str] = []
        if self.is_worker:
            brought.waivers.take(getattr(config, "workerinput")["backend_activity_waivers"])  # noqa: B009  xdist adds it
        config.pluginmanager.register(self, "backend-activity-run")

    @property
    def is_worker(self) -> bool:
        """Whether this is an xdist worker."""
        return hasattr(self.config, "workerinput")

    @property
    def is_controller(self) -> bool:
        """Whether xdist workers do the work."""
        return self.config.pluginmanager.hasplugin("dsession")

    def begin_describing(self) -> None:
        """Have the drivers describe themselves while something else goes on; `describe_drivers` tells how it ended."""
        pool = ThreadPoolExecutor(1, "describing")
        self._describing = pool.submit(self._describe_drivers)
        pool.shutdown(wait=False)

    @property
    def is_describing(self) -> bool:
        """Whether `begin_describing` was called, and `describe_drivers` has not yet told that all went well."""
        return self._describing is not None

    def close(self) -> None:
        """End the cells, and wait for the end of what went on in them."""
        self.executor.close()
        while self._describing is not None and not self._describing.done():
            wait([self._describing], timeout=_LOOK_AGAIN_S)
            self.executor.close()  # a cell whose process was just being made could not be ended before

    def describe_drivers(self) -> None:
        """Have each driver describe itself. Raises `UsageProblem`, or `CellError` where the harness failed."""
        if self._describing is not None:
            self._describing.result()
            self._describing = None
        self._describe_drivers()

    def _describe_drivers(self) -> None:
        for driver in self.settings.drivers:
            if driver.index not in self._descriptions:
                places = [place for place in self.settings.places if place.driver is driver]
                # a simulated testbed, if there is one: it costs least
                places.sort(key=lambda place: not is_virtual(place.testbed))
                description = self.executor.describe(driver, places[0].testbed)
                if driver.spec.get("testbed_options"):  # each testbed has to take them
                    for place in places[1:]:
                        self.executor.describe(driver, place.testbed)
                self._descriptions[driver.index] = description
                identity = self.brought.identities.get(driver.index)
                self.brought.waivers.resolve(driver, driver_version(driver, description, identity))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker which waivers hold; it does not look at the drivers."""
        node.workerinput["backend_activity_waivers"] = self.brought.waivers.to_json()

    def needs(self, item: pytest.Item) -> bool:
        """Whether the verdict's level needs a check: core needs those that speak of a core clause."""
        spec = spec_of(item.function) if isinstance(item, pytest.Function) else None
        return spec is None or needed_at(self.settings.level, spec.clauses, self.clauses)

    def apply_level(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Keep only the checks that the level needs; returns those that were dropped."""
        dropped = [item for item in items if not self.needs(item)]
        gone = set(dropped)
        items[:] = [item for item in items if item not in gone]
        return dropped

    def apply_schedule(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Keep only the check that the schedule is of; returns the checks that were dropped."""
        schedule = self.settings.schedule
        checks = [item for item in items if place_of(item) is not None]
        if schedule is None or not schedule["check"] or not checks:
            return []
        dropped = [item for item in checks if _full_name(item) != schedule["check"]]
        if len(dropped) == len(checks):
            raise UsageProblem(f"--schedule is of check {schedule['check']}, which is not among the selected ones")
        gone = set(dropped)
        items[:] = [item for item in items if item not in gone]
        return dropped

    def note_selected(self, items: list[pytest.Item]) -> None:
        """Count the checks, and choose those that are run twice."""
        first: dict[str, str] = {}
        chosen: set[str] = set()
        for item in items:
            place = place_of(item)
            if place is None:
                continue
            self.gathered.selection.selected[place.driver.index] += 1
            if not is_virtual(place.testbed):
                continue
            first.setdefault(place.id, item.nodeid)
            if is_repeated(self.settings.seed, f"{_full_name(item)} {place.id}"):
                chosen.add(place.id)
                self._repeated.add(item.nodeid)
        self._repeated.update(nodeid for place_id, nodeid in first.items() if place_id not in chosen)

    def execute(self, item: pytest.Function) -> CheckResult:
        """Run an item's check in its cell."""
        place = place_of(item)
        spec = spec_of(item.function)
        assert place is not None and spec is not None
        call = CheckCall(
            module=item.module.__name__,
            function=item.originalname,
            parameters=_parameters(item),
            clauses=spec.clauses,
            title=(item.function.__doc__ or "").strip().splitlines()[0],
            place=place,
            reproduce=self._reproduce(item, place),
        )
        result = self.executor.run(call, repeat=item.nodeid in self._repeated)
        for failed in result.clauses if result.schedule is not None else ():
            if failed.outcome is Outcome.FAILED and for_clause(result.schedule or {}, failed.clause) is not None:
                saved = schedule_file(self.settings.report, result, failed.clause)
                failed.reproduce = self._reproduce(item, place, str(saved))
        return self.brought.waivers.apply(place.driver.index, result)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a check's result, from here or from a worker."""
        if self.is_worker:
            return
        attached: dict[str, Any] | None = getattr(report, "backend_activity", None)
        if attached is None:
            if report.failed:
                self._note_other(report)
            return
        self.gathered.selection = Selection.from_json(attached["selection"])
        if attached["error"] is not None:
            self.gathered.errors.append(attached["error"])
        if attached["result"] is not None:
            self.gathered.results.append((attached["driver"], CheckResult.model_validate(attached["result"])))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if report.failed:
            self._collection_errors.append(f"{report.nodeid} could not be collected: {report.longreprtext}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell the user's interrupt from pytest's own ways of stopping, which are subclasses."""
        self.gathered.interrupted = type(excinfo.value) is KeyboardInterrupt

    def finish(self, session: pytest.Session) -> None:
        """Write the report and set the exit status; leave both alone if this was no certification.

        Raises `UsageProblem` for a schedule that could not be replayed.
        """
        gathered = self.gathered
        seen = bool(gathered.results or gathered.selection.selected or gathered.selection.deselected)
        if self.config.option.collectonly or not (self.requested or seen):
            return
        gathered.errors += self._collection_errors
        if session.exitstatus == pytest.ExitCode.USAGE_ERROR:
            self._refused = True
            return
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            gathered.errors = gathered.errors or [BROKE]
            self._refused = True
            self._write_broken_run()
            return
        if not gathered.results:
            if not gathered.interrupted:
                session.exitstatus = ExitCode.HARNESS_ERROR
                self._write_broken_run()
            return
        self._look_for_misfit()
        try:
            self.describe_drivers()
            command = self.config.stash.get(COMMAND, shlex.join(["pytest", *self.config.invocation_params.args]))
            if self.clauses is CLAUSES:  # else the checks are not those of the suites here
                gathered.whole = frozenset(whole(self.settings.level, self.settings.schedules))
            self.report = make_report(self.settings, self.clauses, self._descriptions, gathered, self.brought, command)
            save_schedules(self.report, self.settings.report)
            self.written = reports.write_report(self.report, self.settings.report, gathered.other_failures)
            session.exitstatus = status_of(self.report, gathered)
            self._notice = write_step_summary(report_markdown(self.report))
        except UsageProblem as error:
            gathered.errors.append(str(error))
            session.exitstatus = ExitCode.USAGE_ERROR
        except Exception as error:
            gathered.errors.append(f"the report could not be made: {type(error).__name__}: {error}")
            session.exitstatus = ExitCode.HARNESS_ERROR
            self._write_broken_run()

    def _write_broken_run(self) -> None:
        """Say where the report would be that there is none, lest the last run's is taken for this one's."""
        errors = self.gathered.errors or [NOTHING_RUN]
        with contextlib.suppress(OSError):
            write_broken_run(errors, self.settings.report)
            write_step_summary("## Backend activity attributes\n\nHarness error: there is no report.")

    def closing_lines(self) -> list[str]:
        """What the terminal summary says; nothing if this was no certification."""
        return [for_terminal(line) for line in self._closing_lines()]

    def _closing_lines(self) -> list[str]:
        lines = [f"harness error: {error}" for error in self.gathered.errors]
        if self.report is None:
            if self.requested and not self._refused and not self.is_worker and not self.config.option.collectonly:
                lines.append(NOTHING_RUN)
            return lines
        for driver in self.report.drivers:
            lines.append(one_line(driver))
            lines += [f"  {reason}" for reason in driver.reasons[:REASONS_SHOWN]]
            if len(driver.reasons) > REASONS_SHOWN:
                lines.append(f"  … and {len(driver.reasons) - REASONS_SHOWN} more")
            lines += [f"  {line}" for line in rare_paths.in_words(driver.checks)]
        if self.written is not None:
            lines.append(f"report: {self.written}")
        if self._notice is not None:
            lines.append(self._notice)
        return lines

    def _look_for_misfit(self) -> None:
        """Raise `UsageProblem` if the schedule held a choice that the check could not use."""
        for _, result in self.gathered.results:
            found = re.search(r"\bScheduleError: (.*)", result.message) if result.outcome is Outcome.ERROR else None
            if self.settings.schedule is not None and found is not None:
                self._refused = True
                raise UsageProblem(f"--schedule {self.config.option.schedule}: {found[1]}; use it as it was saved")

    def _note_other(self, report: pytest.TestReport) -> None:
        if str(report.when) == "???":  # xdist's report of a worker that died
            self.gathered.errors.append(f"{report.nodeid}: {report.longreprtext}")
        else:
            self.gathered.other_failures.append((report.nodeid, report.longreprtext))

    def _reproduce(self, item: pytest.Function, place: Place, schedule: str | None = None) -> str:
        name = item.name
        start = self.config.invocation_params.dir.resolve()
        explicit = "conformance.plugin" in (self.config.option.plugins or [])
        command = ["pytest"]
        if explicit:
            command += ["-p", "conformance.plugin"]
        if not explicit and item.path.is_relative_to(start):
            command.append(f"{item.path.relative_to(start)}::{name}")
        else:
            command += ["--pyargs", f"{item.module.__name__}::{name}"]
        command += [*place.driver.option, "--testbed", place.testbed, "--seed", str(self.settings.seed)]
        if (schedule := schedule or self.config.option.schedule) is not None:
            command += ["--schedule", schedule]
        if self.settings.schedules != DEFAULT_SCHEDULES:
            command += ["--schedules", str(self.settings.schedules)]
        return shlex.join(command)


def place_of(item: pytest.Item) -> Place | None:
    """Where a check is to run, or None for an item that is no check."""
    if not isinstance(item, pytest.Function) or spec_of(item.function) is None:
        return None
    callspec = getattr(item, "callspec", None)
    place = None if callspec is None else callspec.params.get("lab")
    return place if isinstance(place, Place) else None


def explain(result: CheckResult) -> str:
    """A failed check in words: each failed clause with its witness, what was found, how to rerun it."""
    lines = [result.message] if result.message else []
    for clause in result.clauses:
        if clause.outcome is Outcome.FAILED:
            lines.append(f"{clause.clause}: {clause.message}")
            lines += [f"    {key}: {value}" for key, value in (clause.witness or {}).items()]
            lines += [f"    rerun: {clause.reproduce}"] if clause.reproduce else []
    for finding in result.findings:
        lines.append(f"{finding.severity}: {finding.found}" + (f"; {finding.remedy}" if finding.remedy else ""))
    lines.append(f"rerun: {result.reproduce}")
    return for_terminal("\n".join(dict.fromkeys(lines)))


def for_terminal(text: str) -> str:
    """What a driver may have a part in, without what would drive the terminal that it is shown on."""
    return clean(text, TERMINAL_LIMIT)


def _parameters(item: pytest.Function) -> dict[str, str]:
    return {name: str(value) for name, value in item.callspec.params.items() if name != "lab"}


def _full_name(item: pytest.Item) -> str:
    assert isinstance(item, pytest.Function)
    return f"{item.module.__name__}:{check_name(item.originalname, _parameters(item))}"
