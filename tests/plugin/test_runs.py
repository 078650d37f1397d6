"""How a run is asked for, cut short and shared out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.session import ExitCode

from .conftest import Certify

ROOT = Path(__file__).parents[2]


def _comparable(driver: dict[str, Any]) -> dict[str, Any]:
    for check in driver["checks"]:
        del check["wall_s"]
    return driver


def test_parallel_gives_the_same(certify: Certify) -> None:
    """Two workers give the same report as none, crashes included."""
    alone = certify("--driver", "acme:Exits", "-n", "0")
    shared = certify("--driver", "acme:Exits", "-n", "2")
    assert (shared.status, _comparable(shared.driver)) == (alone.status, _comparable(alone.driver))


def test_default_driver_in_parallel(certify: Certify, pytester: pytest.Pytester) -> None:
    """Workers are found to have run checks even where no option told so beforehand."""
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    text = (pytester.path / "sample-1.0.dist-info" / "entry_points.txt").read_text()
    for name in ("iscsi-sim", "nfs-sim", "files"):
        text += f"{name} = sample_lab:Simulated\n"
    (pytester.path / "sample-1.0.dist-info" / "entry_points.txt").write_text(text)
    run = certify("-n", "2", testbed="")
    assert (run.status, run.driver["verdict"]) == (ExitCode.CONFORMANT, "consistent")
    assert len(run.driver["checks"]) == 15


@pytest.mark.parametrize("workers", ["0", "2"])
def test_deselected_checks(certify: Certify, workers: str) -> None:
    """Checks that -k left out make a passing run incomplete, with their number."""
    run = certify("--driver", "acme:Good", "-k", "not large", "-n", workers)
    assert (run.status, run.driver["verdict"]) == (ExitCode.INCOMPLETE, "incomplete")
    assert "1 checks were deselected" in run.driver["reasons"]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_stopping_at_the_first_failure(certify: Certify, workers: str) -> None:
    """With -x the rest is not reached, which the report counts; the status is that of the failure."""
    run = certify("--driver", "acme:Fails", "-x", "-n", workers)
    assert run.status == ExitCode.NON_CONFORMANT
    assert any("were not reached" in reason for reason in run.driver["reasons"])


def test_nothing_selected(certify: Certify) -> None:
    """A certification without a single check is a harness error and leaves no report."""
    run = certify("--driver", "acme:Good", "-k", "no_such_check")
    assert (run.status, run.report) == (ExitCode.HARNESS_ERROR, None)
    assert "no check was run" in run.text


def test_suite_that_does_not_import(certify: Certify, pytester: pytest.Pytester) -> None:
    """A suite that can't be collected is a harness error."""
    (pytester.path / "test_suite.py").write_text("import no_such_module_at_all\n")
    assert certify("--driver", "acme:Good").status == ExitCode.HARNESS_ERROR


def test_check_that_fails_in_setup(certify: Certify, pytester: pytest.Pytester) -> None:
    """A fixture that fails keeps the check from running: a harness error, whatever else passed."""
    (pytester.path / "conftest.py").write_text(
        'import pytest\npytest_plugins = ["conformance.plugin"]\n\n'
        "@pytest.fixture(autouse=True)\ndef broken(request):\n"
        "    assert 'quiet' not in request.node.name, 'no such luck'\n"
    )
    run = certify("--driver", "acme:Good")
    assert (run.status, run.driver["verdict"]) == (ExitCode.HARNESS_ERROR, "harness error")
    assert any("no such luck" in error for error in run.report["errors"])  # type: ignore[index]


def test_other_tests_are_left_alone(certify: Certify, pytester: pytest.Pytester) -> None:
    """Tests that are no checks run as ever: no report, no status, no section of ours."""
    run = certify(suite=("test_other.py",), testbed="")
    assert (run.status, run.report) == (0, None)
    assert "backend activity" not in run.text
    assert not (pytester.path / "backend-activity-report").exists()


def test_other_failures_count(certify: Certify, pytester: pytest.Pytester) -> None:
    """Failed tests beside passing checks don't vanish behind a good verdict."""
    (pytester.path / "test_other.py").write_text("def test_other():\n    assert False\n")
    run = certify("--driver", "acme:Good", suite=("test_suite.py", "test_other.py"))
    assert (run.status, run.driver["verdict"]) == (ExitCode.NON_CONFORMANT, "conformant")


def test_junit(certify: Certify, pytester: pytest.Pytester) -> None:
    """pytest's own JUnit file lies beside the report, with a failure element for a failed check."""
    certify("--driver", "acme:Fails")
    text = (pytester.path / "backend-activity-report" / "junit.xml").read_text()
    assert '<failure message="' in text
    assert "D-1: it did not" in text


def test_report_names_the_command(certify: Certify) -> None:
    """The report holds the seed, the testbeds and the command line."""
    run = certify("--driver", "acme:Good", "--seed", "9", "--testbed", "sample-real")
    assert run.report is not None
    assert (run.report["seed"], run.report["testbeds"]) == (9, ["sample-sim", "sample-real"])
    assert run.report["command"].startswith("pytest ")
    assert run.report["command"].endswith("--driver acme:Good --seed 9 --testbed sample-real")
    assert len(run.driver["checks"]) == 10


