"""A machine that stands until it is taken down, for work by hand; the testbed `lio` has machines of its own.

Its directory is `up` in the cache: the sockets, the console's log, and `machine.json` with the process id, the start of
the process (field 22 of /proc/PID/stat, so that another process with the same id is not taken for it) and the address.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness.real_targets.iscsi.target import TargetFailed

from .image import cache_directory, image
from .machine import BOOT_WITHIN_S, Machine, free_network, qemu_arguments

GONE_WITHIN_S = 10.0


def directory() -> Path:
    """Where the standing machine's files are."""
    return cache_directory() / "up"


def standing() -> dict[str, str] | None:
    """What `machine.json` says of the machine that stands, None if there is none."""
    try:
        found: dict[str, str] = json.loads((directory() / "machine.json").read_text())
    except (OSError, ValueError):
        return None
    return found if _start_of(int(found["pid"])) == found["start"] else None


def open_machine(within_s: float = 60.0) -> Machine:
    """The machine that stands. Raises `TargetFailed` if there is none, or if it does not answer."""
    found = standing()
    if found is None:
        raise TargetFailed("no machine is up; start one with: activity-harness lio up")
    return Machine(directory(), found["address"], within_s)


def up() -> Machine:
    """Start a machine that stands; returns once its agent answers.

    Raises `TargetFailed`, `NotInstalled`, `BuildFailed`.
    """
    place = directory()
    built, address = image(), free_network()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with open(place / "qemu.log", "w") as log:
        process = subprocess.Popen(
            qemu_arguments(built, address),
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it outlives this command
        )
    told = {"pid": str(process.pid), "start": _start_of(process.pid), "address": address}
    (place / "machine.json").write_text(json.dumps(told))
    try:
        return Machine(place, address, BOOT_WITHIN_S)
    except BaseException:
        down()
        raise


def down() -> bool:
    """End the machine that stands; returns whether there was one."""
    found = standing()
    if found is not None:
        os.kill(int(found["pid"]), signal.SIGKILL)
        give_up = time.monotonic() + GONE_WITHIN_S
        while _start_of(int(found["pid"])) == found["start"] and time.monotonic() < give_up:
            time.sleep(0.01)
    shutil.rmtree(directory(), ignore_errors=True)
    return found is not None


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]
