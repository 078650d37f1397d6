"""No way around the boundary: what a hosted driver does to real files, or over a real network, is refused, loudly.

Modules in which drivers' code runs are shown the machine's files (`harness.cinder.files`). A module that nobody knows
of, imported late or found in another package, still has the real `open`, pathlib has it always, and libraries other
than requests have real sockets. While a hosted driver's method runs, each such attempt is an error of the harness that
shows it. Python's own reading of code, and of what lies beside it, is not.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

from harness.cinder import files
from harness.cinder.machine import CURRENT
from harness.hosting import HostingError, noted

_FILES = frozenset(
    {"open", "os.chflags", "os.chmod", "os.chown", "os.getxattr", "os.link", "os.listdir", "os.listxattr", "os.mkdir"}
    | {"os.remove", "os.removexattr", "os.rename", "os.rmdir", "os.scandir", "os.setxattr", "os.symlink"}
    | {"os.truncate", "os.utime"}
)
"""Audit events of real files; their first argument is the path."""
_NETWORK = frozenset(f"socket.{name}" for name in ("bind", "connect", "getaddrinfo", "gethostbyname", "sendto"))
_SILENT = ("stat", "lstat", "access", "readlink", "statvfs")
"""Functions of `os` that look at files and raise no audit event."""
_state = {"installed": False, "answering": False}


def install() -> None:
    """Watch from now on, for good; nothing is refused but what a hosted driver does. Repeating it is harmless."""
    if _state["installed"]:
        return
    _state["installed"] = True
    sys.addaudithook(_watch)
    for name in _SILENT:
        real = getattr(os, name)
        guarded = _guarded(name, real)
        files.wrapped(guarded, real)
        setattr(os, name, guarded)


def open_files(namespace: dict[str, Any]) -> list[str]:
    """The names in a module's namespace that are bound to real files, opened when it was imported."""
    usual = (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return [
        name
        for name, value in namespace.items()
        if isinstance(value, io.IOBase)
        and not isinstance(value, (io.StringIO, io.BytesIO))
        and not any(value is each for each in usual)
    ]


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _FILES and arguments:
        writes = event != "open" or not _only_reads(arguments)
        _refuse_path(event, arguments[0], writes and event not in ("os.listdir", "os.scandir"))
    elif event in _NETWORK and CURRENT.get() is not None:
        raise noted(
            HostingError(f"the driver used the real network: {event} {arguments[1:2]}; only requests is played")
        )


def _only_reads(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return not set(mode or "") & set("wxa+") and not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))


def _guarded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def look(path: Any, *args: Any, **options: Any) -> Any:
        _refuse_path(f"os.{name}", path, False)
        return real(path, *args, **options)

    look.__name__ = look.__qualname__ = name
    return look


def _refuse_path(what: str, path: Any, writes: bool) -> None:
    if CURRENT.get() is None or isinstance(path, int) or path is None or _state["answering"]:
        return
    _state["answering"] = True  # what is asked below looks at files itself
    try:
        place = os.path.abspath(os.fsdecode(path))
        code = any(place == root or place.startswith(f"{root}{os.sep}") for root in _roots())
    finally:
        _state["answering"] = False
    if not code or (writes and "__pycache__" not in place):
        raise noted(
            HostingError(f"the driver came to the real file system by {what} {place}, past its machine's files")
        )


def _roots() -> list[str]:
    """The folders that code is read from."""
    return [root for root in (sys.prefix, sys.base_prefix, *sys.path) if root not in ("", os.sep)]