def test_schedule_is_replayed(certify: Certify, pytester: pytest.Pytester) -> None:
    """A schedule runs the check that it is of, with its seed and choices, and no other."""
    schedule = {"schema": "backend-activity/schedule/1", "seed": 5, "check": "test_suite:test_sizes[small]",
                "choices": {"n": 3}, "faults": []}  # fmt: skip
    (pytester.path / "saved.json").write_text(json.dumps(schedule))
    run = certify("--driver", "acme:Good", "--schedule", "saved.json")
    assert list(run.outcomes()) == ["test_sizes[small] on sample-sim"]
    result = run.check("test_sizes[small]")
    assert (result["seed"], result["schedule"]["choices"]) == (5, {"n": 3})
    assert result["reproduce"].endswith("--seed 5 --schedule saved.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--testbed", "sample-sym"), "--testbed sample-sym: there is no such testbed; did you mean 'sample-sim'?"),
        (("--testbed", "sample-broken"), "--testbed sample-broken: sample_lab_that_does_not_exist:Testbed can't be"),
        (("--driver", "./driver.py"), "--driver ./driver.py: "),
        (("--driver", "acme:Unloadable"), "--driver acme:Unloadable: there is no such class; write one"),
        (("--attributes", "absent.toml"), "--attributes absent.toml: "),
        (("--driver-config", "x.toml"), "--driver-config x.toml has no driver to go to"),
        (("--driver", "acme:Good", "--driver-config", "absent.toml"), "absent.toml"),
        (("--schedule", "absent.json"), "--schedule absent.json: there is no such file"),
        (("--schedule", "test_suite.py"), "--schedule test_suite.py: not a schedule"),
        (
            ("--schedule", "binary.json"),
            "--schedule binary.json: it is not UTF-8: byte 0 is 0x80; name a JSON file that",
        ),
        (("--schedule", "seed.json"), "--schedule seed.json: not a schedule: 'seed' must be an integer"),
        (
            ("--schedule", "choice.json"),
            "--schedule choice.json: the choice 'a' is true; it must be a number or a text",
        ),
        (("--report", "test_suite.py"), "--report test_suite.py: that is a file"),
        (("--report", "test_suite.py/below"), "--report test_suite.py/below: the report can't be written there: Not a"),
        (("--report", "/proc/self/report"), "--report /proc/self/report: the report can't be written there: "),
        (("--driver", "acme_driver.py"), "write it as 'acme_driver:Class'"),
        (("--driver", "reference", "--driver-config", "three.toml"), "three.toml: option 'publication' is no table"),
        (
            ("--driver", "acme:Good", "--driver-config", "bed.toml", "--testbed", "sample-real"),
            "--driver acme:Good --driver-config bed.toml: the testbed sample-real does not take",
        ),
        (("--check-timeout", "0"), "--check-timeout 0: give a number"),
    ],
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_usage_errors(
    certify: Certify, pytester: pytest.Pytester, arguments: tuple[str, ...], said: str, workers: str
) -> None:
    """What can't be used is said in one line before anything runs, and the status is 4."""
    schedule = {"schema": "backend-activity/schedule/1", "seed": 5, "check": "", "choices": {}}
    (pytester.path / "binary.json").write_bytes(b"\x80\x81")
    (pytester.path / "seed.json").write_text(json.dumps(schedule | {"seed": True}))
    (pytester.path / "choice.json").write_text(json.dumps(schedule | {"choices": {"a": True}}))
    (pytester.path / "three.toml").write_text("publication = 3\n")
    (pytester.path / "bed.toml").write_text("[testbed]\nspeed = 1\n")
    run = certify(*arguments, "-n", workers)
    assert (run.status, run.report) == (ExitCode.USAGE_ERROR, None)
    (line,) = [line for line in run.text.splitlines() if line.startswith("ERROR: ")]
    assert said in line
    assert "Traceback" not in run.text


@pytest.mark.parametrize("workers", ["0", "2"])
def test_schedule_that_does_not_fit(certify: Certify, pytester: pytest.Pytester, workers: str) -> None:
    """A choice that turns out not to fit when the check asks for it is a usage error, not the harness's."""
    schedule = {"schema": "backend-activity/schedule/1", "seed": 5, "check": "test_suite:test_acts",
                "choices": {"user": "x"}}  # fmt: skip
    (pytester.path / "saved.json").write_text(json.dumps(schedule))
    run = certify("--driver", "acme:Misfit", "--schedule", "saved.json", "-n", workers)
    assert (run.status, run.report) == (ExitCode.USAGE_ERROR, None)
    assert "ERROR: --schedule saved.json: the choice 'user' is \"x\"; it must be a whole number" in run.text


def test_nothing_is_made_for_what_writes_no_report(certify: Certify, pytester: pytest.Pytester) -> None:
    """A run that only lists the checks makes no directory for a report."""
    assert certify("--driver", "acme:Good", "--collect-only").status == 0
    assert not (pytester.path / "backend-activity-report").exists()


def test_description_that_fails(certify: Certify) -> None:
    """A driver that the harness fails to describe is a harness error."""
    run = certify("--driver", "acme:Indescribable")
    assert (run.status, run.report) == (ExitCode.HARNESS_ERROR, None)
    assert "the harness stumbled" in run.text


@pytest.mark.parametrize(("beside", "is_imported"), [((), False), (("tests/contract/test_binding.py",), True)])
def test_hypothesis_is_left_out_where_only_checks_are_asked_for(beside: tuple[str, ...], is_imported: bool) -> None:
    """A run of nothing but checks never imports Hypothesis; beside other tests its plugin is left alone."""
    command = [sys.executable, "-X", "importtime", "-m", "pytest", "conformance/test_stalls.py", *beside]
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", "--driver", "reference", "--testbed", "iscsi-sim"]
    ended = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert ("hypothesis.core" in ended.stderr) is is_imported
