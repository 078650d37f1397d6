"""What a driver may change in its process for good: found out after each check, undone, and told.

A driver shares its process with other drivers in a Cinder service, and here with the harness. What it changes while it
is imported belongs to it; what it changes later, behind the back of its host, is noted. `PROTECTED` modules are those
that the harness itself calls, so that a driver that replaces their functions is found out rather than believed.
"""

from __future__ import annotations

import builtins
import contextlib
import datetime
import functools
import gc
import importlib
import inspect
import json
import logging
import operator
import os
import random
import re
import resource
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

PROTECTED: tuple[ModuleType, ...] = (
    builtins, time, os, sys, json, threading, random, datetime, uuid, signal, gc, functools, inspect, re, traceback,
    logging,
)  # fmt: skip
"""Modules of the standard library whose functions and classes a driver is to leave alone."""

_OURS = ("harness", "simulated_backends", "conformance", "reports")

_SHOWN = 8
"""How many changes are named; the rest is counted."""

_COUNTED_ANEW = ("_counter",)
"""Of `threading`: the harness itself counts threads anew in each world, so that their names repeat."""

_spoilt = False

# bound now, before any driver is imported: a driver may replace what it likes
_names: Callable[[ModuleType], dict[str, Any]] = vars
_all, _map, _zip, _is, _is_callable, _length = all, map, zip, operator.is_, callable, len
_KeyError, _picker = KeyError, operator.itemgetter
_cwd, _chdir, _umask = os.getcwd, os.chdir, os.umask
# `signal.getsignal` without the look-up in an enum
_getsignal: Callable[[int], Any] = importlib.import_module("_signal").getsignal
_signal, _set_timer = signal.signal, signal.setitimer
_environment = os.environ
_variables: Mapping[Any, Any] = vars(_environment).get("_data", _environment)  # what `os.environ` decodes, undecoded
_waitid = os.waitid
_SIGNALS = sorted(number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP))
_gettrace, _settrace, _getprofile, _setprofile = sys.gettrace, sys.settrace, sys.getprofile, sys.setprofile
_recursion_limit, _set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit
_threshold, _set_threshold = gc.get_threshold, gc.set_threshold
_fstat, _open = os.fstat, open
_getrlimit = resource.getrlimit
_LIMITS = tuple(getattr(resource, f"RLIMIT_{name}") for name in ("NOFILE", "AS", "FSIZE", "STACK", "CPU"))


def is_spoilt() -> bool:
    """Whether something was changed that makes this process unfit for the next check."""
    return _spoilt


