"""The machine on which a hosted driver's commands run: answers each by acting on the backend.

A command that nobody knows is never answered: it is noted, and the harness itself is at fault (`HostingError`). What a
command does to the backend is a job on the driver's connection; a job whose caller died or lost its connection before
the answer is finished by whoever looks next, as a process on the machine outlives the one that started it.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, TypeVar
from weakref import WeakKeyDictionary

from harness.activity import HandleScope
from harness.cinder.files import Files
from harness.cinder.syntax import SyntaxUnknown, Words, syntax_of
from harness.cinder.world import runtime_here
from harness.contract import ActivityFailed, ActivityUnknown, NotSupported, VolumeIsBusy
from harness.driver_kit import IGNORED_WHEN_DELETING, run_job
from harness.hosting import NOTES, HostingError, noted
from harness.testbed import Connection, Job, NodeConnection

CURRENT: ContextVar[Machine | None] = ContextVar("the machine of the hosted driver that runs", default=None)


Answer = TypeVar("Answer")

ENVIRONMENT = ("LC_ALL", "LANG", "LVM_SYSTEM_DIR", "LVM_SUPPRESS_FD_WARNINGS")
"""Variables that may be set for a command and change nothing of what it does here."""


class CommandFailed(Exception):
    """A command ended with an exit status other than 0."""

    def __init__(self, stderr: str, code: int = 5, stdout: str = "") -> None:
        super().__init__(stderr)
        self.stderr = stderr
        self.code = code
        self.stdout = stdout


@dataclass
class Operation:
    """A job that a command has begun, and what it means for the machine once it is done."""

    job: Job
    request_id: str
    done: Callable[[], None]
    unwatched: bool = False


@dataclass
class Disk:
    """What a machine keeps on its own disk, and finds there after a restart; one for each backend of a world."""

    files: Files = field(default_factory=Files)
    operations: list[Operation] = field(default_factory=list)
    attached: dict[str, bool] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


_disks: WeakKeyDictionary[object, dict[str, Disk]] = WeakKeyDictionary()


@contextlib.contextmanager
def reaching(machine: Machine) -> Iterator[None]:
    """Let what a driver does meanwhile reach that machine.

    What the driver asked for and could not be given is raised at the end, the first of it, whatever the driver made of
    it; but for what ends a caller, such as its death, which nothing replaces.
    """
    before, notes = CURRENT.set(machine), NOTES.set(machine.notes)
    try:
        yield
    except Exception:
        if not machine.notes:
            raise
    finally:
        CURRENT.reset(before)
        NOTES.reset(notes)
    if machine.notes:
        raise machine.notes[0]


def disk_of(backend: str) -> Disk:
    """The disk of the machine before that backend, in the world that runs. Raises `HostingError` outside of one."""
    return _disks.setdefault(runtime_here("a machine was looked for"), {}).setdefault(backend, Disk())


def plain_words(command: tuple[str, ...]) -> list[str]:
    """The words of a command without the environment that is set for it."""
    words = list(command)
    while words and (words[0] == "env" or words[0].partition("=")[0] in ENVIRONMENT):
        del words[0]
    return words


class Machine:
    """Runs the commands of one driver instance.

    A subclass has a method `do_<command>` for each that it knows, or `do_<command>__<use>` for a command with several
    uses (`qemu-img info`); `honours` says beside each what words it takes, and a command with any other is not known.
    `name` is that of the backend; `options` are those of the driver.
    """

    testbeds: ClassVar[tuple[str, ...]]
    """The testbeds whose backends such a machine stands before."""

    plays_moves: ClassVar[bool] = True
    """Whether the driver is asked to migrate volumes; otherwise they move as with Cinder's `--force-host-copy`."""

    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options that a driver before such a machine is given where its configuration says nothing."""

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        """Raise ValueError, with what to do, for options of a driver that the machine can't play."""

    def __init__(self, name: str, connection: Connection, disk: Disk, options: Mapping[str, Any]) -> None:
        self.name = name
        self.connection = connection
        self.disk = disk
        self.files = disk.files
        self.options = options
        self.is_set_up = False
        """Whether the driver's setup is over; before, it finishes nothing that others have left."""
        self._jobs = 0
        self._changes = 0
        self.notes: list[Exception] = []
        """What the driver asked for and could not be given, by the machine or by what else stands in for its world."""

    @classmethod
    def before(cls, connection: Connection) -> type[Machine]:
        """The machine for a driver with that connection: this one, which acts on the backend by jobs.

        Raises `HostingError` before a backend that is a machine itself, unless a subclass knows how to use it.
        """
        if isinstance(connection, NodeConnection):
            raise HostingError(f"this testbed runs commands by itself, and {cls.__name__} plays them; name another one")
        return cls

    @classmethod
    def options_from(cls, connection: Connection) -> Mapping[str, Any]:
        """Options that the connection sets, whatever the driver's configuration says: none."""
        return {}

    def execute(self, command: tuple[str, ...]) -> tuple[str, str]:
        """Carry a command out; returns its standard output and standard error. Raises what `run` raises."""
        return self.run(command), ""

    @property
    def effects(self) -> int:
        """How often something was done: on the backend, to the machine itself, or to its files."""
        return self._jobs + self._changes + self.files.changes

    def changed(self) -> None:
        """Count that a command changes the machine itself, but not the backend."""
        self._changes += 1

    def run(self, command: tuple[str, ...]) -> str:
        """Carry a command out and return its standard output.

        Raises `CommandFailed`, `ConnectionLost`, or `HostingError` for a command that is not known.
        """
        given = list(command)
        words = plain_words(command)
        carry_out, name_words = self._carrier(words) if words else (None, 0)
        if carry_out is None:
            self.refuse(given, "no such command is known")
        try:
            read = syntax_of(carry_out).read(words, name_words)
        except SyntaxUnknown as error:
            self.refuse(given, str(error))
        if self.is_set_up:
            self.settle()
        return self.carefully(given, lambda: carry_out(read))

    def _carrier(self, words: list[str]) -> tuple[Callable[[Words], str] | None, int]:
        """What carries a command out, and of how many words its name is: of two where it has uses of its own."""
        name, *use = [re.sub(r"[^a-z0-9]", "_", word) for word in (words[0].rpartition("/")[2], *words[1:2])]
        for method, count in ((f"do_{name}__{''.join(use)}", 2), (f"do_{name}", 1)):
            carry_out: Callable[[Words], str] | None = getattr(self, method, None)
            if carry_out is not None:
                return carry_out, count
        return None, 1

    def answer(self, method: str, url: str, body: str) -> tuple[int, Any]:
        """Answer an HTTP request: the status, and what goes back as JSON. Raises `ConnectionLost`, or `HostingError`
        for a request that is not known, as all are to a machine that runs commands only."""
        self.refuse([method, url, body], "nothing answers HTTP here")

    def carefully(self, what: list[str], carry_out: Callable[[], Answer]) -> Answer:
        """Carry something out. What breaks down here for want of an argument, say, is refused: no fault of a driver."""
        try:
            return carry_out()
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self.refuse(what, f"{type(error).__name__}: {error}")

    def refuse(self, what: list[str], why: str) -> NoReturn:
        """Note that something can't be answered, and raise `HostingError`."""
        raise noted(HostingError(f"the simulated machine can't answer `{shlex.join(what)}`: {why}"))

    def adopt(self, driver: Any) -> None:
        """Replace what the driver reaches others by, once it is set up: nothing, where it reaches its machine only."""

    @staticmethod
    def request_id() -> str:
        """A new one, from the world's seed."""
        return str(uuid.uuid4())

    # ---- on the backend ----------------------------------------------------------------------------------------------

    def reach(self) -> None:
        """A look at the backend that changes nothing. Raises `ConnectionLost` where it is out of reach."""
        try:
            self.connection.status("look")
        except ActivityUnknown:
            return

    def perform(self, job: Job, done: Callable[[], None]) -> None:
        """Do a short job on the backend, then `done`; raises `CommandFailed`, `ConnectionLost`."""
        self._jobs += 1
        operation = Operation(job, self.request_id(), done)
        self.disk.operations.append(operation)
        try:
            self._finish(operation)
        except CommandFailed:
            raise
        except BaseException:  # the connection is lost, or the caller died: somebody else has to see to it
            operation.unwatched = True
            raise

    def settle(self) -> None:
        """See to the end of what nobody watches any more."""
        for operation in tuple(self.disk.operations):
            if operation.unwatched and operation in self.disk.operations:
                try:
                    self._finish(operation)
                except CommandFailed:
                    continue

    def _finish(self, operation: Operation) -> None:
        try:
            run_job(self.connection, operation.job, operation.request_id)
        except (ActivityFailed, VolumeIsBusy, NotSupported) as error:
            self._forget(operation)
            code = error.code if isinstance(error, ActivityFailed) else None
            repeated = operation.unwatched and code == "exists"  # done before, and no longer remembered
            if not repeated and not (operation.job.verb == "delete" and code == IGNORED_WHEN_DELETING):
                raise CommandFailed(f"  {error}") from error
        else:
            if not self._forget(operation):
                return
        operation.done()

    def _forget(self, operation: Operation) -> bool:
        if operation not in self.disk.operations:
            return False
        self.disk.operations.remove(operation)
        return True


def short(verb: str, **fields: Any) -> Job:
    """A job that goes on although its connection is lost, as a command of its own does."""
    return Job(verb, scope=HandleScope.UNRESTRICTED, **fields)


def option(words: list[str], *names: str) -> str | None:
    """The value of a command's option, as `Syntax.read` leaves it; None if it is not there."""
    return next((words[place + 1] for place, word in enumerate(words[:-1]) if word in names), None)
