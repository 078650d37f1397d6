"""The programs of a real target, as long as a testbed lives: started by a keeper that outlives every kind of death."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

KEEPER = Path(__file__).with_name("keeper.py")


class ProgramFailed(Exception):
    """A program of the target could not be started, or has ended; the message has the end of what it printed."""


class Programs:
    """Starts programs and ends them all in `close`, or when this process ends, however it does.

    Then the `directories`, absolute paths of what was made for them, are removed.
    """

    def __init__(self, *directories: Path) -> None:
        self._guard = threading.Lock()
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), *map(str, directories)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt at the terminal is for the run, which then closes the pipe
        )

    def start(self, argv: list[str], cwd: Path, log: Path, env: Mapping[str, str] | None = None) -> Program:
        """Start a program in a directory, with `env` in its environment; what it prints goes to the file `log`.

        Raises `ProgramFailed`.
        """
        wanted = {"argv": argv, "cwd": str(cwd), "log": str(log), "env": dict(env or {})}
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        with self._guard:
            try:
                self._keeper.stdin.write(json.dumps(wanted) + "\n")
                self._keeper.stdin.flush()
                answer = json.loads(self._keeper.stdout.readline())
            except (OSError, ValueError):
                raise ProgramFailed("the process that keeps the target's programs has ended") from None
        if "error" in answer:
            raise ProgramFailed(f"can't start {answer['error']}")
        return Program(int(answer["pid"]), argv[0], log)

    def close(self) -> None:
        """End every program and remove the directories; returns once they are gone. Repeating it is harmless."""
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        with self._guard:
            if not self._keeper.stdin.closed:
                self._keeper.stdin.close()
                self._keeper.wait()
                self._keeper.stdout.close()


class Program:
    """One program that was started."""

    def __init__(self, pid: int, path: str, log: Path) -> None:
        self.pid = pid
        self.name = Path(path).name
        self._log = log
        self._freezing = threading.Lock()

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return state_of(Path(f"/proc/{self.pid}/stat")) not in ("", "Z", "X")

    def must_run(self) -> None:
        """Raises `ProgramFailed` with the end of what it printed if the program has ended."""
        if not self.is_running:
            raise ProgramFailed(f"{self.name} has ended: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what the program printed."""
        try:
            return self._log.read_text(errors="replace").strip()[-500:] or "it printed nothing"
        except OSError:
            return "it printed nothing"

    def stop(self) -> None:
        """Stop every thread (SIGSTOP); returns once none can do anything any more. Raises `ProgramFailed`."""
        try:
            os.kill(self.pid, signal.SIGSTOP)
        except ProcessLookupError:
            raise ProgramFailed(f"{self.name} has ended: {self.last_words()}") from None
        while True:
            states = [state_of(path / "stat") for path in Path(f"/proc/{self.pid}/task").iterdir()]
            if all(state in ("T", "t", "") for state in states):
                return
            if "Z" in states or not states:
                raise ProgramFailed(f"{self.name} has ended: {self.last_words()}")
            os.sched_yield()

    def go_on(self) -> None:
        """Let a stopped program go on."""
        os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While it lasts every thread is stopped between system calls. Raises `ProgramFailed`."""
        with self._freezing:
            self.stop()
            try:
                yield
            finally:
                self.go_on()

    def kill(self) -> None:
        """Kill the program at once."""
        os.kill(self.pid, signal.SIGKILL)


def state_of(stat: Path) -> str:
    """The state in a /proc/…/stat file, "" if there is no such process or thread."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
