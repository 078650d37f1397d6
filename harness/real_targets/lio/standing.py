"""LIO that stands until it is taken down, for work by hand; the testbed `lio` has places of its own.

Its directory is `up` in the cache. For a machine it has the sockets, the console's log, `address`, and `process`: the
line of /proc/PID/stat from just before QEMU began, with process id and start (field 22), so that another process with
the same id is not taken for it. For LIO of this host, where no program of ours stands, it has the `portal` to use and
the `boot` of which that is true. `up` and `down` take turns by the lock `up.lock` beside it.
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

from .choice import Where, choose
from .host import Host
from .host_facts import need_host
from .image import cache_directory, image
from .machine import BOOT_WITHIN_S, ENVIRONMENT, Machine, free_network, qemu_arguments
from .place import Place

GONE_WITHIN_S = 10.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def directory() -> Path:
    """Where the files of what stands are."""
    return cache_directory() / "up"


@dataclass(frozen=True)
class Standing:
    """The machine that stands: QEMU's process id and start, in the kernel's ticks, and the machine's address."""

    pid: int
    start: str
    address: str


@dataclass(frozen=True)
class StandingHost:
    """LIO of this host stands ready, and `portal` is to be used."""

    portal: str


def standing() -> Standing | StandingHost | None:
    """What stands, None if nothing does."""
    return _standing_machine() or _standing_host()


def _standing_host() -> StandingHost | None:
    try:
        if (directory() / "boot").read_text() == BOOT_ID.read_text():
            return StandingHost((directory() / "portal").read_text())
    except OSError:
        pass
    return None


def _standing_machine() -> Standing | None:
    try:
        stat = (directory() / "process").read_text()
        found = Standing(int(stat.split()[0]), _start_in(stat), (directory() / "address").read_text())
    except (OSError, ValueError, IndexError):
        return None
    return found if _start_of(found.pid) == found.start else None


def open_standing(within_s: float = 60.0) -> Place:
    """What stands; a machine's answers may take `within_s` seconds. Raises `TargetFailed` if nothing stands, or if it
    does not answer."""
    match standing():
        case Standing(address=address):
            return Machine(directory(), address, within_s)
        case StandingHost(portal):
            return Host(portal)
    raise TargetFailed("LIO is not up; start it with: activity-harness lio up")


def up(asked: Where) -> Place | None:
    """Let LIO stand, on this host or in a machine; returns once its agent answers. None if it stands already.

    On a host LIO is loaded, and what dead runs of ours have left there is removed. Raises `TargetFailed`,
    `NotInstalled`, `BuildFailed`.
    """
    where = choose(asked, need_host, image)
    with _turn():
        if standing() is not None:
            return None
        shutil.rmtree(directory(), ignore_errors=True)
        directory().mkdir(parents=True)
        return _up_on_host() if where is Where.HOST else _up_in_machine()


def _up_on_host() -> Host:
    host = Host()
    (directory() / "portal").write_text(host.portal)
    (directory() / "boot").write_text(BOOT_ID.read_text())
    return host


def _up_in_machine() -> Machine:
    place, built = directory(), image()
    address = free_network()
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
    """End what stands, or what somebody is starting; returns whether there was something.

    On a host LIO stays loaded, with what others have made, by hand or otherwise; what dead runs of ours have left is
    removed.
    """
    with _turn():
        return _end()


def _end() -> bool:
    found = standing()
    try:
        if isinstance(found, StandingHost):
            Host(found.portal).close()
        if isinstance(found, Standing):
            os.kill(found.pid, signal.SIGKILL)
            give_up = time.monotonic() + GONE_WITHIN_S
            while _start_of(found.pid) == found.start and time.monotonic() < give_up:
                time.sleep(0.01)
    finally:
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
