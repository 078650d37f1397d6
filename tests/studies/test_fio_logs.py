"""Logs of fio: what is replayed, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.storage import BLOCK
from scenarios.fio_log import FioLogError, LoggedIo, aligned, read_fio_log

GIB = 1 << 30

VERSION_2 = """fio version 2 iolog
/dev/sdb add
/dev/sdb open
/dev/sdb read 0 4096
/dev/sdb wait 1500 0
/dev/sdb write 8192 16384
/dev/sdb sync 0 0
/dev/sdb wait 500 0
/dev/sdb trim 0 4096
/dev/sdb write 4096 4096
/dev/sdb close
"""
VERSION_3 = """fio version 3 iolog
0 /dev/sdb add
3 /dev/sdb open
100 /dev/sdb read 0 4096
1600 /dev/sdb write 8192 16384
2100 /dev/sdb write 4096 4096
2200 /dev/sdb close
"""
LATENCIES = """5, 1000000, 0, 4096, 0, 0
7, 1500000, 1, 16384, 8192, 0
6, 200000, 2, 4096, 0, 0
9, 3000000, 1, 4096, 4096, 0
"""
IOS = [(False, 0, 4096), (True, 8192, 16384), (True, 4096, 4096)]


@pytest.mark.parametrize(
    ("text", "times_ns"),
    [
        (VERSION_2, [0, 1_500_000, 2_000_000]),
        (VERSION_3, [0, 1_500_000, 2_000_000]),
        (LATENCIES, [0, 1_500_000, 2_000_000]),
    ],
    ids=["iolog version 2", "iolog version 3", "latency log"],
)
def test_the_ios_of_each_format_are_read(text: str, times_ns: list[int], tmp_path: Path) -> None:
    """Waits, timestamps, and ends less latencies give the same instants; trims, syncs and files are left out."""
    log = tmp_path / "fio.log"
    log.write_text(text)
    expected = [LoggedIo(at, *io) for at, io in zip(times_ns, IOS, strict=True)]
    assert list(read_fio_log(log)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VERSION_2.replace("8192 16384", "8192"), "line 6"),
        (VERSION_2.replace("write 8192", "rite 8192"), "line 6"),
        (VERSION_3.replace("1600 ", "soon "), "line 5"),
        ("fio version 4 iolog\n", "versions 2 and 3"),
        ("fio version 2 iolog\n/dev/sdb add\n", "no read and no write"),
        ("5, 1000000, 0, 4096\n", "--log_offset=1"),
        ("5, 1000000, 3, 4096, 0\n", "line 1"),
    ],
)
def test_what_is_no_such_log_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """A line that does not fit is named, with what was expected there."""
    log = tmp_path / "fio.log"
    log.write_text(text)
    with pytest.raises(FioLogError, match=message) as caught:
        read_fio_log(log)
    assert str(log) in str(caught.value)


def test_ios_lie_on_whole_blocks_within_the_volume() -> None:
    """An I/O covers every block that it touches; one beyond the volume's end wraps, one that is larger is cut."""
    assert aligned(LoggedIo(0, True, 512, 512), GIB) == (0, 1)
    assert aligned(LoggedIo(0, True, 4095, 2), GIB) == (0, 2)
    first, count = aligned(LoggedIo(0, True, 5 * GIB + 7 * BLOCK, 2 * BLOCK), GIB)
    assert count == 2
    assert 0 <= first <= GIB // BLOCK - count
    assert aligned(LoggedIo(0, True, 0, 4 * GIB), GIB) == (0, GIB // BLOCK)
