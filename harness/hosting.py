"""Drivers that were not written for this harness: plug-ins that host them, found by the package they descend from.

A host is registered under the entry point group `backend_activity.hosts`; the entry point's name is the top-level
package whose classes it hosts. A driver belongs to a host if its class, or one that it inherits from, lies in that
package; so a vendor's own driver, derived from the package's base class, is hosted as those of the package are.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from importlib import metadata
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Protocol, TypeVar

from harness.importing import CandidateError

HOST_GROUP = "backend_activity.hosts"
"""The entry point group of hosts."""


class HostingError(Exception):
    """A hosted driver asked for something that the harness does not know how to answer: never the driver's fault.

    The message shows what was asked for. Nothing that a check finds after it counts.
    """


class NotPlayed(Exception):
    """What a method of a hosted driver needs is known not to be played; what depends on it is unverifiable."""


NOTES: ContextVar[list[Exception] | None] = ContextVar("what the driver that runs could not be given", default=None)
"""Where `noted` notes; the host sets it while a driver's method runs."""

Cause = TypeVar("Cause", HostingError, NotPlayed)


def noted(cause: Cause) -> Cause:
    """The exception, to be raised inside of a driver's method; it counts whatever the driver makes of it."""
    notes = NOTES.get()
    if notes is not None:
        notes.append(cause)
    return cause


class Host(Protocol):
    """What hosts the drivers of one package."""

    def testbeds(self, reference: str) -> tuple[str, ...]:
        """The testbeds that play what that class (`module:Class`) speaks to; () where only the class can tell.

        Imports nothing of the package.
        """

    def prepare(self) -> None:
        """Called in the process of the driver, before it is imported. Repeating it is harmless. Raises `ImportError`
        where the package is not installed."""

    def check(self, cls: type, options: Mapping[str, Any]) -> None:
        """Raise ValueError, with what to do, for a class or options that can't be hosted."""

    def hosted(self, cls: type, options: Mapping[str, Any]) -> type:
        """The class as the harness drives it: constructed and called as `harness.contract` has it."""


@functools.cache
def host_of_package(package: str) -> Host | None:
    """The host of a top-level package, or None. Raises `CandidateError` where what it needs is not installed."""
    for entry in metadata.entry_points(group=HOST_GROUP):
        if entry.name == package:
            try:
                host: Host = entry.load()()
            except ImportError as error:
                remedy = f"install it with: pip install 'backend-activity-harness[{package}]'"
                raise CandidateError(f"hosting drivers of {package} needs more ({error}); {remedy}") from error
            return host
    return None


def host_of_reference(reference: str) -> Host | None:
    """The host of a class given as `module:Class`, by its own package alone; nothing of it is imported."""
    return host_of_package(reference.partition(":")[0].partition(".")[0])


def host_of_class(cls: type) -> Host | None:
    """The host of a class, by the packages of all that it inherits from."""
    for base in type.__dict__["__mro__"].__get__(cls):
        host = host_of_package(str(type.__getattribute__(base, "__module__")).partition(".")[0])
        if host is not None:
            return host
    return None


@contextlib.contextmanager
def preparing(prepare: Callable[[Host], None]) -> Iterator[None]:
    """While a driver's module is imported: once it imports a hosted package, `prepare` that package's host.

    So the host is ready before any module of the package is executed, also where only the driver's code says that it
    builds on that package.
    """
    finder = _Preparer(prepare)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Preparer:
    """Finds hosted packages as the other finders do, and has their hosts prepared when they have been executed."""

    def __init__(self, prepare: Callable[[Host], None]) -> None:
        self._prepare = prepare
        self._names = {entry.name for entry in metadata.entry_points(group=HOST_GROUP)}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`."""
        if name not in self._names:
            return None
        others = (each for each in tuple(sys.meta_path) if each is not self)
        spec = next(filter(None, (each.find_spec(name, path, target) for each in others)), None)
        loader: Any = None if spec is None else spec.loader
        if hasattr(loader, "exec_module"):
            execute = loader.exec_module

            def execute_and_prepare(module: ModuleType) -> None:
                execute(module)
                host = host_of_package(name)
                if host is not None:
                    self._prepare(host)

            loader.exec_module = execute_and_prepare
        return spec
