"""The journal of a sweep: finished runs as lines of JSON, appended as they come; what a killed sweep goes on from.

The first line names the sweep that it belongs to; each further one has the CRC-32 of what follows it, and then
`[number of the run, its row]`. A line that was cut off when the machine or the process died is not whole, so it does
not count, and is cut away before anything is appended. A lock keeps a second process from writing to the same journal.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import Any

from scenarios.sweeps.errors import SweepError

Row = Mapping[str, Any]
"""A run's row: column names and values as JSON has them."""


class Journal:
    """An open journal. `rows` are the finished runs by number. A context manager that closes it."""

    def __init__(self, path: Path, sweep: Mapping[str, Any]) -> None:
        """Open the journal of `sweep`, made if need be.

        Raises `SweepError` if it belongs to another sweep, is in use, or can't be written.
        """
        self.path = path
        self.rows: dict[int, Row] = {}
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise SweepError(
                f"{path}: the journal can't be written: {error.strerror}; give another --out DIR"
            ) from None
        self._file: BufferedRandom = os.fdopen(descriptor, "r+b")
        try:
            self._lock()
            self._read(dict(sweep))
        except BaseException:
            self._file.close()
            raise

    def append(self, runs: Iterable[tuple[int, Row]]) -> None:
        """Add finished runs and bring them to the disk. A run that is there already is an error of ours."""
        lines = []
        for number, row in runs:
            if number in self.rows:
                raise ValueError(f"run {number} was run twice")
            self.rows[number] = row
            lines.append(_line([number, row]))
        try:
            self._file.write(b"".join(lines))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SweepError(
                f"{self.path}: runs can't be kept: {error.strerror}; make room and run the same command again"
            ) from None

    def remove(self) -> None:
        """Delete the journal, once its rows are safe elsewhere."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SweepError(
                f"{self.path}: another sweep is writing here; wait until it ends, or give another --out DIR"
            ) from None

    def _read(self, sweep: dict[str, Any]) -> None:
        head = self._file.readline()
        if not head.endswith(b"\n") or (self._is_ours(head) and not self._file.read(1)):
            # new, killed before its first line was whole, or of a sweep that has no run yet
            self._file.seek(0)
            self._file.truncate()
            self._file.write(json.dumps(sweep, sort_keys=True).encode() + b"\n")
            self._file.flush()
            return
        self._check_head(head, sweep)
        whole = len(head)
        self._file.seek(whole)
        for line in self._file:
            entry = _entry(line)
            if entry is None:
                break
            number, row = entry
            self.rows[number] = row
            whole += len(line)
        self._file.seek(whole)
        self._file.truncate()

    @staticmethod
    def _is_ours(head: bytes) -> bool:
        try:
            found = json.loads(head)
        except ValueError:
            return False
        return isinstance(found, dict) and {"scenario", "digest", "grid"} <= found.keys()

    def _check_head(self, head: bytes, sweep: dict[str, Any]) -> None:
        try:
            found = json.loads(head)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise SweepError(f"{self.path}: this is no journal of a sweep; give another --out DIR, or remove it")
        problem = difference(found, sweep)
        if problem is not None:
            raise SweepError(
                f"{self.path}: it is the journal of another sweep ({problem}); "
                "run that one to its end, give another --out DIR, or remove the journal to begin anew"
            )


def difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """In words what tells two sweeps apart, or None if they are the same."""
    ours = json.loads(json.dumps(dict(wanted)))
    if dict(found) == ours:
        return None
    named = {
        "harness": "it was run by another version of the harness",
        "scenario": "its scenario is another",
        "digest": "its scenario has other contents",
        "drivers": "the code of a driver is another",
        "grid": "its grid is another",
    }
    for key, words in named.items():
        if found.get(key) != ours.get(key):
            if key == "grid":
                return f"{words}: {_grid_words(found.get(key))}, not {_grid_words(ours.get(key))}"
            return f"{words}: {found.get(key)!r}, not {ours.get(key)!r}" if key in ("harness", "scenario") else words
    return "it has another form"


def _grid_words(grid: Any) -> str:
    if not isinstance(grid, dict):
        return "none"
    axes = [f"{key}={','.join(map(str, values))}" for key, values in grid.get("axes", ())]
    count = grid.get("replications")
    return " ".join([*axes, f"{count} replications from seed {grid.get('first_seed')}"])


def _line(entry: list[Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":"), allow_nan=True)
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _entry(line: bytes) -> tuple[int, Row] | None:
    """What a line holds, or None if it is not whole."""
    check, space, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or not space or check != b"%08x" % zlib.crc32(text):
        return None
    number, row = json.loads(text)
    return number, row
