"""The worker inside a cell: takes calls from its parent one by one and says how each ended.

Run as `python -m harness.cell_worker CONFIG` by `harness.cell_process` only. Nothing that a driver could reach is
imported before the clock is patched.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from types import ModuleType
from typing import Any

from harness.cell_keeper import keep

_RESERVE_BYTES = 16 << 20
"""Freed when memory has run out, so that this can still be said."""

_CROWDED = 0.5
"""The share of the address space from which on the parent starts a new process for the next call; it also does where a
driver has changed its process for good."""

_FIRST_FD = 512
"""Descriptors of the harness lie above, out of the way of a driver that closes the low ones."""


class Worker:
    """The loop over calls."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._read, self._write = os.read, os.write  # bound now: a driver may replace what it likes
        self._pid = os.getpid()
        self._request = _away(config["request"])
        self._reply = _away(config["reply"])
        self._message_bytes: int = config["message_bytes"]
        self._memory_bytes: int = config["memory_bytes"]
        self._reserve: bytearray | None = bytearray(_RESERVE_BYTES)
        self._rest = b""

    def serve(self) -> None:
        """Take calls until the parent closes the channel."""
        self._send({"type": "ready"})
        while (line := self._next_line()) is not None:
            request = json.loads(line)
            self._send({"type": "started", "label": request["label"]})
            answer = self._perform(request["target"], request["arguments"])
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            self._send(answer)

    def _perform(self, target: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            module, _, name = target.partition(":")
            value = getattr(_imported(module), name)(**arguments)
            answer = {"type": "returned", "value": value, "crowded": self._is_crowded()}
            if len(json.dumps(answer)) >= self._message_bytes:
                raise ValueError(f"{target} returned more than {self._message_bytes} bytes")
            return answer
        except MemoryError as error:
            self._reserve = None
            error.__traceback__, where = None, _last_line(error)
            return {"type": "memory", "traceback": where}
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            return {"type": "exit", "code": code, "traceback": _formatted(error)}
        except BaseException as error:
            return {
                "type": "raised",
                "error_type": type(error).__name__,
                "error": _text(error),
                "traceback": _formatted(error),
            }

    def _is_crowded(self) -> bool:
        state = sys.modules.get("harness.process_state")
        if state is not None and state.is_spoilt():
            return True
        try:
            with open("/proc/self/statm") as file:
                return int(file.read().split()[0]) * resource.getpagesize() > self._memory_bytes * _CROWDED
        except OSError:
            return False

    def _next_line(self) -> bytes | None:
        while b"\n" not in self._rest:
            data = self._read(self._request, 1 << 16)
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _send(self, message: dict[str, Any]) -> None:
        if os.getpid() != self._pid:  # a child process that the driver forked went on as if it were this one
            os._exit(1)
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[self._write(self._reply, data) :]
        except OSError:  # the driver closed our channel; the parent sees that and ends this process
            while True:
                signal.pause()


def _imported(name: str) -> ModuleType:
    """Import a module of the harness. None of it will ever be rubbish: the collector has no business there."""
    if name not in sys.modules:
        gc.disable()
        try:
            importlib.import_module(name)
        finally:
            gc.freeze()
            gc.enable()
    return sys.modules[name]


def _text(error: BaseException, limit: int = 10_000) -> str:
    try:
        return str(error)[:limit]
    except Exception:  # a driver's exception may fail to describe itself
        return "(its message can't be read)"


def _formatted(error: BaseException, limit: int = 20_000) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:
        text = "(the traceback can't be formatted)"
    return text if len(text) <= limit else f"{text[: limit // 2]}\n…\n{text[-limit // 2 :]}"


def _last_line(error: BaseException) -> str:
    try:
        return traceback.format_exception_only(error)[-1]
    except Exception:
        return "MemoryError"


def _away(fd: int) -> int:
    """Move a descriptor up and keep it from child processes."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
    os.close(fd)
    return moved


def _die_with_parent(watch: int) -> None:
    """Have the kernel kill the whole process group when the parent's end of a pipe closes, however the parent dies.

    The keeper would do it, too, and reaches further; but a driver can stop or kill its keeper.
    """
    watch = _away(watch)
    fcntl.fcntl(watch, fcntl.F_SETOWN, -os.getpgrp())
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(watch, fcntl.F_SETSIG, signal.SIGKILL)  # else SIGIO, which ends a process unless it is handled
    fcntl.fcntl(watch, fcntl.F_SETFL, fcntl.fcntl(watch, fcntl.F_GETFL) | os.O_ASYNC)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # a platform without it
        resource.setrlimit(kind, (value, value))


def main() -> None:
    """Leave the keeper behind, set the limits, patch the clock, serve."""
    config = json.loads(sys.argv[1])
    if os.getppid() != config["parent"]:
        os._exit(1)
    keep(config["watch"], config["said"], config["scratch"], config["processes"], config["memory_bytes"])
    sys.argv[1:] = []
    sys.path[:] = config["path"]
    os.environ.pop("PYTHONPATH", None)
    if config["pythonpath"] is not None:
        os.environ["PYTHONPATH"] = config["pythonpath"]
    _die_with_parent(config["watch"])
    trace = _away(config["trace"])
    faulthandler.enable(trace)
    faulthandler.register(signal.SIGUSR2, trace)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, config["file_bytes"])
    _limit(resource.RLIMIT_AS, config["memory_bytes"])
    worker = Worker(config)
    importlib.import_module("harness.runtime.patches").install(config["virtual"])
    worker.serve()


if __name__ == "__main__":
    # as an importable module, so that a driver's `__main__` is not full of ours
    from harness.cell_worker import main as imported_main

    imported_main()
