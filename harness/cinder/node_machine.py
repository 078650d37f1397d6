"""A machine that is there in fact: the driver's commands run on it, and its files are looked at where they are.

Nothing is played here. What the machine lacks is never answered: it ends the check as a harness error that names it.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from harness.cinder.files import Device, Files
from harness.cinder.machine import CommandFailed, Disk, Machine, plain_words
from harness.hosting import HostingError, NotPlayed, noted
from harness.testbed import Connection, NodeConnection


class NodeMachine(Machine):
    """Runs commands through the driver's connection, which is one to the machine (`NodeConnection`)."""

    reports: ClassVar[frozenset[str]] = frozenset()
    """Commands that tell something and change nothing, by their first word or their first two."""

    def __init__(self, name: str, connection: Connection, disk: Disk, options: Mapping[str, Any]) -> None:
        super().__init__(name, connection, disk, options)
        assert isinstance(connection, NodeConnection)
        self.node: NodeConnection = connection
        self.files = NodeFiles(connection)

    @classmethod
    def before(cls, connection: Connection) -> type[Machine]:
        """See `Machine.before`. Raises `HostingError` before a simulated backend, on which nothing can be run."""
        if not isinstance(connection, NodeConnection):
            raise HostingError(f"{cls.__name__} needs a testbed that runs commands")
        return cls

    @classmethod
    def options_from(cls, connection: Connection) -> Mapping[str, Any]:
        """See `Machine.options_from`: where on the machine the storage is."""
        return connection.node_options() if isinstance(connection, NodeConnection) else {}

    def run(self, command: tuple[str, ...]) -> str:
        """See `Machine.run`."""
        return self.execute(command)[0]

    def execute(self, command: tuple[str, ...]) -> tuple[str, str]:
        """See `Machine.execute`."""
        words = plain_words(command)
        if self.reports.isdisjoint((" ".join(words[:1]), " ".join(words[:2]))):
            self.changed()  # it might have: what a command does there is not looked at
        try:
            done = self.node.execute(command)
        except LookupError as error:
            raise noted(HostingError(f"the machine can't run `{shlex.join(command)}`: {error}")) from error
        if done.status:
            raise CommandFailed(done.stderr, done.status, done.stdout)
        return done.stdout, done.stderr

    def settle(self) -> None:
        """See `Machine.settle`: processes end by themselves."""


class NodeFiles(Files):
    """The files of a machine that is there: whether they are, and no more."""

    def __init__(self, node: NodeConnection) -> None:
        self.os = _Os(node)
        self.shutil = _Nothing("shutil")
        self.images = {}
        self.changes = 0
        self.is_volume: Callable[[str], bool] = lambda path: path.startswith("/dev/")

    def open(self, path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        """See `Files.open`."""
        if isinstance(path, str) and "b" in mode and self.is_volume(path):
            return Device(path)
        raise noted(NotPlayed(f"the driver opens {path} by itself, which is not carried to the machine"))


class _Nothing:
    """A module of which nothing is carried to the machine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise noted(HostingError(f"the driver used {self._name}.{name}, which is not carried to the machine"))


class _Os(_Nothing):
    """Stands in for `os`: paths are composed here, and looked for there."""

    def __init__(self, node: NodeConnection) -> None:
        super().__init__("os")
        self.path = _Path(node)


class _Path(_Nothing):
    """Stands in for `os.path`."""

    def __init__(self, node: NodeConnection) -> None:
        super().__init__("os.path")
        self.exists = node.exists
        self.join, self.basename, self.dirname = posixpath.join, posixpath.basename, posixpath.dirname
