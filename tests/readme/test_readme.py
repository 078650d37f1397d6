"""What the README tells its readers to do works, with the files that it shows and no others."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.tgt.testbed import TgtTestbed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of that language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every command line of the README."""
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def sequences() -> list[list[str]]:
    """The commands run together: those of one block, where one builds on what another wrote; else each alone."""
    found = []
    for block in blocks("sh"):
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith("make ")]
        together = any(re.match(r"activity-harness (verify|compare|pages) ", line) for line in lines)
        found += [lines] if together else [[line] for line in lines]
    return found


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A reader's directory: the suites of this repository, and the files that the README shows."""
    (tmp_path / "conformance").symlink_to(ROOT / "conformance")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (driver,) = blocks("python")
    (tmp_path / "acme_driver.py").write_text(driver, encoding="utf-8")
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def files() -> dict[str, str]:
    """The TOML files that the README shows, by the name that stands last before each."""
    found = {}
    for match in re.finditer(r"^```toml\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE):
        name = re.findall(r"`(\w+\.toml)`", README[: match.start()])[-1]
        assert name not in found, f"{name} is shown twice"
        found[name] = match.group(1)
    return found


def expected_status(command: str) -> int:
    """0, but 6 (incomplete) for a command that leaves checks out."""
    return 6 if " -k " in command else 0


def cases() -> list[Any]:
    """The sequences; those whose first command is much like that of another one are left to `make test-all`."""
    longer = re.compile(r"--pyargs|--signers|activity-harness (compare|pages)|--testbed (tgt|ganesha)")
    return [
        pytest.param(lines, id=lines[-1], marks=[pytest.mark.long] if longer.search(lines[-1]) else [])
        for lines in sequences()
    ]


@pytest.mark.parametrize("together", cases())
def test_command_does_what_the_readme_says(together: list[str], reader: Path) -> None:
    """Each command of the README ends with the exit status that the README gives for it."""
    if any(line.startswith("ssh-keygen") for line in together) and shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    for bed in (TgtTestbed, GaneshaTestbed):
        if any(f"--testbed {bed.name}" in line for line in together) and (lacks := bed.missing()):
            pytest.skip(lacks)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    environment["PYTHONPATH"] = str(reader)
    # the programs of this virtual environment, whatever PATH says
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    for command in together:
        ended = subprocess.run(
            ["sh", "-c", command],
            cwd=reader,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
        assert ended.returncode == expected_status(command), f"{command}\n{ended.stdout[-3000:]}{ended.stderr[-1000:]}"
        words = shlex.split(command)
        if words[0] == "pytest" or words[:2] == ["activity-harness", "certify"]:
            report = words[words.index("--report") + 1] if "--report" in words else "backend-activity-report"
            for name in ("report.html", "report.json", "junit.xml", "certificate.json", "badge.json"):
                assert (reader / report / name).stat().st_size > 0


def workflow() -> dict[str, Any]:
    """The README's workflow for GitHub Actions."""
    (text,) = blocks("yaml")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def run_step(name: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the workflow as GitHub does, with programs that `directory` has in bin/ before all others."""
    (step,) = [step for step in workflow()["jobs"]["certify"]["steps"] if step.get("name") == name]
    path = os.pathsep.join([str(directory / "bin"), os.environ.get("PATH", os.defpath)])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=directory, env=os.environ | workflow()["env"] | environment | {"PATH": path},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A machine whose pip and activity-harness only write down how they were called, and end with status $STATUS."""
    (tmp_path / "bin").mkdir()
    for name in ("pip", "activity-harness"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/called"\nexit "$STATUS"\n', encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


def test_workflow_of_the_readme_is_bounded_and_says_what_to_fill_in(runner: Path) -> None:
    """The workflow ends by itself, refuses to install the placeholder, and installs what is put in its place."""
    assert 1 <= workflow()["jobs"]["certify"]["timeout-minutes"] <= 60
    refused = run_step("Install", runner, STATUS="0")
    assert refused.returncode == 1 and "HARNESS is not filled in" in refused.stdout
    assert not (runner / "called").exists()
    assert run_step("Install", runner, STATUS="0", HARNESS="./harness.whl").returncode == 0
    assert (runner / "called").read_text() == "pip install ./harness.whl .\n"


@pytest.mark.parametrize(("status", "ended"), [(0, 0), (1, 0), (6, 0), (3, 3), (4, 4)])
def test_workflow_of_the_readme_leaves_verdicts_to_the_comparison(runner: Path, status: int, ended: int) -> None:
    """A run with a verdict goes on to the comparison; one that went wrong ends the job with its own status."""
    assert run_step("Certify", runner, STATUS=str(status)).returncode == ended
    assert "--report report" in (runner / "called").read_text()


def test_workflow_of_the_readme_gates_once_there_is_a_baseline(runner: Path) -> None:
    """Without a baseline the job passes and says what to commit; with one it ends as the comparison does."""
    first = run_step("Compare", runner, STATUS="8")
    assert first.returncode == 0 and "commit report.json of this run as certified/report.json" in first.stdout
    (runner / "certified").mkdir()
    (runner / "certified" / "report.json").write_text("{}")
    assert run_step("Compare", runner, STATUS="8").returncode == 8
    assert (runner / "called").read_text() == "activity-harness compare certified/report.json report/report.json\n"


def test_workflow_of_the_readme_uses_options_that_exist() -> None:
    """Each line of the README's workflow that runs the program names a verb and options that the program has."""
    steps = workflow()["jobs"]["certify"]["steps"]
    lines = re.findall(r"^ *(activity-harness [^|\n]*)", "\n".join(step.get("run", "") for step in steps), re.MULTILINE)
    assert len(lines) == 2
    program = Path(sys.executable).with_name("activity-harness")
    for line in lines:
        words = shlex.split(line)
        told = subprocess.run(
            [str(program), words[1], "--help"], capture_output=True, text=True, timeout=60, check=True,
            env=os.environ | {"COLUMNS": "200"},
        ).stdout  # fmt: skip
        for option in words[2:]:
            assert not option.startswith("--") or option in told


def test_waivers_of_the_readme_can_be_read(reader: Path) -> None:
    """The waivers that the README shows are ones that the program takes."""
    from conformance.clauses import CLAUSES
    from conformance.waivers import read_waivers

    (found,) = read_waivers(str(reader / "acme_waivers.toml"), CLAUSES)
    assert (found.clause, found.expires) == ("Q-9", "2027-06-30")


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_make_target_exists(command: str) -> None:
    """Each make target of the README exists; CI runs them."""
    words = shlex.split(command)
    dry = subprocess.run(
        [words[0], "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert dry.returncode == 0, dry.stderr


def test_driver_of_the_readme_is_short() -> None:
    """The driver that the README shows has fewer than 100 lines."""
    (driver,) = blocks("python")
    assert len(driver.splitlines()) < 100


def test_readme_lists_the_clauses_without_a_check() -> None:
    """The README says that every clause has a check, or names exactly those of which this version has none."""
    from conformance.clauses import CLAUSES

    told = re.search(r"listed as such and do not count: ([^.]*)\.", README)
    unchecked = [clause.id for clause in CLAUSES.values() if not clause.checked]
    assert (told.group(1).split(", ") if told is not None else []) == unchecked
    assert ("Every clause of the specification has a check" in README) is (not unchecked)


def test_readme_documents_every_exit_status() -> None:
    """The README's table of exit statuses has a row for each one that the program has."""
    from conformance.session import ExitCode

    told = {int(number) for number in re.findall(r"^\| (\d) \|", README, flags=re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}


def test_links_lead_somewhere() -> None:
    """Each relative link of the README leads to a file that exists."""
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
