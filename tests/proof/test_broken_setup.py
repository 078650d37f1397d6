"""A driver that can't be set up is non-conformant, with a whole report; what the user got wrong is a usage error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.suite import cases
from harness.loading import CandidateSpec
from harness.reference_driver import ReferenceDriver
from harness.results import DriverReport, Report

from .support import cell, failed_clauses
from .support import run as run_check

ROOT = Path(__file__).parents[2]


class NoLicence(BaseException):
    """What a driver may raise that is no Exception."""


class RaisesInInit(ReferenceDriver):
    """Raises when it is made."""

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        raise RuntimeError("no array")


class RaisesInSetup(ReferenceDriver):
    """Raises no Exception in do_setup."""

    def do_setup(self, context: Any) -> None:
        """Give up."""
        raise NoLicence("no licence")


class RaisesInCheck(ReferenceDriver):
    """Raises in check_for_setup_error."""

    def check_for_setup_error(self) -> None:
        """Find fault."""
        raise ValueError("no pool")


class RaisesSystemExit(ReferenceDriver):
    """Raises SystemExit in do_setup."""

    def do_setup(self, context: Any) -> None:
        """Leave."""
        raise SystemExit(0)


class OtherConstructor(ReferenceDriver):
    """Its constructor wants something else."""

    def __init__(self, array: str) -> None:
        self.array = array


class LacksSetup:
    """Has no do_setup."""

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        self.host = host


class RaisingPublication(ReferenceDriver):
    """Its publication raises."""

    @property
    def backend_activity_attributes(self) -> Any:
        """Fail."""
        raise LookupError("not yet")


HERE = "tests.proof.test_broken_setup"
TOLD = {
    "RaisesInInit": "RaisesInInit.__init__: raised RuntimeError: no array (" + __file__ + ", line ",
    "RaisesInSetup": "RaisesInSetup.do_setup: raised NoLicence: no licence (" + __file__ + ", line ",
    "RaisesInCheck": "RaisesInCheck.check_for_setup_error: raised ValueError: no pool (" + __file__ + ", line ",
    "RaisesSystemExit": "SystemExit",
    "OtherConstructor": "OtherConstructor.__init__: raised TypeError: ",
    "LacksSetup": "LacksSetup has no method do_setup",
    "RaisingPublication": "raised LookupError: 'not yet'",
    "int": "int.__init__: raised TypeError: ",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Report]:
    """One run of all these drivers, and of one that is good, on a handful of checks."""
    directory = tmp_path_factory.mktemp("report")
    targets = ["builtins:int" if name == "int" else f"{HERE}:{name}" for name in TOLD]
    ended = certify(directory, *(f"--driver={target}" for target in [*targets, f"{HERE}:ReferenceDriver"]))
    assert "Traceback" not in ended.stderr
    return ended.returncode, Report.model_validate(json.loads((directory / "report.json").read_text(encoding="utf-8")))


def certify(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the suites' checks of publications in a process of its own."""
    command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-p", "no:cacheprovider", "--testbed=iscsi-sim"]
    command += [f"--report={directory}", "-k", "test_publication_", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


def of(report: Report, name: str) -> DriverReport:
    """One driver's part of the report."""
    return next(d for d in report.drivers if d.description.driver == name)


@pytest.mark.parametrize("name", TOLD)
def test_driver_with_a_broken_setup_is_non_conformant(broken: tuple[int, Report], name: str) -> None:
    """What the driver raised, and where, is a violation; its checks have run and fail by themselves."""
    status, report = broken
    driver = of(report, name)
    assert status == 1
    assert driver.verdict == "non-conformant", driver.reasons
    violations = [f.found for f in driver.description.findings if f.severity == "violation"]
    assert any(TOLD[name] in found for found in violations), violations
    assert len(driver.checks) == len(of(report, "ReferenceDriver").checks) > 0
    assert not [check.message for check in driver.checks if check.outcome == "error"]


def test_driver_beside_broken_ones_keeps_its_results(broken: tuple[int, Report]) -> None:
    """A good driver in the same run passes all of its checks."""
    good = of(broken[1], "ReferenceDriver")
    assert {check.outcome for check in good.checks} <= {"passed", "not applicable"}


def test_testbed_options_take_effect(tmp_path: Path) -> None:
    """With snapshots that depend on their volume, a replica on iscsi-sim keeps a hidden anchor, and R-8 tells of it."""
    config = tmp_path / "array.toml"
    anchored = {}
    case = next(c for c in cases("R-8") if "migrate" not in c.name and "other family" in c.name)
    for depend in ("true", "false"):
        config.write_text(f"[testbed]\nsnapshots_depend_on_volume = {depend}\n")
        with cell() as where:
            result = run_check(where, CandidateSpec.for_driver("reference", config), case, "iscsi-sim", 1)
        assert not failed_clauses([result])
        anchored[depend] = any("hidden anchor was kept" in finding.found for finding in result.findings)
    assert anchored == {"true": True, "false": False}


@pytest.mark.parametrize(
    ("testbed", "line", "said"),
    [
        ("iscsi-sim", "snapshot_depends_on_volume = true", "did you mean 'snapshots_depend_on_volume'?"),
        ("files", "whole_copy = 1", "did you mean 'whole_copy_s'?"),
        ("iscsi-sim", "settle_ns = 'x'", "settle_ns must be int, not 'x'"),
        ("files", "whole_copy_s = 'x'", "whole_copy_s is a number of seconds, not 'x'"),
        ("files", "directory = '/no/such/place'", "No such file or directory: '/no/such/place"),
    ],
)
def test_option_that_a_testbed_does_not_take(tmp_path: Path, testbed: str, line: str, said: str) -> None:
    """An option that is unknown or ill-typed is a usage error that names it, the testbed and a name that is near."""
    config = tmp_path / "array.toml"
    config.write_text(f"[testbed]\n{line}\n")
    program = [sys.executable, "-m", "harness.cli", "inspect", "reference"]
    program += ["--testbed", testbed, "--driver-config", str(config)]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 4, ended.stderr
    (told,) = ended.stderr.strip().splitlines()
    assert f"the testbed {testbed} does not take the options of the table [testbed]" in told
    assert line.partition(" ")[0] in told
    assert said in told


def test_saved_choice_that_does_not_fit_is_a_usage_error(tmp_path: Path) -> None:
    """A schedule whose choice has another type than the check asks for is refused, with the choice's name."""
    case = next(cases("A-2"))
    saved = tmp_path / "saved.json"
    schedule = {"schema": "backend-activity/schedule/1", "seed": 1, "choices": {"user": "x"}, "faults": []}
    saved.write_text(json.dumps({**schedule, "check": f"{case.module}:{case.name}"}))
    command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-p", "no:cacheprovider", "--testbed=iscsi-sim"]
    command += [f"--report={tmp_path}", f"--schedule={saved}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 4, ended.stdout
    assert f"--schedule {saved}: the choice 'user' is \"x\"; it must be a whole number" in ended.stderr
