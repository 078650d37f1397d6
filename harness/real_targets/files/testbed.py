"""The testbed `files`: volumes are sparse files, activities are copying processes, the clock is the wall's.

What is real: every byte is written and read with system calls, copies are made by processes of their own beside the
writers, and what they make is read back from the files. What is ours: the job table with its handle scopes
(`harness.backend_jobs`) and the connections, which are objects of this process.

Options: `directory` (where the temporary directory is made; its file system must know holes), `whole_copy_s` (seconds
that a copying process takes for one GiB, data or not), `snapshots_depend_on_volume` (a volume that has snapshots can't
be deleted or moved).
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection
from harness.contract import ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime import SECOND, Runtime, nanoseconds
from harness.runtime.factory import open_runtime
from harness.schedule import Fault, random_source
from harness.storage import Image, ObjectUnknown
from harness.testbed import Capability, Inspection, LossPolicy, Profile

from .attachment import FileAttachment
from .faults import KINDS, DrainStalls, Pauses, at_event
from .medium import Workspace
from .store import FileStore

MILLISECOND = SECOND // 1000
ROUND_TRIP_NS = MILLISECOND // 5
"""Nanoseconds that a call on a connection takes."""
FAMILIES = {"primary": "files", "sibling": "files", "stranger": "foreign-files"}
"""Backend → its driver family."""
OPTIONS = ("directory", "snapshots_depend_on_volume", "whole_copy_s")


def scaled_profile(whole_copy_s: float, snapshots_depend_on_volume: bool) -> Profile:
    """The profile; no figure is that of a product: all times are scaled down so that a check takes a second or so."""
    return Profile(
        name="files",
        source=(
            "scaled: set by this testbed so that a check takes a second or so; the copying time is per GiB, timers of"
            " the loss of a connection are about 1/1000 of common iSCSI defaults"
        ),
        loss=LossPolicy(
            detection_ns=30 * MILLISECOND,
            time2wait_ns=20 * MILLISECOND,
            time2retain_ns=40 * MILLISECOND,
            abort_latency_ns=10 * MILLISECOND,
        ),
        max_hold_ns=SECOND,
        quiesce_timeout_ns=SECOND // 2,
        retention_ns=2 * SECOND,
        settle_ns=50 * MILLISECOND,
        whole_copy_ns=nanoseconds(whole_copy_s),
        snapshots_depend_on_volume=snapshots_depend_on_volume,
        think_ns=MILLISECOND,
    )


class FilesConnection(BackendConnection):
    """A driver's connection; its calls wait while the caller's host stands still."""

    def __init__(self, pauses: Pauses, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._pauses = pauses

    def _cross(self) -> None:
        self._pauses.pass_call(self.caller.host)


class FilesBackend:
    """Implements `harness.testbed.Backend`: a directory of files, a job engine, and the connections to it."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        store: FileStore,
        engine: JobEngine,
        stalls: DrainStalls,
        pauses: Pauses,
        seed: int,
    ) -> None:
        self.name = store.name
        self.family = store.family
        self.store = store
        self.engine = engine
        self._runtime = runtime
        self._recorder = recorder
        self._stalls = stalls
        self._pauses = pauses
        self._seed = seed
        self._guard = threading.Lock()
        self._numbers = itertools.count(1)
        self._connections: dict[str, BackendConnection] = {}
        self._replies_to_lose: list[str] = []
        self._is_closed = False

    def connect(self, caller: Caller) -> BackendConnection:
        """See `harness.testbed.Backend.connect`. Raises `ConnectionLost` once the testbed is closed."""
        self._runtime.checkpoint()
        self._pauses.pass_call(caller.host)
        with self._guard:
            if self._is_closed:
                raise ConnectionLost(f"backend {self.name} is closed")
            connection = FilesConnection(
                self._pauses,
                self._runtime,
                self._recorder,
                self.engine,
                caller,
                f"{self.name}-{next(self._numbers)}",
                ROUND_TRIP_NS,
                self._forget,
            )
            self._connections[connection.identity.connection_id] = connection
            if caller.host in self._replies_to_lose:
                self._replies_to_lose.remove(caller.host)
                connection.lose_next_reply()
        self._recorder.emit(
            "connection.opened",
            backend=self.name,
            host=caller.host,
            user=caller.user,
            id=connection.identity.connection_id,
        )
        return connection

    def attach(self, volume_id: str, host: str) -> FileAttachment:
        """See `harness.testbed.Backend.attach`."""
        self._runtime.checkpoint()

        def source_of_load() -> random.Random:
            return random_source(self._seed, "load", volume_id, host, str(next(self._numbers)))

        volume = self.store.volume_file(volume_id)
        return FileAttachment(self._runtime, self._recorder, self.store, volume, host, self._stalls, source_of_load)

    def inspect(self) -> Inspection:
        """See `harness.testbed.Backend.inspect`; images are those of complete objects."""
        objects = self.store.objects()
        images: dict[str, Image] = {}
        for found in objects:
            if found.complete:
                try:
                    images[found.id] = self.store.image(found.id)
                except ObjectUnknown:  # deleted or moved away meanwhile
                    continue
        with self._guard:
            connections = len(self._connections)
        return Inspection(objects, images, self.engine.views(), self.store.used_bytes(), connections)

    def connections_of(self, host: str) -> list[BackendConnection]:
        """The open connections of a host, oldest first; of every host for ""."""
        with self._guard:
            return [c for c in self._connections.values() if host in ("", c.caller.host)]

    def lose_next_reply_to(self, host: str) -> None:
        """Lose the answer to the next start of a host: on its newest connection, or on the next that it opens."""
        found = self.connections_of(host)
        if found:
            found[-1].lose_next_reply()
        else:
            with self._guard:
                self._replies_to_lose.append(host)

    def close(self) -> None:
        """Refuse new connections and stop what runs."""
        with self._guard:
            self._is_closed = True
        self.store.close()

    def _forget(self, connection: BackendConnection, broke: bool) -> None:
        with self._guard:
            self._connections.pop(connection.identity.connection_id, None)


