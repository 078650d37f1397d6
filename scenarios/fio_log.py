"""Logs of fio, for replay: I/O logs of versions 2 and 3 (`--write_iolog`), and latency logs with offsets
(`--write_lat_log` with `--log_offset=1`, one entry for each I/O).

The formats are those of fio's HOWTO, sections "Trace file format v2", "v3" and "Log File Formats". Version 2 has waits
instead of times, in microseconds since the wait before; version 3 gives the time of each I/O since the beginning, in
microseconds; a latency log gives when an I/O was over, in milliseconds, and how long it took, in nanoseconds. Trims,
syncs and the management of files are left out. All files of a log are taken for one volume; offsets beyond
its end wrap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.input_file import InputFileError, read_text
from harness.storage import BLOCK

MOST_BYTES = 256 << 20
_HEAD = re.compile(r"fio version (\d+) iolog")
_IO = ("read", "write")
_MANAGEMENT = ("add", "open", "close", "sync", "datasync", "sync_file_range", "trim")
_US, _MS = 1_000, 1_000_000


class FioLogError(ValueError):
    """A log can't be replayed; the message names file, line and what was expected."""


@dataclass(frozen=True)
class LoggedIo:
    """One I/O: when it was issued (ns from the log's beginning), whether it writes, and where (bytes)."""

    at_ns: int
    writes: bool
    offset: int
    length: int


def read_fio_log(path: str | Path) -> tuple[LoggedIo, ...]:
    """The I/Os of a log, in the order of their times. Raises `FioLogError`, also for a log without any."""
    try:
        lines = read_text(Path(path), MOST_BYTES, "a log of fio").splitlines()
    except InputFileError as error:
        raise FioLogError(f"{path}: {error.what}; {error.remedy}") from None
    head = _HEAD.fullmatch(lines[0].strip()) if lines else None
    if head is None:
        found = list(_latencies(str(path), lines))
    elif head[1] in ("2", "3"):
        found = list(_actions(str(path), lines, timed=head[1] == "3"))
    else:
        raise FioLogError(f"{path}: it is an I/O log of version {head[1]}; versions 2 and 3 are read")
    if not found:
        raise FioLogError(f"{path}: it has no read and no write")
    first_ns = min(io.at_ns for io in found)
    ordered = sorted(found, key=lambda io: io.at_ns)
    return tuple(LoggedIo(io.at_ns - first_ns, io.writes, io.offset, io.length) for io in ordered)


def aligned(io: LoggedIo, size: int) -> tuple[int, int]:
    """The first block of an I/O and how many blocks it covers, on a volume of `size` bytes."""
    blocks = size // BLOCK
    first = io.offset // BLOCK
    count = max(1, -(-(io.offset + io.length) // BLOCK) - first)
    count = min(count, blocks)
    return first % (blocks - count + 1), count


def _actions(path: str, lines: list[str], timed: bool) -> Iterator[LoggedIo]:
    at_ns = 0
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            if timed:
                at_ns = int(words.pop(0)) * _US
            action, *numbers = words[1:]
            if action == "wait" and not timed:
                at_ns += int(numbers[0]) * _US
            elif action in _IO:
                offset, length = map(int, numbers)
                if offset < 0 or length <= 0:
                    raise ValueError
                yield LoggedIo(at_ns, action == "write", offset, length)
            elif action not in _MANAGEMENT:
                raise ValueError
        except (ValueError, IndexError):
            expected = f"{'timestamp ' if timed else ''}filename action [offset length]"
            raise FioLogError(f"{path}, line {number}: {line[:60]!r}; expected {expected!r}") from None


def _latencies(path: str, lines: list[str]) -> Iterator[LoggedIo]:
    for number, line in enumerate(lines, 1):
        words = [word.strip() for word in line.split(",")]
        if words == [""]:
            continue
        try:
            if len(words) < 5:
                raise ValueError
            over_ms, took_ns, direction, length, offset = (int(word, 0) for word in words[:5])
            if direction not in (0, 1, 2) or length <= 0 or offset < 0 or took_ns < 0:
                raise ValueError
        except ValueError:
            expected = "'time (ms), latency (ns), direction 0, 1 or 2, block size, offset', a log with --log_offset=1"
            what = f"{line[:60]!r}; expected 'fio version 2 iolog' as the first line, or {expected}"
            raise FioLogError(f"{path}, line {number}: {what}") from None
        if direction != 2:
            yield LoggedIo(over_ms * _MS - took_ns, direction == 1, offset, length)
