"""The keeper of a cell: the process between the parent and the worker, who ends whatever the worker leaves behind.

A child process of a driver that calls setsid leaves the worker's process group, and a signal to the group no longer
reaches it. So the process that the parent starts forks at once: its child becomes the worker, itself becomes the
keeper, to whom the kernel gives every orphan below it (PR_SET_CHILD_SUBREAPER, Linux 3.4). When the worker ends, or the
parent lets go of the cell, however that comes, the keeper kills all that is below it and ends as the worker ended. It
also bounds how many processes there are and how much memory they hold together.

Where the system has no such adoption, the worker's process group is ended and nothing more. A driver that kills its
keeper with SIGKILL sets free what has left the group before; the cell itself is then ended all the same.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Iterator

_TICK_S = 0.25
"""How often processes and memory are counted (seconds)."""

_SWEEP_S = 5.0
"""How long the keeper tries to end everything below it (seconds)."""

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>

_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM)
"""Signals that a driver may send to its parent process without any effect; the others end it, and the cell with it."""


def keep(watch: int, said: int, scratch: str, processes: int, memory_bytes: int) -> None:
    """Fork; returns in the child, which is to become the worker. The keeper itself never returns.

    `watch` is a pipe whose other end the parent holds as long as it wants the cell; `said` one on which the keeper says
    why it ended the cell, if it did. `scratch` is the cell's directory for temporary files, which ends with it.
    `processes` bounds how many there may be, `memory_bytes` what all of them hold.
    """
    ready, adopting = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(adopting)
        os.close(said)
        os.setsid()
        os.read(ready, 1)  # what it starts from now on is adopted when it is orphaned
        os.close(ready)
        return
    status = 1 << 8
    try:
        status = _Keeper(worker, watch, said, processes, memory_bytes).run(adopting)
        _remove(scratch)
    finally:
        _end_like(status)


class _Keeper:
    def __init__(self, worker: int, watch: int, said: int, processes: int, memory_bytes: int) -> None:
        self._worker = worker
        self._watch = watch
        self._said = said
        self._processes = processes
        self._memory_bytes = memory_bytes
        self._status: int | None = None
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        for number in _DEAF_TO:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, lambda *_: self._pass_on(signal.SIGUSR2))

    def run(self, adopting: int) -> int:
        """Until the worker is over or the parent lets go; returns the worker's wait status."""
        _adopt_orphans()
        os.close(adopting)
        _close_all_but(self._watch, self._said, self._wake)
        events = select.poll()
        events.register(self._watch, select.POLLIN)
        events.register(self._wake, select.POLLIN)
        while self._reap() and self._status is None:
            ready = [fd for fd, _ in events.poll(_TICK_S * 1000)]
            if self._watch in ready:
                break
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            why = self._too_much()
            if why:
                with contextlib.suppress(OSError):
                    os.write(self._said, why.encode())
                break
        self._sweep()
        return signal.SIGKILL if self._status is None else self._status

    def _pass_on(self, number: int) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._worker, number)

    def _reap(self) -> bool:
        """Take note of who has ended; whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._worker:
                self._status = status

    def _too_much(self) -> str:
        pids = list(_below(os.getpid()))
        if len(pids) > self._processes:
            return f"it had {len(pids)} processes, more than {self._processes}"
        if len(pids) > 1:  # of one alone the kernel takes care, by its own limit
            held = sum(map(_resident_bytes, pids))
            if held > self._memory_bytes:
                return f"its {len(pids)} processes used up their memory: they held {held >> 20} MiB together"
        return ""

    def _sweep(self) -> None:
        """Kill all that is below, again and again, since what is killed late may have started more."""
        deadline = time.monotonic() + _SWEEP_S
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._worker, signal.SIGKILL)
        while self._reap() and time.monotonic() < deadline:
            for pid in _below(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)


def _remove(scratch: str) -> None:
    """By a program that copes with whatever a driver has piled up, however deep."""
    with contextlib.suppress(OSError):
        remover = os.posix_spawnp("rm", ["rm", "-rf", "--", scratch], dict(os.environ))
        deadline = time.monotonic() + _SWEEP_S
        while os.waitpid(remover, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)


def _adopt_orphans() -> None:
    with contextlib.suppress(Exception):  # another system than Linux; the process group has to do there
        import ctypes

        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _close_all_but(*kept: int) -> None:
    """Let go of the pipes that belong to the worker: that they close tells the parent something."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    low = 3
    for fd in sorted({*kept, signal.set_wakeup_fd(-1)}):
        if fd >= 0:
            os.closerange(low, fd)
            low = fd + 1
    os.closerange(low, max(low, 4096))


def _below(pid: int) -> Iterator[int]:
    """The process's descendants as far as the system tells, whoever moved where in the meantime."""
    waiting, seen = [pid], {pid}
    while waiting:
        for child in _children(waiting.pop()):
            if child not in seen:
                seen.add(child)
                waiting.append(child)
                yield child


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    except (OSError, ValueError):  # it is over, or the system has no such file
        pass
    return found


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, shared = file.read().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def _end_like(status: int) -> None:
    """End as the worker ended, so that the parent sees what became of it."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(ValueError, OSError):  # SIGKILL has no other way
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 1
    os._exit(code)