class FilesTestbed:
    """Implements `harness.testbed.Testbed` with files. Raises `ValueError` for an unknown or senseless option."""

    __test__: ClassVar[bool] = False
    name: ClassVar[str] = "files"
    virtual: ClassVar[bool] = False
    offers: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.CONNECTION_BREAK,
            Capability.JOB_FAULTS,
            Capability.DRAIN_STALL,
            Capability.CALLER_PAUSE,
            Capability.SECOND_FAMILY,
            Capability.LIVE_MOVE,
        }
    )
    faults: ClassVar[frozenset[str]] = frozenset(KINDS)

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        whole_copy_s, depend, directory = _read_options(options)
        self.profile = scaled_profile(whole_copy_s, depend)
        self.runtime: Runtime = open_runtime(self.virtual)
        self.recorder = Recorder(self.runtime.now)
        self._workspace = Workspace(directory)
        self._stalls = DrainStalls(self.runtime, self.recorder)
        self._pauses = Pauses(self.runtime, self.recorder)
        guard = threading.Lock()
        self._backends: dict[str, FilesBackend] = {}
        for name, family in FAMILIES.items():
            store = FileStore(
                self.runtime, guard, self._workspace.backend(name), name, family, self.profile.whole_copy_ns, depend
            )
            handles = random_source(seed, "handles", name)
            engine = JobEngine(
                self.runtime,
                self.recorder,
                store,
                lambda peer: self._backends[peer].store,
                self.profile,
                lambda source=handles: f"{source.getrandbits(128):032x}",  # type: ignore[misc]
            )
            self._backends[name] = FilesBackend(
                self.runtime, self.recorder, store, engine, self._stalls, self._pauses, seed
            )

    @property
    def directory(self) -> Path:
        """The temporary directory that holds everything, one directory a backend."""
        return self._workspace.path

    def backend(self, name: str) -> FilesBackend:
        """See `harness.testbed.Testbed.backend`."""
        return self._backends[name]

    def inject(self, fault: Fault) -> None:
        """See `harness.testbed.Testbed.inject`. No `backend` means every one for connections, else the primary.

        Raises `ValueError` for a kind that is not in `faults.KINDS`, and for an instant, which wall time has not.
        """
        if fault.kind not in KINDS:
            raise ValueError(
                f"the testbed {self.name} can't make the fault {fault.kind!r}; it makes {', '.join(KINDS)}"
            )
        if fault.at_ns is not None:
            raise ValueError(
                f"the testbed {self.name} can't hit an exact instant; name an event, or inject it when due"
            )
        if fault.backend and fault.backend not in self._backends:
            raise ValueError(f"no backend {fault.backend!r}; there are {', '.join(self._backends)}")
        if fault.kind == "drain.stall" and not fault.volume:
            raise ValueError("drain.stall needs a volume")
        if fault.kind == "caller.pause" and not (fault.caller and fault.for_ns > 0):
            raise ValueError("caller.pause needs the host of its caller and a time for_ns above 0")
        if fault.nth < 1:
            raise ValueError(f"a fault happens at the first event or a later one, not at number {fault.nth}")
        at_event(self.recorder, fault.on, fault.nth, lambda: self._strike(fault))

    def close(self) -> None:
        """See `harness.testbed.Testbed.close`."""
        for backend in self._backends.values():
            backend.close()
        self.runtime.close()
        self._workspace.close()

    def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case "connection.break":  # not in the task that emitted the event: it may be in the middle of a call
                self.runtime.call_later(0, lambda: self._break(fault))
            case "start.reply_lost":
                self._backends[fault.backend or "primary"].lose_next_reply_to(fault.caller)
            case "job.fail" | "job.unsupported":
                self._backends[fault.backend or "primary"].engine.plan_fault(fault)
            case "caller.pause":
                self._pauses.begin(fault.caller, fault.for_ns)
            case "drain.stall":
                self._stalls.arm(fault.volume, fault.for_ns)

    def _break(self, fault: Fault) -> None:
        for name, backend in self._backends.items():
            if fault.backend in ("", name):
                for connection in backend.connections_of(fault.caller):
                    self.recorder.emit("fault", fault=fault.kind, backend=name, host=fault.caller)
                    connection.break_()


def _read_options(options: Mapping[str, Any]) -> tuple[float, bool, str | None]:
    """The options as `(whole_copy_s, snapshots_depend_on_volume, directory)`; texts are taken as a command line's."""
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r} for the testbed files; known are {', '.join(OPTIONS)}")
    try:
        whole_copy_s = float(options.get("whole_copy_s", 0.3))
    except (TypeError, ValueError):
        raise ValueError(f"whole_copy_s is a number of seconds, not {options['whole_copy_s']!r}") from None
    if not 0 < whole_copy_s < 3600:
        raise ValueError(f"whole_copy_s must be above 0 and below 3600 seconds, not {whole_copy_s:g}")
    depend = options.get("snapshots_depend_on_volume", False)
    if isinstance(depend, str) and depend.lower() in ("true", "false"):
        depend = depend.lower() == "true"
    if not isinstance(depend, bool):
        raise ValueError(f"snapshots_depend_on_volume is true or false, not {depend!r}")
    directory = options.get("directory")
    return whole_copy_s, depend, None if directory is None else str(directory)
