"""What the README tells its readers to do works, with the files that it shows and no others."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of that language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every command line of the README."""
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A reader's directory: the suites of this repository, and the files that the README shows."""
    (tmp_path / "conformance").symlink_to(ROOT / "conformance")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (driver,) = blocks("python")
    (tmp_path / "acme_driver.py").write_text(driver, encoding="utf-8")
    (publication,) = blocks("toml")
    (tmp_path / "acme_attributes.toml").write_text(publication, encoding="utf-8")
    return tmp_path


def expected_status(command: str) -> int:
    """0, but 6 (incomplete) for a command that leaves checks out."""
    return 6 if " -k " in command else 0


@pytest.mark.parametrize("command", [c for c in commands() if not c.startswith("make ")])
def test_command_does_what_the_readme_says(command: str, reader: Path) -> None:
    """Each command of the README ends with the exit status that the README gives for it."""
    words = shlex.split(command)
    # the program of this virtual environment, whatever PATH says
    program = Path(sys.executable).with_name(words[0])
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    environment["PYTHONPATH"] = str(reader)
    ended = subprocess.run(
        [str(program), *words[1:]],
        cwd=reader,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    assert ended.returncode == expected_status(command), ended.stdout[-3000:] + ended.stderr[-1000:]
    if "inspect" not in command:
        report = words[words.index("--report") + 1] if "--report" in words else "backend-activity-report"
        for name in ("report.html", "report.json", "junit.xml"):
            assert (reader / report / name).stat().st_size > 0


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
    """The README names exactly the clauses of which this version has no check."""
    from conformance.clauses import CLAUSES

    told = re.search(r"listed as such and do not count: ([^.]*)\.", README)
    assert told is not None
    assert told.group(1).split(", ") == [clause.id for clause in CLAUSES.values() if not clause.checked]


def test_readme_documents_every_exit_status() -> None:
    """The README's table of exit statuses has a row for each one that the program has."""
    from conformance.session import ExitCode

    told = {int(number) for number in re.findall(r"^\| (\d) \|", README, flags=re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}


def test_links_lead_somewhere() -> None:
    """Each relative link of the README leads to a file that exists."""
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
