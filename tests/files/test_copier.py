"""The copying process by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.real_targets.backing.medium import data_extents
from harness.real_targets.backing.transfer import COPIER

SIZE = 1 << 24


def start(source: Path, target: Path, duration_ns: int, steps: int = 16) -> subprocess.Popen[bytes]:
    """Start a copying process."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(COPIER), str(source), str(target), str(SIZE), str(duration_ns), str(steps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for the end with standard input still open, and return what is on standard error."""
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    with process.stdin, process.stdout, process.stderr:
        process.stdout.read()
        complaint = process.stderr.read()
        process.wait()
    return complaint


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    """A sparse source with data at its beginning and near its end, and an empty target of the same size."""
    source, target = tmp_path / "source", tmp_path / "target"
    for path in (source, target):
        path.touch()
        os.truncate(path, SIZE)
    with source.open("r+b") as file:
        file.write(b"a" * 8192)
        file.seek(SIZE - 4096)
        file.write(b"z" * 4096)
    return source, target


def test_copies_data_and_leaves_holes(paths: tuple[Path, Path]) -> None:
    """The target has the source's bytes, and data only where the source has some."""
    process = start(*paths, duration_ns=0)
    finish(process)
    assert process.returncode == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with paths[1].open("rb") as file:
        assert list(data_extents(file.fileno(), 0, SIZE)) == [(0, 8192), (SIZE - 4096, 4096)]


def test_position_never_runs_ahead_of_the_pace(paths: tuple[Path, Path]) -> None:
    """At each report the share of the bytes is at most the share of the time; the last report is the whole."""
    duration_ns = 200_000_000
    began = time.monotonic_ns()
    process = start(*paths, duration_ns=duration_ns)
    assert process.stdout is not None
    positions = []
    for line in process.stdout:
        elapsed = time.monotonic_ns() - began
        positions.append(int(line))
        assert positions[-1] / SIZE <= elapsed / duration_ns
    finish(process)
    assert positions == sorted(set(positions)) and len(positions) == 16
    assert positions[-1] == SIZE


def test_ends_when_its_standard_input_closes(paths: tuple[Path, Path]) -> None:
    """A process that has an hour's work ahead ends at once when whoever started it is gone."""
    process = start(*paths, duration_ns=3600 * 10**9)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 3


def test_failure_is_a_status_and_a_reason(paths: tuple[Path, Path]) -> None:
    """A source that is not there ends the process with status 1 and the reason on standard error."""
    process = start(paths[0].with_name("missing"), paths[1], duration_ns=0)
    complaint = finish(process)
    assert process.returncode == 1
    assert b"missing" in complaint
