"""The process in which a driver and its world live, seen from outside: limits, calls, and how a call ended.

A driver is not trusted. It runs in a child process, the cell, which is warm across calls and is started anew after it
died or was ended. What happens in there becomes a `CellOutcome`; nothing a driver does raises out of `Cell.call`.
Forgery by hostile code is not ruled out: a driver can imitate the worker that it shares a process with.
"""

from __future__ import annotations

import enum
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from harness.cell_process import CellError, CellProcess, Garbled, ProcessEnded

__all__ = ["Cell", "CellError", "CellLimits", "CellOutcome", "Kind"]

PATIENCE = 4.0
"""How much longer than its limit a call may take while the machine has no core for it, in limits."""
STARVED_S = 0.05
"""Less waiting for a core than this does not lengthen a call (s)."""


@dataclass(frozen=True)
class CellLimits:
    """What one cell may use: seconds of wall time for a call and for its start, bytes for everything else.

    Time in which the process was ready to run and the machine had no core for it does not count as time of a call,
    up to `PATIENCE` times the limit: a loaded machine makes no driver hang.

    `memory_bytes` is the address space of each process, and what all processes of the cell may hold together;
    `processes` is how many there may be, the worker among them; `output_bytes` is how much of each output stream is
    kept (all of it is read); `file_bytes` is the greatest offset in a file; `message_bytes` the greatest answer.
    """

    wall_s: float = 60.0
    start_s: float = 60.0
    memory_bytes: int = 2 << 30
    processes: int = 256
    file_bytes: int = 16 << 30
    output_bytes: int = 64 << 10
    message_bytes: int = 32 << 20


class Kind(enum.StrEnum):
    """How a call ended.

    RETURNED        the function returned a value that is JSON
    RAISED          an exception came out of the function, or the function could not be called
    EXITED          the process ended with an exit code, or `SystemExit` came out of the function
    KILLED          the process was ended by a signal that was not the cell's
    HUNG            the function did not return in time; the process and its children were ended
    OUT_OF_MEMORY   the address space was used up
    GARBLED         something else than the worker wrote to the worker's channel, or closed it
    """

    RETURNED = "returned"
    RAISED = "raised"
    EXITED = "exited"
    KILLED = "killed"
    HUNG = "hung"
    OUT_OF_MEMORY = "out of memory"
    GARBLED = "garbled"


@dataclass(frozen=True)
class CellOutcome:
    """How a call ended and what it left behind.

    `value` counts for RETURNED only; `error_type` and `error` are the exception's class name and message; `traceback`
    is where the code stood when it raised, crashed or hung, if that could be found out. `stdout` and `stderr` are what
    was printed during the call, cut to `CellLimits.output_bytes`. `earlier` says that the process was found dead when
    the call began (a thread left over from a former call ended it); this call then had a new process.
    """

    kind: Kind
    label: str
    value: Any = None
    message: str = ""
    error_type: str = ""
    error: str = ""
    traceback: str = ""
    exit_code: int | None = None
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    wall_s: float = 0.0
    earlier: str = ""

    @property
    def output(self) -> str:
        """Everything that was printed, standard output first."""
        return self.stdout + self.stderr


