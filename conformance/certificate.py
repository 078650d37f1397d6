"""From the results of a run to its report, its verdicts and its exit status."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.session import ExitCode, Settings, exit_code
from harness import __version__
from harness.results import (
    CheckResult,
    ClauseInfo,
    Description,
    DriverReport,
    Outcome,
    Report,
    Verdict,
    judge,
    summarise,
)


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

    `other_failures` counts failed tests that are no checks; they are told by the exit status alone.
    """

    results: list[tuple[int, CheckResult]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    selection: Selection = field(default_factory=Selection)
    other_failures: int = 0
    interrupted: bool = False


def make_report(
    settings: Settings,
    clauses: Mapping[str, ClauseInfo],
    descriptions: Mapping[int, Description],
    gathered: Gathered,
    command: str,
) -> Report:
    """Summarise and judge a run. What was left out keeps a driver from a pass."""
    drivers = []
    for driver in settings.drivers:
        description = descriptions[driver.index]
        checks = [result for index, result in gathered.results if index == driver.index]
        checks.sort(key=lambda c: (c.check, c.testbed))  # the order in which parallel workers ended carries nothing
        rows = summarise(clauses.values(), checks)
        verdict, reasons = judge(clauses, rows, checks, description, gathered.errors)
        left_out = _left_out(gathered, driver.index, len(checks))
        if left_out and verdict in (Verdict.CONFORMANT, Verdict.CONSISTENT):
            verdict, reasons = Verdict.INCOMPLETE, left_out
        elif left_out:
            reasons = reasons + left_out
        drivers.append(
            DriverReport(description=description, verdict=verdict, reasons=reasons, clauses=rows, checks=checks)
        )
    return Report(
        harness_version=__version__,
        python_version=platform.python_version(),
        seed=settings.seed,
        testbeds=list(settings.testbeds),
        command=command,
        clauses=list(clauses.values()),
        drivers=drivers,
        errors=gathered.errors,
    )


def save_schedules(report: Report, directory: Path) -> list[Path]:
    """Write the schedule of each failed check to `directory`/schedules, for `--schedule`; returns the files.

    Those of an earlier run are removed: they would be taken for this one's.
    """
    for old in (directory / "schedules").glob("*.json"):
        old.unlink()
    written = []
    for driver in report.drivers:
        for check in driver.checks:
            if check.outcome is not Outcome.FAILED or check.schedule is None:
                continue
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{check.driver}-{check.testbed}-{check.check}").strip("-")[:150]
            path = directory / "schedules" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(check.schedule, sort_keys=True, indent=1) + "\n", encoding="utf-8")
            written.append(path)
    return written


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


def _left_out(gathered: Gathered, index: int, done: int) -> list[str]:
    lines = []
    deselected = gathered.selection.deselected[index]
    if deselected:
        lines.append(f"{deselected} checks were deselected")
    unreached = gathered.selection.selected[index] - done
    if unreached > 0:
        lines.append(f"{unreached} checks were not reached")
    return lines
