"""`junit.xml`: one test case for each check that was run, with the element that its outcome calls for.

A failed check holds `<failure>`, one in which the harness broke `<error>`, one that was not applicable, unverifiable or
waived `<skipped>`. A failure of advisory clauses alone is no failure, and is told in `<system-out>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from xml.etree import ElementTree as ET

from harness.results import CheckResult, Outcome, Report
from reports.digest import standing
from reports.text import clean

RUN = "run"
"""The name of the suite that holds errors of the run as a whole."""
OTHERS = "other tests"
"""The name of the suite that holds failed tests that are no checks."""

_LIMIT = 64 << 10
_SKIPPED = (Outcome.NOT_APPLICABLE, Outcome.UNVERIFIABLE, Outcome.WAIVED)


def junit_text(report: Report, others: Sequence[tuple[str, str]] = ()) -> str:
    """The text of `junit.xml`. `others` are failed tests that are no checks, each with its text."""
    root = ET.Element("testsuites", name="backend activity")
    mandatory = {info.id for info in report.clauses if info.mandatory}
    for driver in report.drivers:
        for testbed in dict.fromkeys(check.testbed for check in driver.checks):
            suite = ET.SubElement(root, "testsuite", name=clean(f"{driver.description.driver} on {testbed}"))
            checks = [check for check in driver.checks if check.testbed == testbed]
            for check in checks:
                _case(suite, check, standing(check, mandatory))
            suite.set("time", f"{fsum(check.wall_s for check in checks):.3f}")
    _plain_suite(root, RUN, "error", [(f"error {n}", text) for n, text in enumerate(report.errors, 1)])
    _plain_suite(root, OTHERS, "failure", others)
    return _text(root)


def broken_run_text(errors: Sequence[str]) -> str:
    """The text of `junit.xml` for a run that came to no report: its errors, never an empty file that looks green."""
    root = ET.Element("testsuites", name="backend activity")
    _plain_suite(root, RUN, "error", [(f"error {n}", text) for n, text in enumerate(errors, 1)])
    return _text(root)


def _text(root: ET.Element) -> str:
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in root:
        counts = {"tests": len(suite)}
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            counts[name] = len(suite.findall(f"testcase/{tag}"))
        for name, count in counts.items():
            suite.set(name, str(count))
            totals[name] += count
    for name, count in totals.items():
        root.set(name, str(count))
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, check: CheckResult, outcome: Outcome) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=clean(check.driver), name=clean(check.check), time=f"{check.wall_s:.3f}"
    )
    message = clean(check.message, _LIMIT)
    if outcome is Outcome.FAILED:
        ET.SubElement(case, "failure", message=message, type="failed").text = _told(check)
    elif outcome is Outcome.ERROR:
        ET.SubElement(case, "error", message=message, type="harness error").text = _told(check)
    elif outcome in _SKIPPED:
        ET.SubElement(case, "skipped", message=message, type=outcome.value)
    elif check.outcome is Outcome.FAILED:
        ET.SubElement(case, "system-out").text = f"advisory: {_told(check)}"


def _told(check: CheckResult) -> str:
    lines = [check.message]
    for result in check.clauses:
        if result.outcome in (Outcome.FAILED, Outcome.ERROR):
            lines.append(f"{result.clause}: {result.message}")
            lines += [f"rerun: {result.reproduce}"] if result.reproduce else []
    lines += [f"{f.severity}: {f.found}" for f in check.findings]
    lines += [f"rerun: {check.reproduce}"] if check.reproduce else []
    return clean("\n".join(dict.fromkeys(line for line in lines if line)), _LIMIT)


def _plain_suite(root: ET.Element, name: str, tag: str, cases: Sequence[tuple[str, str]]) -> None:
    if not cases:
        return
    suite = ET.SubElement(root, "testsuite", name=name)
    for title, text in cases:
        case = ET.SubElement(suite, "testcase", classname=name, name=clean(title), time="0")
        ET.SubElement(case, tag, message=clean(text, 1000), type=tag).text = clean(text, _LIMIT)
