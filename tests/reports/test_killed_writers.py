"""A process that is killed while it writes a report leaves whole files of one run."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from certified import TABLE, small_report

import reports.files
from reports.files import report_texts, write_all
from reports.verification import verify

POINTS = 50

Texts = dict[str, str]


@pytest.fixture(scope="module")
def runs() -> tuple[Texts, Texts]:
    """The files of two runs that differ in all of them."""
    first, second = small_report(), small_report()
    second.seed, second.drivers[0].description.driver = 2, "another"
    return report_texts(first), report_texts(second)


def _lines(act: Callable[[], object], stop_at: int | None = None) -> int:
    """Count the lines of `reports/files.py` that `act` runs; with `stop_at`, die by SIGKILL before that one."""
    count = 0

    def look(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != reports.files.__file__:
            return None
        if event == "line":
            count += 1
            if count == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return look

    sys.settrace(look)
    try:
        act()
    finally:
        sys.settrace(None)
    return count


def _killed(act: Callable[[], object], stop_at: int) -> None:
    """Run `act` in a child process that is killed at a line."""
    child = os.fork()
    if child == 0:
        try:
            _lines(act, stop_at)
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _state(directory: Path, runs: tuple[Texts, Texts]) -> str:
    """Whose files are there under their own names: "old", "new" or "none"; fails where one is half, or runs mix."""
    found = {path.name: path.read_text() for path in directory.iterdir() if not path.name.startswith(".")}
    for name, texts in zip(("old", "new"), runs, strict=True):
        if found and all(texts.get(file) == text for file, text in found.items()):
            if "certificate.json" in found:
                assert len(found) == len(texts)
                assert not verify(directory / "certificate.json", TABLE).problems
            return name
    assert not found, f"half or mixed: {sorted(found)}"
    return "none"


@pytest.mark.parametrize("before", [True, False], ids=["over a report", "for the first time"])
def test_killed_at_fifty_points(tmp_path: Path, runs: tuple[Texts, Texts], before: bool) -> None:
    """Killed at 50 drawn lines of its writing, a run leaves the last run's files or its own, whole and never mixed.

    What the killed ones left beside them under other names is gone after the next run.
    """

    def prepare(name: str) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        if before:
            write_all(directory, runs[0])
        return directory

    whole = prepare("whole")
    total = _lines(lambda: write_all(whole, runs[1]))
    dice = random.Random(20270630)
    seen = set()
    for number in range(POINTS):
        directory = prepare(f"killed-{number}")
        point = dice.randint(1, total)
        _killed(lambda directory=directory: write_all(directory, runs[1]), point)
        seen.add(_state(directory, runs))
        write_all(directory, runs[1])
        assert _state(directory, runs) == "new"
        assert len(list(directory.iterdir())) == len(runs[1])
    assert seen == ({"old", "new"} if before else {"none", "new"})
