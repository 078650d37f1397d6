"""The command line: verbs, summaries, exit statuses, messages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.session import ExitCode
from harness import __version__

SAMPLE = Path(__file__).parent.parent / "plugin" / "sample"

Command = Callable[..., subprocess.CompletedProcess[str]]

FAKES = (
    "--suite=test_suite.py",
    "--pytest-option=--check-runner=sample_runner",
    "--pytest-option=--check-clauses=sample_runner",
    "--testbed=sample-sim",
)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `activity-harness` in a directory with the sample suite, in a process of its own."""
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "suite.py").rename(tmp_path / "test_suite.py")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "harness.cli", *arguments]
        return subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    return run


def certify(command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Certify on the sample suite."""
    return command("certify", *FAKES, *arguments)


def test_version(command: Command) -> None:
    """The version is printed, and nothing else."""
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"activity-harness {__version__}\n")


def test_verbs_come_from_entry_points(command: Command, tmp_path: Path) -> None:
    """A verb of another package is there; one that can't be imported is named, and the others work."""
    entries = tmp_path / "sample-1.0.dist-info" / "entry_points.txt"
    entries.write_text("[backend_activity.commands]\nbroken = no_such_module_at_all:verb\ngreet = greeting:greet\n")
    (tmp_path / "greeting.py").write_text('def greet(name: str) -> None:\n    """Greet."""\n    print("hello", name)\n')
    done = command("greet", "world")
    assert (done.returncode, done.stdout) == (0, "hello world\n")
    assert "the verb 'broken' is missing: no_such_module_at_all:verb can't be imported" in done.stderr


def test_certify_good_driver(command: Command, tmp_path: Path) -> None:
    """A good driver's verdict, the report's path and nothing of pytest are printed; the status is 0."""
    done = certify(command, "--driver", "acme:Good")
    assert done.returncode == ExitCode.CONFORMANT, done.stderr
    assert "conformant" in done.stdout
    assert "report: backend-activity-report/report.html" in done.stdout
    assert "test session starts" not in done.stdout
    report = json.loads((tmp_path / "backend-activity-report" / "report.json").read_text())
    assert report["command"].startswith("activity-harness certify --suite=test_suite.py")
    assert (tmp_path / "backend-activity-report" / "junit.xml").exists()


def test_certify_bad_driver(command: Command) -> None:
    """A failed clause is printed with its message and the line that reruns its check."""
    done = certify(command, "--driver", "acme:Fails", "-n", "2")
    assert done.returncode == ExitCode.NON_CONFORMANT
    text = " ".join(done.stdout.split())
    assert "non-conformant" in text
    assert "it did not" in text
    assert "test_suite::test_acts[acme-Fails-sample-sim]" in text


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--driver", "acme:Unverifiable"), ExitCode.INCOMPLETE),
        (("--driver", "acme:Good", "-k", "quiet"), ExitCode.INCOMPLETE),
        (("--driver", "acme:Fails", "-x"), ExitCode.NON_CONFORMANT),
        (("--driver", "acme:Raises"), ExitCode.HARNESS_ERROR),
        (("--driver", "acme:Good", "-k", "no_such_check"), ExitCode.HARNESS_ERROR),
        (("--driver", "acme:Indescribable"), ExitCode.HARNESS_ERROR),
    ],
)
def test_certify_status(command: Command, arguments: tuple[str, ...], status: ExitCode) -> None:
    """The exit status tells the ways in which a run ends apart, and something is said in each case."""
    done = certify(command, *arguments)
    assert done.returncode == status
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--driver", "nobody"), "ERROR: --driver nobody: no driver 'nobody' is registered"),
        (("--driver", "acme:Unloadable"), "ERROR: --driver acme:Unloadable: there is no such class; write one"),
        (("--attributes", "absent.toml"), "ERROR: --attributes absent.toml: "),
        (
            ("--report", "test_suite.py/below"),
            "ERROR: --report test_suite.py/below: the report can't be written there: ",
        ),
    ],
)
def test_certify_usage_error(command: Command, arguments: tuple[str, ...], said: str) -> None:
    """What can't be used is said in one line, and the status is 4."""
    done = certify(command, *arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE_ERROR, "")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(said)


def test_inspect_reference(command: Command) -> None:
    """The bundled driver's attributes and what the harness will do for each method are printed."""
    done = command("inspect", "reference")
    assert done.returncode == 0, done.stderr
    for word in ("handle_scope", "create_snapshot", "invoke without", "because"):
        assert word in done.stdout


def test_inspect_attributes_only(command: Command) -> None:
    """With --attributes the methods are left out."""
    done = command("inspect", "reference", "--attributes")
    assert "handle_scope" in done.stdout
    assert "because" not in done.stdout


def test_inspect_publication(command: Command, tmp_path: Path) -> None:
    """A publication file with a mistake is shown with the finding and the default that applies; the status is 1."""
    (tmp_path / "thin.toml").write_text('[backend_activity_attributes]\nhandle_scope = "unrestrictet"\n')
    done = command("inspect", "thin.toml")
    assert done.returncode == ExitCode.NON_CONFORMANT
    assert "violation A-9" in done.stdout
    assert "did you mean 'unrestricted'?" in done.stdout
    assert "connection-specific" in done.stdout


def test_inspect_as_json(command: Command) -> None:
    """With --json the description is one JSON document."""
    described = json.loads(command("inspect", "reference", "--json").stdout)
    assert described["driver"] == "ReferenceDriver"
    assert described["methods"]


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("acme:DeadAtSetup", ExitCode.NON_CONFORMANT, "exit code 5"),
        ("acme:RaisesAtSetup", ExitCode.NON_CONFORMANT, "Array.do_setup: raised RuntimeError: no array"),
        ("acme:Unloadable", ExitCode.USAGE_ERROR, "ERROR: --driver acme:Unloadable: there is no such class"),
        ("acme:Indescribable", ExitCode.HARNESS_ERROR, "ERROR: harness error: --driver acme:Indescribable"),
        ("absent.json", ExitCode.USAGE_ERROR, "ERROR: --attributes absent.json"),
    ],
)
def test_inspect_what_cannot_be_described(command: Command, target: str, status: ExitCode, said: str) -> None:
    """A driver that dies is described by that; what can't be loaded is a usage error, our own failure neither."""
    done = command("inspect", target, "--runner=sample_runner", "--testbed=sample-sim")
    assert done.returncode == status
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [["no-such-verb"], ["inspect"], ["inspect", "reference", "--no-such-option"]])
def test_unusable_command_line_ends_with_status_4(arguments: list[str]) -> None:
    """A verb or option that does not exist, or a missing argument, is a usage error as every other one."""
    command = [sys.executable, "-m", "harness.cli", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 4
    assert "Error" in ended.stderr
