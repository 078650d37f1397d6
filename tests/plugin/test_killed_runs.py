"""A whole run that is killed leaves a whole report or none."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reports.verification import verify

from .conftest import Certify

POINTS = 50

KILLER = '''
import os
import signal
import sys

pytest_plugins = ["conformance.plugin"]
count, armed = 0, {begin!r} == "start"


def look(event, arguments):
    """Count what the process does to files; die at the chosen one."""
    global count
    if armed and event in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir"):
        count += 1
        if count == {point}:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(look)


def pytest_sessionfinish(session):
    global armed
    armed = True


def pytest_unconfigure(config):
    print("counted", count)
'''


@pytest.mark.long
@pytest.mark.parametrize("begin", ["start", "last check"])
def test_killed_run(certify: Certify, pytester: pytest.Pytester, begin: str) -> None:
    """Killed at 25 drawn accesses to files, a run leaves files of one run, whole."""
    sys.path.insert(0, str(pytester.path))  # the sample's clauses, for `verify`
    certify("--driver", "acme:Good", "--seed", "1")
    directory = Path(pytester.path) / "backend-activity-report"
    shutil.copytree(directory, "first")
    from sample_runner import CLAUSES  # type: ignore[import-not-found]

    def run(point: int) -> subprocess.CompletedProcess[str]:
        (pytester.path / "conftest.py").write_text(KILLER.format(begin=begin, point=point))
        command = [
            sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--check-runner=sample_runner",
            "--check-clauses=sample_runner", "--testbed=sample-sim", "--driver=acme:Fails", "--seed=2", "test_suite.py",
        ]  # fmt: skip
        return subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, timeout=120, check=False)

    ended = run(0)
    total = int(ended.stdout.rpartition("counted ")[2].split()[0])
    dice = random.Random(f"killed runs {begin}")
    for _ in range(POINTS // 2):
        ended = run(dice.randint(1, total))
        assert ended.returncode == -signal.SIGKILL, ended.stdout
        if not (directory / "certificate.json").exists():
            assert len(list(directory.glob("[!.]*.*"))) < 5
            shutil.rmtree(directory)
            shutil.copytree("first", directory)
            continue
        found = verify(directory / "certificate.json", CLAUSES)
        assert not found.problems
        assert found.certificate is not None
        assert found.certificate.seed in (1, 2)