class _Callables:
    """The functions and classes of a protected module, `names`, which are looked at all at once."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.namespace = _names(module)
        self.names = [
            name for name, value in self.namespace.items() if _is_callable(value) and name not in _COUNTED_ANEW
        ]
        self._size = _length(self.namespace)
        self._pick = _picker(*self.names)

    def read(self) -> tuple[Any, ...] | None:
        """What stands under the names now; None where the module has got other names."""
        return self._read() if _length(self.namespace) == self._size else None

    def still(self, before: tuple[Any, ...]) -> bool:
        """Whether the same stands under the names as before."""
        now = self._read()
        return now is not None and _all(_map(_is, now, before))

    def _read(self) -> tuple[Any, ...] | None:
        try:
            values: tuple[Any, ...] = self._pick(self.namespace)
        except _KeyError:
            return None
        return values


_known: dict[ModuleType, _Callables] = {}
"""What was found out about the protected modules."""


def _contents() -> list[tuple[_Callables, tuple[Any, ...]]]:
    found = []
    for module in PROTECTED:
        known = _known.get(module)
        values = None if known is None else known.read()
        if known is None or values is None:
            known = _known[module] = _Callables(module)
            values = known.read()
        assert values is not None
        found.append((known, values))
    return found


class ProcessState:
    """The state of this process, to be compared with later. Taken once the driver is imported."""

    def __init__(self) -> None:
        self._contents = _contents()
        self._modules = dict.copy(sys.modules)
        self._path = list(sys.path)
        self._settings = {name: _quietly(read) for name, (read, _) in _SETTINGS.items()}
        self._signals = [*_map(_getsignal, _SIGNALS)]

    def restore(self) -> list[str]:
        """Undo what was changed since, and return it in words. Anything found makes the process unfit (`is_spoilt`)."""
        global _spoilt
        found: list[str] = []
        for each, before in self._contents:  # first of all: what follows uses them
            if not each.still(before):
                now = each.namespace
                for name, value in _zip(each.names, before):
                    if now.get(name) is not value:
                        now[name] = value
                        found.append(f"{each.module.__name__}.{name}")
        if not _all(_map(_is, _map(sys.modules.get, self._modules), self._modules.values())):
            gone = [name for name, module in self._modules.items() if sys.modules.get(name) is not module]
            dict.update(sys.modules, self._modules)
            # importing a driver afresh, or a module that replaces itself, changes entries of its own
            found += [f"sys.modules[{name!r}]" for name in gone if _is_protected(name)]
        if sys.path != self._path:
            found.append("sys.path")
            sys.path[:] = self._path
        for number, handler, was in zip(_SIGNALS, _map(_getsignal, _SIGNALS), self._signals, strict=True):
            if handler is not was:
                name = signal.Signals(number).name if number in _NAMED else f"signal {number}"
                found.append(f"the handler of {name}")
                with contextlib.suppress(OSError, ValueError):
                    _signal(number, signal.SIG_DFL if was is None else was)  # None: one that C code had set
        if any(_set_timer(which, 0)[0] for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)):
            found.append("a timer that sends signals")
        for name, (read, put) in _SETTINGS.items():
            earlier = self._settings[name]
            if _quietly(read) != earlier:
                found.append(name)
                with contextlib.suppress(Exception):  # what can't be had back, a new process has
                    put(earlier)
        if found:
            _spoilt = True
        return found


def in_words(changes: list[str]) -> str:
    """A list of changes as a text: the first ones by name."""
    more = len(changes) - _SHOWN
    return ", ".join(changes[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


_NAMED = {int(number) for number in signal.Signals}


def _is_protected(name: str) -> bool:
    top = name.partition(".")[0]
    return top in _OURS or top in sys.stdlib_module_names


def _quietly(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _read_umask() -> int:
    mask = _umask(0o077)
    _umask(mask)
    return mask


def _put_environment(before: Mapping[Any, Any]) -> None:
    wanted = {os.fsdecode(name): os.fsdecode(value) for name, value in before.items()}
    for name in [name for name in _environment if name not in wanted]:
        del _environment[name]
    _environment.update(wanted)


def _put_streams(streams: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = streams


def _limits() -> list[tuple[int, int]]:
    return [_getrlimit(kind) for kind in _LIMITS]


def _children() -> str:
    try:
        _waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # which changes nothing
    except ChildProcessError:
        return ""  # none at all, of whatever thread
    with _open("/proc/thread-self/children") as file:
        return file.read()


def _descriptors() -> tuple[tuple[int, int] | None, ...]:
    """What the standard descriptors are open on, by device and inode."""
    seen: list[tuple[int, int] | None] = []
    for fd in range(3):
        try:
            status = _fstat(fd)
        except OSError:
            seen.append(None)
        else:
            seen.append((status.st_dev, status.st_ino))
    return tuple(seen)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "the working directory": (_cwd, _chdir),
    "the umask": (_read_umask, _umask),
    "environment variables": (lambda: dict(_variables), _put_environment),
    "the trace function": (_gettrace, _settrace),
    "the profile function": (_getprofile, _setprofile),
    "the recursion limit": (_recursion_limit, _set_recursion_limit),
    "the garbage collector's thresholds": (_threshold, lambda value: _set_threshold(*value)),
    "sys.stdout and sys.stderr": (lambda: (sys.stdout, sys.stderr), _put_streams),
    "the standard descriptors": (_descriptors, lambda _: None),
    "resource limits": (_limits, lambda _: None),
    "child processes": (_children, lambda _: None),
}
