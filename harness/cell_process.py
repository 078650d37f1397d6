"""One worker process of a cell and its pipes, seen from the parent: start, messages, captured output, end.

The parent reads every pipe in one loop, so a worker that prints without end is never blocked and fills no memory.
Messages are JSON lines over two pipes of their own; nothing from the worker is ever unpickled or evaluated.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

POLL_S = 0.05
"""How often the end of the process is looked for while its pipes stay silent (seconds)."""

CLOSED_GRACE_S = 1.0
"""How long a process may live after its channel was closed (seconds): an ending process closes it first."""

KEEPER_S = 8.0
"""How long the keeper has to end everything below it (seconds), before it is ended itself."""

STACKS_S = 2.0
"""How long a hung process has to say where it stands (seconds)."""

OUTERMOST_FRAME = "in _run_module_as_main"
"""What ends the stack of a worker's main thread, unless that runs something with a stack of its own."""

_CHUNK = 1 << 16


class CellError(Exception):
    """The harness could not run a cell; never a driver's fault."""


class ProcessEnded(Exception):
    """The worker process is over."""


class Garbled(Exception):
    """The channel carried something that the worker did not write, or was closed."""


class Limits(Protocol):
    """The limits that a process needs to know (`harness.cell.CellLimits`), in bytes."""

    @property
    def memory_bytes(self) -> int:
        """Address space."""

    @property
    def file_bytes(self) -> int:
        """The greatest offset in a file."""

    @property
    def processes(self) -> int:
        """How many processes there may be."""

    @property
    def output_bytes(self) -> int:
        """How much of each output stream is kept."""

    @property
    def message_bytes(self) -> int:
        """The greatest message."""


class Captured:
    """The first and the last bytes of a stream; what lies between is counted and dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take in what was read."""
        self._total += len(data)
        room = self._limit - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data)[-1024:]

    def text(self, *, tail: bool = False) -> str:
        """What was kept, as text; with `tail`, the last kilobyte only."""
        if tail:
            return self._tail.decode(errors="replace")
        text = self._head.decode(errors="replace")
        missing = self._total - len(self._head)
        return f"{text}\n… {missing} bytes more were printed" if missing else text