class Cell:
    """A child process for calls, one at a time. Started by the first call; `close` ends it and its children.

    `virtual` says which clock the calls live under: it decides what is patched before anything is imported.
    `hash_seed` is the process's PYTHONHASHSEED.
    """

    def __init__(self, limits: CellLimits | None = None, *, virtual: bool = True, hash_seed: int = 0) -> None:
        self.limits = limits or CellLimits()
        self.virtual = virtual
        self.hash_seed = hash_seed
        self._process: CellProcess | None = None
        self._last_label = ""

    def call(self, target: str, arguments: dict[str, Any], label: str, wall_s: float | None = None) -> CellOutcome:
        """Call the function `target` ("module:function") with keyword arguments, for at most `wall_s` seconds.

        Raises ValueError for arguments that are no JSON, `CellError` if no process can be started. Whatever happens
        in the call is an outcome.
        """
        limit = self.limits.wall_s if wall_s is None else wall_s
        try:
            json.dumps(arguments)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"arguments of {target} can't be sent to a cell: {error}") from None
        try:
            earlier = self._begin({"target": target, "arguments": arguments, "label": label}, label)
            began = time.monotonic()
            outcome = self._await_end(label, limit, began)
        except BaseException:  # an interrupt: the call must not go on behind our back
            self.close()
            raise
        self._last_label = label
        return replace(outcome, wall_s=time.monotonic() - began, earlier=earlier)

    def close(self) -> None:
        """End the process and its children. Repeating it is harmless; a later call starts a new process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _begin(self, request: dict[str, Any], label: str) -> str:
        """Send the request to a living process and wait until it was taken up; say what became of a former one."""
        earlier = ""
        for _ in range(2):
            fresh = self._process is None
            process = self._process or self._start()
            try:
                process.discard_output()
                process.send(request)
                message = process.receive(time.monotonic() + self.limits.start_s)
                if message != {"type": "started", "label": label}:
                    raise Garbled("it answered out of turn")
                return earlier
            except (ProcessEnded, Garbled, TimeoutError) as error:
                ended = self._bury()
                if fresh:
                    raise CellError(
                        f"the cell's process died before it took up {label!r}: {str(error) or ended}"
                    ) from None
                earlier = f"after {self._last_label!r} had returned, {str(error) or ended}"
        raise CellError(f"no process of the cell took up {label!r}: {earlier}")

    def _start(self) -> CellProcess:
        # known from now on, so that `close`, of another thread, ends it even before it is ready
        self._process = process = CellProcess(self.limits, virtual=self.virtual, hash_seed=self.hash_seed)
        try:
            message = process.receive(time.monotonic() + self.limits.start_s)
            if message.get("type") != "ready":
                raise Garbled(f"unexpected message {message}")
        except (ProcessEnded, Garbled, TimeoutError) as error:
            self._process = None
            process.kill()
            said = process.stderr.text().strip() or process.describe_end()
            raise CellError(
                f"the cell's process could not be started ({str(error) or type(error).__name__}): {said}"
            ) from None
        except BaseException:
            self._process = None
            process.kill()
            raise
        return process

    def _bury(self) -> str:
        process, self._process = self._process, None
        if process is None:
            return ""
        process.kill()
        return process.describe_end()

    def _await_end(self, label: str, limit: float, began: float) -> CellOutcome:
        process = self._process
        if process is None:
            raise CellError(f"the cell was closed before {label!r} was over")
        try:
            message = _within(process, limit, began)
        except TimeoutError:
            where = process.stacks()
            self._bury()
            text = f"did not return within {limit:g} s and was ended with its child processes"
            outcome = CellOutcome(Kind.HUNG, label, message=text, traceback=where)
        except Garbled as error:
            self._bury()
            outcome = CellOutcome(Kind.GARBLED, label, message=f"wrote to the harness's own channel: {error}")
        except ProcessEnded:
            ended = self._bury()
            outcome = _of_death(process, label, ended)
        else:
            process.drain()
            outcome = _of_message(message, label)
            if outcome.kind in (Kind.OUT_OF_MEMORY, Kind.GARBLED) or message.get("crowded"):
                self._bury()
        return replace(outcome, stdout=process.stdout.text(), stderr=process.stderr.text())


def _within(process: CellProcess, limit: float, began: float) -> dict[str, Any]:
    """The process's next message. Raises TimeoutError after `limit` seconds in which it could have run."""
    starved_before, more = process.starved_s(), 0.0
    while True:
        try:
            return process.receive(began + limit + more)
        except TimeoutError:
            starved = min(process.starved_s() - starved_before, PATIENCE * limit)
            if starved - more < STARVED_S:
                raise
            more = starved


_MEMORY_SIGNS = (
    "MemoryError",
    "used up their memory",
    "bad_alloc",
    "out of memory",
    "memory allocation failed",
    "Cannot allocate memory",
)


def _of_death(process: CellProcess, label: str, ended: str) -> CellOutcome:
    code = process.returncode
    crash = process.trace.text()
    if code >= 0:
        return CellOutcome(Kind.EXITED, label, message=ended, exit_code=code, traceback=crash)
    said = process.said.text() or process.stderr.text(tail=True)
    if any(sign.lower() in said.lower() for sign in _MEMORY_SIGNS):
        message = f"used up its memory: {ended}"
        return CellOutcome(Kind.OUT_OF_MEMORY, label, message=message, signal=-code, traceback=crash)
    return CellOutcome(Kind.KILLED, label, message=ended, signal=-code, traceback=crash)


def _of_message(message: dict[str, Any], label: str) -> CellOutcome:
    match message.get("type"):
        case "returned" if "value" in message:
            return CellOutcome(Kind.RETURNED, label, value=message["value"], message="returned")
        case "exit":
            code = message.get("code")
            text = f"raised SystemExit with exit code {code}"
            return CellOutcome(
                Kind.EXITED,
                label,
                message=text,
                exit_code=code if isinstance(code, int) else 1,
                traceback=str(message.get("traceback", "")),
            )
        case "memory":
            text = "used up its memory (MemoryError)"
            return CellOutcome(Kind.OUT_OF_MEMORY, label, message=text, traceback=str(message.get("traceback", "")))
        case "raised":
            name, error = str(message.get("error_type", "")), str(message.get("error", ""))
            return CellOutcome(
                Kind.RAISED,
                label,
                message=f"raised {name}: {error}" if error else f"raised {name}",
                error_type=name,
                error=error,
                traceback=str(message.get("traceback", "")),
            )
    return CellOutcome(Kind.GARBLED, label, message="wrote to the harness's own channel: a message of no known type")
