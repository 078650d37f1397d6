"""A driver's connection to the machine: commands that run there, and what of them is on the record as activities."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from harness.activity import ActivityStatus, ConnectionIdentity
from harness.contract import ActivityUnknown
from harness.hosting import HostingError
from harness.real_targets.backing.backend import WallConnection
from harness.recorder import Recorder
from harness.runtime import Runtime
from harness.schedule import Fault
from harness.testbed import ActivityView, CommandResult, Exporter, Job

from .group import GroupStore
from .meaning import Meaning, meaning_of

_POLL_S = 0.02
_NUMBERS = itertools.count(1)


class Processes:
    """The processes that drivers have started on one backend's machine; implements `harness.connection.Jobs`, as far
    as a machine without jobs can."""

    def __init__(self, runtime: Runtime, recorder: Recorder, backend: str) -> None:
        self.runtime = runtime
        self._recorder = recorder
        self._backend = backend
        self._guard = threading.Lock()
        self._running: dict[int, Meaning] = {}

    def start(self, identity: ConnectionIdentity, job: Job, request_id: str) -> NoReturn:
        """See `Connection.start`; there are no jobs."""
        raise HostingError(
            f"the testbed lvm runs commands of Cinder's LVM driver, and has no job {job.verb!r}; name another testbed"
        )

    def status(self, identity: ConnectionIdentity, handle: str) -> ActivityStatus:
        """See `Connection.status`; no handle is known."""
        raise ActivityUnknown(handle)

    def abort(self, identity: ConnectionIdentity, handle: str) -> NoReturn:
        """See `Connection.abort`; no handle is known."""
        raise ActivityUnknown(handle)

    def connection_ended(self, connection_id: str, broke: bool) -> None:
        """Whoever waits for a process on that connection notices by itself."""

    def views(self) -> tuple[ActivityView, ...]:
        """The processes that run now and are on the record."""
        with self._guard:
            running = list(self._running.items())
        return tuple(ActivityView(str(n), m.verb, m.target or m.source, "running", None) for n, m in running)

    def plan_fault(self, fault: Fault) -> NoReturn:
        """No process fails on request."""
        raise ValueError(f"no process of the machine can be made to fail by {fault.kind}")

    def filling(self) -> set[str]:
        """The ids of objects into which a copy is under way."""
        with self._guard:
            return {meaning.target for meaning in self._running.values() if meaning.verb == "copy"}

    @contextlib.contextmanager
    def on_record(self, number: int, command: tuple[str, ...], host: str) -> Iterator[list[CommandResult]]:
        """While it lasts the command is under way; its result goes into the list."""
        meaning, result = meaning_of(command), list[CommandResult]()
        if meaning is None:
            yield result
            return
        with self._guard:
            self._running[number] = meaning
        common = {"backend": self._backend, "handle": str(number), "verb": meaning.verb, "target": meaning.target}
        self._recorder.emit("activity.started", **common, source=meaning.source, scope="connection", host=host)
        try:
            yield result
        finally:
            with self._guard:
                self._running.pop(number)
            done = bool(result) and result[0].status == 0
            error = None if done else result[0].stderr if result else "killed, or nobody waited for its end"
            self._recorder.emit("activity.ended", **common, state="done" if done else "failed", error=error)


class Node(WallConnection):
    """Implements `harness.testbed.NodeConnection`.

    A command goes on to its end where its caller has died or lost the connection, as a process does that nobody waits
    for; but for `dd`, which ends with the service that started it.
    """

    def __init__(self, store: GroupStore, address: str, export_by: Callable[[Exporter], None], *others: object) -> None:
        """`others` are the arguments of `WallConnection`."""
        super().__init__(*others)  # type: ignore[arg-type]
        self._store = store
        self._address = address
        self._export_by = export_by

    def execute(self, command: tuple[str, ...]) -> CommandResult:
        """See `NodeConnection.execute`."""
        self._travel()
        copies = "dd" in command
        turn = contextlib.nullcontext() if copies else self._store.turn
        with turn:
            result = self._run(command, copies)
        self._return("execute")
        return result

    def _run(self, command: tuple[str, ...], copies: bool) -> CommandResult:
        machine, number = self._store.machine, next(_NUMBERS)
        engine = self._engine
        assert isinstance(engine, Processes)
        with engine.on_record(number, command, self.caller.host) as result:
            if not machine.ask("begin", number=number, argv=list(command)):
                raise LookupError(f"it has no command {command[0]}")
            try:
                while not result:
                    self._runtime.checkpoint()
                    self._check()
                    told = machine.ask("ended", number=number, within_s=_POLL_S)
                    if told is not None:
                        result.append(CommandResult(*told))
            except BaseException:
                while not copies and not result:
                    told = machine.ask("ended", number=number, within_s=_POLL_S)
                    if told is not None:
                        result.append(CommandResult(*told))
                machine.ask("kill", number=number)
                raise
        if result[0].status == 127:  # what env(1) says where there is no such command
            raise LookupError(result[0].stderr.strip())
        return result[0]

    def exists(self, path: str) -> bool:
        """See `NodeConnection.exists`."""
        self._travel()
        found = bool(self._store.machine.ask("exists", path=path))
        self._return("exists")
        return found

    def node_options(self) -> Mapping[str, str]:
        """See `NodeConnection.node_options`: this backend's volume group, and where LIO listens."""
        return {
            "volume_group": self._store.group,
            "target_ip_address": self._address,
            "target_prefix": self._store.target_prefix,
        }

    def export_by(self, exporter: Exporter) -> None:
        """See `NodeConnection.export_by`."""
        self._export_by(exporter)
