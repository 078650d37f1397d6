"""Keeps the programs of a real target, and ends them when whoever asked for them is gone.

    python -I -S keeper.py [DIRECTORY…]

Each line of standard input asks for a program: a JSON object with `argv`, `cwd`, `env` (added to the keeper's own) and
`log` (the file for what it prints). Each is answered by a line with its `pid`, or the `error` for which it could not be
started. Once standard input is closed, by a clean end or by a death, every program is killed with its process group and
waited for; then the directories, absolute paths of what was made for the programs, are removed. Should the keeper be
killed itself, the kernel kills its programs (PR_SET_PDEATHSIG of prctl(2)).
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve until standard input is closed; returns the exit status."""
    directories = sys.argv[1:]
    pids: list[int] = []
    try:
        libc = ctypes.CDLL(None)
    except OSError:
        libc = None
    for number in (signal.SIGINT, signal.SIGTERM):  # an interrupted run closes the pipe in its own time
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin:
        wanted = json.loads(line)
        try:
            pids.append(start(libc, wanted["argv"], wanted["cwd"], wanted["env"], wanted["log"]))
            answer: dict[str, object] = {"pid": pids[-1]}
        except OSError as error:
            answer = {"error": f"{wanted['argv'][0]}: {error.strerror}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in pids:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, 0)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def start(libc: ctypes.CDLL | None, argv: list[str], cwd: str, env: dict[str, str], log: str) -> int:
    """Start one program in a process group of its own; returns its process id. Raises OSError."""
    keeper = os.getpid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    told, tell = os.pipe()  # closes at exec, or brings the error number
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            if libc is not None and hasattr(libc, "prctl"):
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(1)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(nothing, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(cwd)
            os.execve(argv[0], argv, {**os.environ, **env})
        except OSError as error:
            os.write(tell, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(tell)
    os.close(output)
    os.close(nothing)
    with os.fdopen(told, "rb") as pipe:
        failed = pipe.read()
    if failed:
        os.waitpid(pid, 0)
        raise OSError(int(failed), os.strerror(int(failed)))
    return pid


if __name__ == "__main__":
    sys.exit(main())
