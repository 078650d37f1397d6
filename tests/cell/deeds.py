"""What the tests of the cell let it do: each function is called by name inside the worker."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any


def echo(**arguments: Any) -> Any:
    """Return what was given."""
    return arguments


def process_id() -> int:
    """Return the worker's process id."""
    return os.getpid()


def hash_of(text: str) -> int:
    """Return the salted hash of a text."""
    return hash(text)


def work(cpu_s: float) -> str:
    """Keep a core busy for so many seconds of processor time."""
    while True:
        used = resource.getrusage(resource.RUSAGE_SELF)
        if used.ru_utime + used.ru_stime >= cpu_s:
            return "done"


def spin() -> None:
    """Never return, and never wait either."""
    while True:
        pass


def block() -> None:
    """Wait for what never comes."""
    read, _write = os.pipe()
    os.read(read, 1)


def leave(code: int) -> None:
    """End the process without any clean-up."""
    print("going")
    os._exit(code)


def sys_exit(code: Any) -> None:
    """Raise SystemExit."""
    sys.exit(code)


def kill_self(number: int) -> None:
    """End the process by a signal."""
    os.kill(os.getpid(), number)
    signal.pause()


def fail() -> None:
    """Raise an ordinary exception."""
    raise RuntimeError("the array is on fire")


class Unspeakable(Exception):
    """An exception whose message can't be read."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def fail_unspeakably() -> None:
    """Raise an exception that can't be turned into text."""
    raise Unspeakable


def hoard() -> None:
    """Use up all memory there is."""
    kept = []
    while True:
        kept.append(bytearray(16 << 20))


def hoard_natively() -> None:
    """Die as a C++ library does when it gets no memory."""
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def chatter(lines: int) -> str:
    """Print lines of 1,000 characters to both streams, and return."""
    for _ in range(lines):
        os.write(1, b"o" * 999 + b"\n")
        os.write(2, b"e" * 999 + b"\n")
    return "done"


def say(out: str, err: str) -> None:
    """Print to both streams."""
    print(out)
    print(err, file=sys.stderr)


def read_stdin() -> str:
    """Read all of standard input."""
    return sys.stdin.read()


def scribble(text: str) -> None:
    """Write to every descriptor that can be written to, the harness's own among them."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.write(int(name), text.encode())


def close_everything() -> None:
    """Close all descriptors, as daemons do."""
    os.closerange(3, 4096)


def unserialisable() -> object:
    """Return what is no JSON."""
    return object()


def bulky(size: int) -> str:
    """Return a text of that many characters."""
    return "x" * size


def breed(path: str, outcome: str) -> None:
    """Start child processes that hold the pipe `path` open for ever; then hang or return."""
    code = "import signal; signal.pause()"
    os.open(path, os.O_WRONLY)  # before the children, who inherit another
    for _ in range(3):
        with open(path, "w") as pipe:
            subprocess.Popen([sys.executable, "-S", "-E", "-c", code], pass_fds=[pipe.fileno()])
    if outcome == "hang":
        signal.pause()
    if outcome == "exit":
        os._exit(0)


def die_later(path: str) -> None:
    """Leave a thread behind that ends the process once something is read from the pipe `path`."""

    def wait() -> None:
        with open(path) as pipe:
            pipe.read(1)
        os._exit(9)

    threading.Thread(target=wait, daemon=True).start()


def add_import_path_module(name: str) -> str:
    """Import a module by name and return its file."""
    return str(__import__(name).__file__)


def escape(path: str, outcome: str) -> None:
    """Start a daemon in a session of its own, without environment, that holds the pipe `path` open; then end, or not.

    It is the child of a child that is over, as daemons are.
    """
    writer = os.open(path, os.O_WRONLY)
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.set_inheritable(writer, True)
            code = "import signal; signal.pause()"
            os.execve(sys.executable, [sys.executable, "-S", "-E", "-c", code], {})
        os._exit(0)
    os.waitpid(child, 0)
    if outcome == "hang":
        signal.pause()
    if outcome == "exit":
        os._exit(0)


def signal_parent(number: int, answer: bool) -> str:
    """Send a signal to the parent process; then return, or wait for ever."""
    os.kill(os.getppid(), number)
    if not answer:
        signal.pause()
    return "alive"


def multiply(count: int) -> None:
    """Start that many processes that do nothing, and wait."""
    for _ in range(count):
        if os.fork() == 0:
            signal.pause()
    signal.pause()


def hoard_together(count: int, megabytes: int) -> None:
    """Let each of so many processes take so much memory, and wait."""
    for _ in range(count):
        if os.fork() == 0:
            kept = b"x" * (megabytes << 20)
            signal.pause()
            del kept
    signal.pause()


def fill_file(path: str, size: int) -> None:
    """Write a file of that many bytes."""
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(b"x" * (1 << 20))


def close_standard_streams() -> None:
    """Close standard input, output and error."""
    for fd in range(3):
        os.close(fd)


def fork_and_return() -> str:
    """Fork without more ado: parent and child both come back from here."""
    return "child" if os.fork() == 0 else "parent"


def leave_files(depth: int) -> str:
    """Leave files where temporary files go, nested deeply; the directory that they lie in."""
    directory = tempfile.gettempdir()
    os.chdir(directory)
    for _ in range(depth):
        os.mkdir("deeper")
        os.chdir("deeper")
    with open("left", "w") as file:
        file.write("behind")
    os.chdir("/")
    return directory