class CellProcess:
    """A started worker under its keeper (`harness.cell_keeper`), who is the child process of this one.

    `stdout`, `stderr`, `trace` (crash and hang stacks) and `said` (why the keeper ended it) fill while messages are
    awaited.
    """

    def __init__(self, limits: Limits, *, virtual: bool, hash_seed: int) -> None:
        self._message_bytes = limits.message_bytes
        self.stdout = Captured(limits.output_bytes)
        self.stderr = Captured(limits.output_bytes)
        self.trace = Captured(limits.output_bytes)
        self.said = Captured(1000)
        self._incoming = bytearray()
        self._outgoing = b""
        self._closed_at: float | None = None
        path = [os.path.abspath(entry) for entry in sys.path]
        if os.getcwd() not in path:
            path.append(os.getcwd())  # a vendor's module in the working directory imports, and shadows nothing
        try:
            # one for each process, so that nothing stays of what a driver leaves there
            self._scratch = tempfile.mkdtemp(prefix="backend-activity-cell-")
        except OSError as error:
            raise CellError(f"no directory for temporary files: {error}") from error
        ours: list[int] = []
        theirs: list[int] = []
        try:
            request_read, self._request = _pipe(theirs, ours)
            self._reply, reply_write = _pipe(ours, theirs)
            stdout_read, stdout_write = _pipe(ours, theirs)
            stderr_read, stderr_write = _pipe(ours, theirs)
            trace_read, trace_write = _pipe(ours, theirs)
            said_read, said_write = _pipe(ours, theirs)
            # never written to: that our end closes tells the keeper and the worker's process group to end
            watch_read, self._watch = _pipe(theirs, ours)
            config = {
                "request": request_read,
                "reply": reply_write,
                "trace": trace_write,
                "watch": watch_read,
                "said": said_write,
                "scratch": self._scratch,
                "parent": os.getpid(),
                "virtual": virtual,
                "memory_bytes": limits.memory_bytes,
                "file_bytes": limits.file_bytes,
                "message_bytes": limits.message_bytes,
                "processes": limits.processes,
                "path": path,
                "pythonpath": os.environ.get("PYTHONPATH"),
            }
            environment = dict(
                os.environ,
                PYTHONHASHSEED=str(hash_seed),
                PYTHONPATH=os.pathsep.join(path),
                PYTHONIOENCODING="utf-8:backslashreplace",
                TMPDIR=self._scratch,
            )
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", "harness.cell_worker", json.dumps(config)],
                stdin=subprocess.DEVNULL,
                stdout=stdout_write,
                stderr=stderr_write,
                pass_fds=(request_read, reply_write, trace_write, watch_read, said_write),
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            _close(ours)
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise CellError(f"no process could be started: {error}") from error
        finally:
            _close(theirs)
        self._ours = ours
        for fd in ours:
            os.set_blocking(fd, False)
        self._selector = selectors.DefaultSelector()
        streams = {
            stdout_read: self.stdout.add,
            stderr_read: self.stderr.add,
            trace_read: self.trace.add,
            said_read: self.said.add,
        }
        for fd, take in {**streams, self._reply: self._take_reply}.items():
            self._selector.register(fd, selectors.EVENT_READ, take)

    @property
    def returncode(self) -> int:
        """The exit code of the dead process, or minus the signal that ended it."""
        assert self._popen.returncode is not None
        return self._popen.returncode

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; it is written while `receive` waits."""
        if not self._outgoing:
            self._selector.register(self._request, selectors.EVENT_WRITE, None)
        self._outgoing += json.dumps(message).encode() + b"\n"

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next message. `deadline` is of `time.monotonic` (seconds).

        Raises TimeoutError, `ProcessEnded`, or `Garbled` with the reason.
        """
        while True:
            over = self._is_over()
            if over:
                self.drain()
            line = self._take_line()
            if line is not None:
                return _parse(line)
            if over:
                raise ProcessEnded
            now = time.monotonic()
            if self._closed_at is not None and now > self._closed_at + CLOSED_GRACE_S:
                raise Garbled("it was closed")
            if now >= deadline:
                raise TimeoutError
            self._pump(min(deadline - now, POLL_S))

    def drain(self) -> None:
        """Read what the pipes hold now; a pipe holds at most two chunks' worth, so this ends though more comes."""
        for _ in range(3):
            self._pump(0.0)

    def discard_output(self) -> None:
        """Drop what was printed up to now."""
        self.drain()
        for stream in (self.stdout, self.stderr, self.trace):
            stream.clear()

    def starved_s(self) -> float:
        """For how long the worker was ready to run and no core was free (s); 0 where the system does not tell."""
        keeper = self._popen.pid
        try:
            worker = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0]
            return int(Path(f"/proc/{worker}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def stacks(self) -> str:
        """Where the process stands, by its own signal handler; empty if it does not say."""
        self.trace.clear()
        with contextlib.suppress(OSError):
            os.kill(self._popen.pid, signal.SIGUSR2)  # the keeper passes it on
        deadline = time.monotonic() + STACKS_S
        while time.monotonic() < deadline and OUTERMOST_FRAME not in self.trace.text():
            self._pump(POLL_S)
        return self.trace.text()

    def kill(self) -> None:
        """End the worker and all that it started, keep what it printed, free everything. Repeating it is harmless."""
        if self._popen.returncode is None:
            self._ours.remove(self._watch)
            os.close(self._watch)
            self._popen.send_signal(signal.SIGCONT)  # a driver may have stopped its keeper
            try:
                self._popen.wait(KEEPER_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
            self.drain()
            if os.path.exists(self._scratch):  # the keeper did not come to it
                shutil.rmtree(self._scratch, ignore_errors=True)
        self._selector.close()
        _close(self._ours)

    def describe_end(self) -> str:
        """How the dead process ended, as a sentence without its subject."""
        code, reason = self.returncode, self.said.text()
        if reason:
            return f"the process was ended because {reason}"
        if code >= 0:
            return f"the process ended itself with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (the kernel does that when memory runs out, too)" if -code == signal.SIGKILL else ""
        return f"the process was ended by {name}{hint}"

    def _is_over(self) -> bool:
        if self._popen.returncode is not None:
            return True
        # WNOWAIT: it stays a zombie, which keeps its number taken until `kill`
        return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _pump(self, timeout: float) -> None:
        if not self._selector.get_map():
            time.sleep(timeout)
            return
        for key, events in self._selector.select(timeout):
            if events & selectors.EVENT_WRITE:
                self._write_request()
                continue
            try:
                data = os.read(key.fd, _CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                key.data(data)
            else:
                self._selector.unregister(key.fd)
                if key.fd == self._reply:
                    self._closed_at = time.monotonic()

    def _write_request(self) -> None:
        try:
            written = os.write(self._request, self._outgoing[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more; the process is about to be found dead
            written = len(self._outgoing)
        self._outgoing = self._outgoing[written:]
        if not self._outgoing:
            self._selector.unregister(self._request)

    def _take_reply(self, data: bytes) -> None:
        self._incoming += data

    def _take_line(self) -> bytes | None:
        end = self._incoming.find(b"\n")
        if max(end, len(self._incoming) if end < 0 else 0) > self._message_bytes:
            raise Garbled(f"a message of more than {self._message_bytes} bytes")
        if end < 0:
            return None
        line = bytes(self._incoming[:end])
        del self._incoming[: end + 1]
        return line


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Garbled(f"{line[:80]!r}")
    return message


def _pipe(reader: list[int], writer: list[int]) -> tuple[int, int]:
    read, write = os.pipe()
    reader.append(read)
    writer.append(write)
    return read, write


def _close(fds: list[int]) -> None:
    while fds:
        with contextlib.suppress(OSError):
            os.close(fds.pop())
