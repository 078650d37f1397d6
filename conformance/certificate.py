"""From the results of a run to its report, its verdicts and its exit status."""

from __future__ import annotations

import datetime
import json
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.clauses import SPECIFICATION_VERSION
from conformance.identity import configuration_digest, driver_version
from conformance.rare_paths import leave_open_what_was_missed
from conformance.schedules.saved import for_clause
from conformance.session import ExitCode, Settings, exit_code
from conformance.waivers import Waivers
from harness import __version__
from harness.judging import judge_driver
from harness.results import (
    CheckResult,
    ClauseInfo,
    Description,
    DriverReport,
    Identity,
    Outcome,
    Report,
    Verdict,
)
from reports.files import write_all


@dataclass
class Selection:
    """How many checks a collection selected and left out, for each driver by its index."""

    selected: Counter[int] = field(default_factory=Counter)
    deselected: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The counts, to travel with a test report."""
        return {"selected": sorted(self.selected.items()), "deselected": sorted(self.deselected.items())}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Selection:
        """Read what `to_json` wrote."""
        return cls(Counter(dict(data["selected"])), Counter(dict(data["deselected"])))


@dataclass
class Gathered:
    """What a run brought: results with the index of their driver, and errors that belong to no check.

    `other_failures` are failed tests that are no checks, each with its text; the exit status and JUnit tell of them.
    `whole` are the names of the checks that a whole run has on each testbed.
    """

    results: list[tuple[int, CheckResult]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    selection: Selection = field(default_factory=Selection)
    other_failures: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    whole: frozenset[str] = frozenset()

    def left_out(self, index: int, testbeds: Iterable[str], unreached: int) -> int:
        """How many checks of a driver were deselected, or not even asked for."""
        done = {(result.check, result.testbed) for driver, result in self.results if driver == index}
        absent = sum((name, testbed) not in done for testbed in testbeds for name in self.whole)
        return max(self.selection.deselected[index], absent - unreached)


@dataclass(frozen=True)
class Brought:
    """What the user brought beside the drivers: identities by driver, waivers; and the day on which the run began."""

    identities: Mapping[int, Identity]
    waivers: Waivers
    today: datetime.date


def make_report(
    settings: Settings,
    clauses: Mapping[str, ClauseInfo],
    descriptions: Mapping[int, Description],
    gathered: Gathered,
    brought: Brought,
    command: str,
) -> Report:
    """Summarise and judge a run. What was left out keeps a driver from a pass."""
    checks: dict[int, list[CheckResult]] = {driver.index: [] for driver in settings.drivers}
    for index, result in gathered.results:
        checks[index].append(result)
    for each in checks.values():
        each.sort(key=lambda c: (c.check, c.testbed))  # the order in which parallel workers ended carries nothing
    gathered.errors += brought.waivers.faults(checks, clauses, settings.level)
    drivers = []
    for driver in settings.drivers:
        description, identity = descriptions[driver.index], brought.identities.get(driver.index)
        done = checks[driver.index]
        testbeds = [place.testbed for place in settings.places if place.driver is driver]
        unreached = max(0, gathered.selection.selected[driver.index] - len(done))
        drivers.append(
            DriverReport(
                description=description,
                identity=identity,
                driver_version=driver_version(driver, description, identity),
                configuration_digest=configuration_digest(driver),
                waivers=brought.waivers.used(driver.index, done),
                testbeds=testbeds,
                deselected=gathered.left_out(driver.index, testbeds, unreached),
                unreached=unreached,
                verdict=Verdict.HARNESS_ERROR,
                checks=leave_open_what_was_missed(done),
            )
        )
    report = Report(
        specification_version=SPECIFICATION_VERSION,
        harness_version=__version__,
        python_version=platform.python_version(),
        started_on=brought.today.isoformat(),
        level=settings.level,
        seed=settings.seed,
        schedules=settings.schedules,
        testbeds=list(settings.testbeds),
        command=command,
        clauses=list(clauses.values()),
        drivers=drivers,
        errors=gathered.errors,
    )
    for judged in report.drivers:
        judged.clauses, judged.verdict, judged.reasons = judge_driver(report, judged)
    return report


def schedule_file(directory: Path, check: CheckResult, clause: str = "") -> Path:
    """Where the schedule of a failed check is saved, or that of one clause which failed by a schedule of its own."""
    text = f"{check.driver}-{check.testbed}-{check.check}"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:150]
    return directory / "schedules" / f"{name}{f'-{clause}' if clause else ''}.json"


def save_schedules(report: Report, directory: Path) -> list[Path]:
    """Write the schedules of each failed check to `directory`/schedules, for `--schedule`; returns the files.

    That of the check replays all that failed in it. Where clauses failed by schedules of their own, each of these has
    a file, too. Those of an earlier run are removed: they would be taken for this one's.
    """
    for old in (directory / "schedules").glob("*.json"):
        old.unlink()
    texts = {}
    for driver in report.drivers:
        for check in driver.checks:
            if check.outcome is not Outcome.FAILED or check.schedule is None:
                continue
            schedules = {"": check.schedule}
            for result in check.clauses:
                own = for_clause(check.schedule, result.clause) if result.outcome is Outcome.FAILED else None
                if own is not None:
                    schedules[result.clause] = own
            for clause, schedule in schedules.items():
                name = schedule_file(directory, check, clause).name
                texts[name] = json.dumps(schedule, sort_keys=True, indent=1) + "\n"
    if texts:
        (directory / "schedules").mkdir(parents=True, exist_ok=True)
        write_all(directory / "schedules", texts)
    return [directory / "schedules" / name for name in texts]


def status_of(report: Report, gathered: Gathered) -> ExitCode:
    """The exit status of a run that has a report."""
    if gathered.interrupted:
        return ExitCode.INTERRUPTED
    code = exit_code([driver.verdict for driver in report.drivers])
    if code is ExitCode.CONFORMANT and gathered.other_failures:
        return ExitCode.NON_CONFORMANT
    return code


def one_line(driver: DriverReport) -> str:
    """A driver's verdict and the count of its checks by outcome."""
    counts = Counter(check.outcome for check in driver.checks)
    numbers = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    return f"{driver.description.driver}: {driver.verdict} ({numbers or 'no checks'})"
