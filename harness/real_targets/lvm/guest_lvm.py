"""Runs in the guest, as a part of its agent: commands that take their time, and the content of devices.

A command is begun, and asked for until it has ended, so that the agent answers others meanwhile.
"""

import base64
import mmap
import os
import signal
import subprocess
import sys
import time
import traceback

from agent_in_guest import remove_disk, wait_for_disk
from cinder.cmd import rtstool
from lio_agent import FABRIC
from rtslib_fb import RTSRoot

BLOCK = 4096

_running = {}


class _Forked:
    """A process that runs Cinder's script as it is; forked from the agent, which has loaded rtslib already."""

    def __init__(self, argv, stdout, stderr):
        self.pid = os.fork()
        self._status = None
        if self.pid == 0:
            status = 1
            try:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                status = rtstool.main(argv)
            except SystemExit as exit:
                status = exit.code if isinstance(exit.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status or 0)

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, within_s=None):
        give_up = time.monotonic() + (60 if within_s is None else within_s)
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > give_up:
                raise subprocess.TimeoutExpired("cinder-rtstool", within_s)
            else:
                time.sleep(0.001)
        return self._status


def begin(number, argv):
    """Start a command under a number, in a process group of its own. Returns False if there is no such command."""
    stdout, stderr = (os.fdopen(os.memfd_create(name), "w+b") for name in ("stdout", "stderr"))
    if argv[0] == "cinder-rtstool":
        _running[number] = _Forked(argv, stdout, stderr), stdout, stderr
        return True
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
    except (FileNotFoundError, PermissionError):
        return False
    _running[number] = process, stdout, stderr
    return True


def ended(number, within_s):
    """The status, output and complaints of a command if it ends within some seconds, else None."""
    process, stdout, stderr = _running[number]
    try:
        status = process.wait(within_s)
    except subprocess.TimeoutExpired:
        return None
    del _running[number]
    told = []
    for file in (stdout, stderr):
        file.seek(0)
        told.append(file.read().decode(errors="replace"))
        file.close()
    return [status, *told]


def kill(number):
    """Kill a command with all that it has started; returns once it is gone. Harmless for one that has ended."""
    if number in _running:
        process, stdout, stderr = _running.pop(number)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        stdout.close()
        stderr.close()


def exists(path):
    """Whether there is a file at a path."""
    return os.path.exists(path)


def blocks(device, numbers):
    """What a device holds in these blocks, past the page cache: for each that is not all zeros, its bytes in base64."""
    found = {}
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        buffer = mmap.mmap(-1, BLOCK)  # aligned, as direct reading asks for
        for number in numbers:
            if (number + 1) * BLOCK <= size:
                if os.preadv(descriptor, [buffer], number * BLOCK) != BLOCK:
                    raise OSError(f"{device}: block {number} can't be read whole")
                data = buffer[:]
                if data.count(0) != BLOCK:
                    found[number] = base64.b64encode(data).decode()
    finally:
        os.close(descriptor)
    return found


def disk(number):
    """The device of a disk that was just plugged in."""
    return wait_for_disk(number)


def forget(group, prefix, numbers):
    """Take away what is exported under names with that prefix, and a volume group, with its disks; kill what runs."""
    for command in list(_running):
        kill(command)
    for target in list(FABRIC.targets):
        if target.wwn.startswith(prefix):
            target.delete()
    for backstore in list(RTSRoot().storage_objects):
        if backstore.name.startswith(prefix):
            backstore.delete()
    subprocess.run(["vgchange", "-an", "-f", group], capture_output=True)
    for number in numbers:
        remove_disk(number)


KNOWN = {f.__name__: f for f in (begin, ended, kill, exists, blocks, disk, forget)}
