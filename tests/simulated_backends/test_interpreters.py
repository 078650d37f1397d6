"""A run is the same on every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import TESTBEDS

SCRIPT = Path(__file__).with_name("busy_run.py")
ROOT = SCRIPT.parents[2]
NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")


def ask(python: str, *arguments: str) -> str | None:
    """What an interpreter prints, with this repository's packages; None if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def interpreters() -> dict[str, str]:
    """This interpreter and those on PATH that can import what a run needs, by version, from 3.11 on."""
    found = {}
    for python in (sys.executable, *filter(None, map(shutil.which, NAMES))):
        version = ask(python, "-c", "import sys, numpy, simpy, greenlet; print('%d.%d' % sys.version_info[:2])")
        if version is not None and tuple(map(int, version.split("."))) >= (3, 11):
            found.setdefault(version, python)
    return found


@pytest.mark.parametrize("name", sorted(TESTBEDS))
def test_the_digest_is_the_same_on_every_python(name: str) -> None:
    """A busy run has one digest on all interpreters on PATH; skipped where there is only one with what a run needs."""
    found = interpreters()
    if len(found) < 2:
        pytest.skip(f"only Python {', '.join(found)} on PATH has what a run needs (numpy, simpy, greenlet)")
    digests = {version: ask(python, str(SCRIPT), name, "7") for version, python in found.items()}
    assert None not in digests.values(), digests
    assert len(set(digests.values())) == 1, digests
