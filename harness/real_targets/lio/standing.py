"""A machine that stands until it is taken down, for work by hand; the testbed `lio` has machines of its own.

Its directory is `up` in the cache: the sockets, the console's log, `address`, and `process`: the line of
/proc/PID/stat from just before QEMU began, with process id and start (field 22), so that another process with the same
id is not taken for it. `up` and `down` take turns by the lock `up.lock` beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.real_targets.iscsi.target import TargetFailed

from .image import cache_directory, image
from .machine import BOOT_WITHIN_S, ENVIRONMENT, Machine, free_network, qemu_arguments

GONE_WITHIN_S = 10.0


def directory() -> Path:
    """Where the standing machine's files are."""
    return cache_directory() / "up"


@dataclass(frozen=True)
class Standing:
    """The machine that stands: QEMU's process id and start, in the kernel's ticks, and the machine's address."""

    pid: int
    start: str
    address: str


def standing() -> Standing | None:
    """The machine that stands, None if there is none."""
    try:
        stat = (directory() / "process").read_text()
        found = Standing(int(stat.split()[0]), _start_in(stat), (directory() / "address").read_text())
    except (OSError, ValueError, IndexError):
        return None
    return found if _start_of(found.pid) == found.start else None


def open_machine(within_s: float = 60.0) -> Machine:
    """The machine that stands. Raises `TargetFailed` if there is none, or if it does not answer."""
    found = standing()
    if found is None:
        raise TargetFailed("no machine is up; start one with: activity-harness lio up")
    return Machine(directory(), found.address, within_s)


def up() -> Machine | None:
    """Start a machine that stands; returns once its agent answers. None if one stands already.

    Raises `TargetFailed`, `NotInstalled`, `BuildFailed`.
    """
    place = directory()
    built = image()
    with _turn():
        if standing() is not None:
            return None
        address = free_network()
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "address").write_text(address)
        with open(place / "qemu.log", "w") as log:
            subprocess.Popen(
                # it notes itself, so that it is found however soon this process dies
                ["/bin/sh", "-c", 'cat /proc/$$/stat > process && exec "$@"', "sh", *qemu_arguments(built, address)],
                cwd=place,
                env={**os.environ, **ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it outlives this command
            )
        try:
            return Machine(place, address, BOOT_WITHIN_S)
        except BaseException:
            _end()
            raise


def down() -> bool:
    """End the machine that stands, and one that somebody is starting; returns whether there was one."""
    with _turn():
        return _end()


def _end() -> bool:
    found = standing()
    if found is not None:
        os.kill(found.pid, signal.SIGKILL)
        give_up = time.monotonic() + GONE_WITHIN_S
        while _start_of(found.pid) == found.start and time.monotonic() < give_up:
            time.sleep(0.01)
    shutil.rmtree(directory(), ignore_errors=True)
    return found is not None


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    cache_directory().mkdir(parents=True, exist_ok=True)
    with open(cache_directory() / "up.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closed at exec, so the machine does not keep it
        yield


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if stat.rpartition(")")[2].split()[0] in "ZX" else _start_in(stat)


def _start_in(stat: str) -> str:
    return stat.rpartition(")")[2].split()[19]
