"""Whether a report has every check of the suites that it has to have, each with a result for all that it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.results import DriverReport, Level, Outcome, Report
from reports.text import one_line

Whole = Callable[[Level, int], Mapping[str, tuple[str, ...]]]
"""The names of all checks that a run for a level, with so many schedules, has on each testbed; with their clauses."""

_SHOWN = 20


def missing_checks(report: Report, whole: Whole) -> tuple[list[str], list[str]]:
    """What is absent from a report by this version though it does not say so; and what else a reader has to know.

    A report may leave checks out, but has to count them: then no verdict in it is a pass.
    """
    if report.schedules is None or report.schedules < 1:
        return ["checks: the report does not say how many schedules were drawn, though this version writes that"], []
    expected = whole(report.level, report.schedules)
    problems: list[str] = []
    notes: list[str] = []
    for driver in report.drivers:
        problems += _of_driver(report, driver, expected)
        name = one_line(driver.description.driver, 80)
        if set(driver.testbeds) != set(report.testbeds):
            on = ", ".join(one_line(testbed, 60) for testbed in driver.testbeds)
            notes.append(f"{name} applies to the testbeds {on or 'none'} only, the run had others")
        others = sorted({check.check for check in driver.checks} - set(expected))
        if others:
            some = ", ".join(one_line(each, 80) for each in others[:_SHOWN])
            notes.append(f"{len(others)} checks of {name} are none of this version's suites: {some}")
    return problems, notes


def _of_driver(report: Report, driver: DriverReport, expected: Mapping[str, tuple[str, ...]]) -> list[str]:
    name = one_line(driver.description.driver, 80)
    if not driver.testbeds or not set(driver.testbeds) <= set(report.testbeds):
        return [f"checks: the report does not say on which of its testbeds {name} was examined"]
    present = {(check.check, check.testbed) for check in driver.checks}
    absent = [f"{check} [{testbed}]" for check in expected for testbed in driver.testbeds
              if (check, testbed) not in present]  # fmt: skip
    problems = []
    told = max(0, driver.deselected) + max(0, driver.unreached)
    if len(absent) > told:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        problems.append(
            f"checks: of {name} {len(absent)} checks are absent, the report says that {told} were left out: "
            f"{', '.join(absent[:_SHOWN])}{more}"
        )
    if len(present) != len(driver.checks):
        problems.append(f"checks: of {name} some checks stand twice for one testbed")
    for check in driver.checks:
        silent = [clause for clause in expected.get(check.check, ()) if clause not in {r.clause for r in check.clauses}]
        if silent and check.outcome is not Outcome.ERROR:
            problems.append(f"checks: {check.check} [{check.testbed}] of {name} says nothing of {', '.join(silent)}")
    return problems[:_SHOWN]
