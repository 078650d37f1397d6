"""A driver that misbehaves as a program gets a finding; the run ends in time, with a whole report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.results import Report

ROOT = Path(__file__).parents[2]
SELECTED = "(stays_as_it_was and blocking) or progress_and_outcome"
NAMES = ("Spins", "WatchesTheClock", "Exits", "Devours", "Prints", "ExitsPolitely", "AnswersNonsense")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Report]:
    """One run of all misbehaving drivers, on the checks that delete a snapshot or follow an activity."""
    directory = tmp_path_factory.mktemp("report")
    command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-p", "no:cacheprovider", "--check-timeout", "12"]
    command += ["--testbed", "iscsi-sim", "--report", str(directory), "-k", SELECTED]
    for name in NAMES:
        command += ["--driver", f"tests.proof.misbehaving:{name}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    report = Report.model_validate(json.loads((directory / "report.json").read_text(encoding="utf-8")))
    assert (directory / "report.html").stat().st_size > 0
    return ended.returncode, report


def checks_of(report: Report, name: str) -> dict[str, Any]:
    """The results of one driver by check."""
    driver = next(d for d in report.drivers if d.description.driver == name)
    return {check.check: check for check in driver.checks}


def test_report_is_whole(run: tuple[int, Report]) -> None:
    """Each driver is in the report, with a result for each check that was selected, and the run is non-conformant."""
    status, report = run
    assert status == 1
    assert [d.description.driver for d in report.drivers] == list(NAMES)
    for driver in report.drivers:
        assert len(driver.checks) == 2, driver.description.driver


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Spins", "did not return within 12 s"),
        ("WatchesTheClock", "clock"),
        ("Exits", "exit"),
        ("Devours", "memory"),
        ("ExitsPolitely", "SystemExit"),
    ],
)
def test_misbehaviour_fails_its_check_with_a_finding(run: tuple[int, Report], name: str, word: str) -> None:
    """A driver that hangs, exits or takes all memory fails the check that it did it in, and the message says so."""
    check = checks_of(run[1], name)["test_publication_stays_as_it_was[blocking]"]
    told = " ".join([check.message, *(finding.found for finding in check.findings)])
    assert check.outcome == "failed", told
    assert word.lower() in told.lower()


def test_other_checks_of_a_misbehaving_driver_go_on(run: tuple[int, Report]) -> None:
    """What a driver did in one check does not spoil its next one."""
    for name in ("Spins", "WatchesTheClock", "Exits", "Devours", "ExitsPolitely"):
        assert checks_of(run[1], name)["test_progress_and_outcome_are_kept"].outcome == "passed", name


def test_printing_is_advised_against(run: tuple[int, Report]) -> None:
    """A driver that prints to standard output gets an advisory finding and passes all the same."""
    for check in checks_of(run[1], "Prints").values():
        assert check.outcome == "passed"
        assert any("connecting to the array" in finding.found for finding in check.findings)


def test_wrong_type_from_a_hook_fails_its_clause(run: tuple[int, Report]) -> None:
    """A status of a wrong type fails the clause that needs it, and says what was returned."""
    check = checks_of(run[1], "AnswersNonsense")["test_progress_and_outcome_are_kept"]
    assert check.outcome == "failed"
    assert "dict" in check.message
