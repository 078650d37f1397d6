"""A testbed under the wall clock: three backends on backing files, faults, and everything freed at the end."""

from __future__ import annotations

import abc
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection
from harness.recorder import Recorder
from harness.runtime import Runtime
from harness.runtime.factory import open_runtime
from harness.schedule import Fault, random_source
from harness.testbed import Capability

from .backend import WallBackend, World
from .faults import KINDS, DrainStalls, Pauses, at_event
from .medium import Workspace
from .options import SCALED, read_options, scaled_profile
from .store import FileStore, StoreSettings

AnyBackend = TypeVar("AnyBackend", bound=WallBackend[Any])


class WallTestbed(abc.ABC, Generic[AnyBackend]):
    """Implements `harness.testbed.Testbed`. Raises `ValueError` for an unknown or senseless option.

    A testbed says what is its own in `name`, `families` (backend → driver family), `more_options`, `source` (where its
    profile's figures come from) and `scale` (see `scaled_profile`), and makes its backends; `prepare` comes before the
    first.
    """

    __test__: ClassVar[bool] = False
    name: ClassVar[str]
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
    families: ClassVar[Mapping[str, str]]
    more_options: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = SCALED
    scale: ClassVar[int] = 1

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self.options = read_options(self.name, options, self.more_options)
        self.read_more(options)
        self.profile = scaled_profile(self.name, self.options, self.source, self.scale)
        self.runtime: Runtime = open_runtime(self.virtual)
        self.recorder = Recorder(self.runtime.now)
        self.guard = threading.Lock()
        self._backends: dict[str, AnyBackend] = {}
        try:
            self._workspace = Workspace(self.options.directory)
        except BaseException:
            self.runtime.close()
            raise
        try:
            stalls, pauses = DrainStalls(self.runtime, self.recorder), Pauses(self.runtime, self.recorder)
            self.world = World(self.runtime, self.recorder, stalls, pauses, seed)
            directories = {name: self._workspace.backend(name) for name in self.families}
            self.prepare(directories)
            for name, family in self.families.items():
                self._backends[name] = self.make_backend(name, family, directories[name])
        except BaseException:
            self.close()
            raise

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing."""
        return None

    def read_more(self, options: Mapping[str, Any]) -> None:
        """Read the options of `more_options`. Raises `ValueError` for a senseless one."""

    def prepare(self, directories: Mapping[str, Path]) -> None:
        """Start what the backends need; each has its directory."""

    @abc.abstractmethod
    def make_backend(self, name: str, family: str, directory: Path) -> AnyBackend:
        """A backend in its directory."""

    def strike_more(self, fault: Fault) -> None:
        """Make a fault that only this testbed has, now. Must not block."""
        raise NotImplementedError(fault.kind)

    def clean_up(self) -> None:
        """Stop what `prepare` started, as far as it got; the backends are closed already."""

    def store_settings(self, name: str, family: str, directory: Path) -> StoreSettings:
        """What the store of a backend is made of."""
        whole_copy_ns, depend = self.profile.whole_copy_ns, self.options.snapshots_depend_on_volume
        return StoreSettings(self.runtime, self.guard, directory, name, family, whole_copy_ns, depend)

    def engine(self, store: FileStore) -> JobEngine:
        """The job engine over a store."""
        handles = random_source(self.world.seed, "handles", store.name)
        return self.make_engine(
            store.name,
            self.runtime,
            self.recorder,
            store,
            lambda peer: self._backends[peer].store,
            self.profile,
            lambda: f"{handles.getrandbits(128):032x}",
        )

    def make_engine(self, backend: str, *arguments: Any) -> JobEngine:
        """The job engine of a backend, made of the arguments of `JobEngine`."""
        return JobEngine(*arguments)

    @property
    def directory(self) -> Path:
        """The temporary directory that holds everything, one directory a backend."""
        return self._workspace.path

    def backend(self, name: str) -> AnyBackend:
        """See `harness.testbed.Testbed.backend`."""
        return self._backends[name]

    def inject(self, fault: Fault) -> None:
        """See `harness.testbed.Testbed.inject`. No `backend` means every one for connections, else the primary.

        Raises `ValueError` for a kind that is not in `faults`, and for an instant, which wall time has not.
        """
        if fault.kind not in self.faults:
            known = ", ".join([*(kind for kind in KINDS if kind in self.faults), *sorted(self.faults - set(KINDS))])
            raise ValueError(f"the testbed {self.name} can't make the fault {fault.kind!r}; it makes {known}")
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
        self.clean_up()
        self.runtime.close()
        self._workspace.close()

    def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case "connection.break":
                # of what is there now, but not in the task that emitted the event: it may be in a call
                there = {
                    name: backend.connections_of(fault.caller)
                    for name, backend in self._backends.items()
                    if fault.backend in ("", name)
                }
                self.runtime.call_later(0, lambda: self._break(fault, there))
            case "start.reply_lost":
                self._backends[fault.backend or "primary"].lose_next_reply_to(fault.caller)
            case "job.fail" | "job.unsupported":
                self._backends[fault.backend or "primary"].engine.plan_fault(fault)
            case "caller.pause":
                self.world.pauses.begin(fault.caller, fault.for_ns)
            case "drain.stall":
                self.world.stalls.arm(fault.volume, fault.for_ns)
            case _:
                self.strike_more(fault)

    def _break(self, fault: Fault, connections: Mapping[str, list[BackendConnection]]) -> None:
        """Break those connections, by backend, that have not ended meanwhile."""
        for name, there in connections.items():
            still = [connection for connection in there if connection.is_open]
            for _ in still:
                self.recorder.emit("fault", fault=fault.kind, backend=name, host=fault.caller)
            self._backends[name].strike(still)
        for name, there in connections.items():  # a server may take seconds to notice
            self._backends[name].break_connections(there)
