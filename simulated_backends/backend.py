"""One simulated backend: its storage, its jobs, the sessions of its protocol, and the hosts that attach volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime import Runtime
from harness.runtime.virtual import VirtualRuntime
from harness.testbed import Inspection, Job
from simulated_backends.attachment import HostLinks, SimulatedAttachment
from simulated_backends.fabric import Fabric
from simulated_backends.faults import ReplyFaults
from simulated_backends.volume_store import SimulatedStore


class SessionLayer(Protocol):
    """What a protocol knows of its clients: who logs in, and when the loss of a connection is noticed."""

    def log_in(self, caller: Caller) -> str:
        """Open a connection and return its id, which no other connection has. Raises `ConnectionLost`."""

    def ended(self, connection_id: str, broke: bool) -> None:
        """The client logged out, or its connection broke, which the backend notices later. Does not block."""

    def known(self) -> int:
        """How many connections the backend takes for open."""


class SimulatedConnection(BackendConnection):
    """A driver's connection; `loses_reply` says whether a fault hits the start that asks, and uses the fault up."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        engine: JobEngine,
        caller: Caller,
        connection_id: str,
        round_trip_ns: int,
        ended: Callable[[BackendConnection, bool], None],
        loses_reply: Callable[[], bool],
    ) -> None:
        super().__init__(runtime, recorder, engine, caller, connection_id, round_trip_ns, ended)
        self._loses_reply = loses_reply

    def start(self, job: Job, request_id: str) -> str:
        """See `harness.testbed.Connection.start`."""
        if self.is_open and self._loses_reply():
            self.lose_next_reply()
        return super().start(job, request_id)


class SimulatedBackend:
    """Implements `harness.testbed.Backend`. `host_links` gives the network port of a host, made on first use."""

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        store: SimulatedStore,
        engine: JobEngine,
        sessions: SessionLayer,
        host_links: Callable[[str], HostLinks],
        reply_faults: ReplyFaults,
        seed: int,
    ) -> None:
        self.name = store.name
        self.family = store.family
        self.engine = engine
        self.store = store
        self.attachments: list[SimulatedAttachment] = []
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._sessions = sessions
        self._host_links = host_links
        self._reply_faults = reply_faults
        self._seed = seed
        self._connections: list[SimulatedConnection] = []

    def connect(self, caller: Caller) -> SimulatedConnection:
        """See `harness.testbed.Backend.connect`."""
        round_trip_ns = self.store.figures.round_trip_ns
        self._runtime.sleep(round_trip_ns)
        connection_id = self._sessions.log_in(caller)
        connection = SimulatedConnection(
            self._runtime,
            self._recorder,
            self.engine,
            caller,
            connection_id,
            round_trip_ns,
            self._ended,
            lambda: self._reply_faults.take(caller.host, self.name),
        )
        self._connections.append(connection)
        self._recorder.emit(
            "connection.opened", backend=self.name, host=caller.host, user=caller.user, id=connection_id
        )
        return connection

    def connections_of(self, host: str) -> list[SimulatedConnection]:
        """The open connections of a host, or of all hosts for "", in the order in which they were opened."""
        return [c for c in self._connections if host in ("", c.caller.host)]

    def attach(self, volume_id: str, host: str) -> SimulatedAttachment:
        """See `harness.testbed.Backend.attach`."""
        self._runtime.sleep(self.store.figures.attach_ns)
        attachment = SimulatedAttachment(
            self._runtime,
            self._recorder,
            self._fabric,
            self.store.usable(volume_id, "volume"),
            host,
            self._host_links(host),
            self._seed,
            len(self.attachments),
        )
        self.attachments.append(attachment)
        self._recorder.emit("attachment.opened", backend=self.name, volume=volume_id, host=host)
        return attachment

    def inspect(self) -> Inspection:
        """See `harness.testbed.Backend.inspect`."""
        objects = self.store.objects()
        return Inspection(
            objects=objects,
            images={stored.id: self.store.image(stored.id) for stored in objects},
            activities=self.engine.views(),
            used_bytes=self.store.used_bytes(),
            connections=self._sessions.known(),
        )

    def _ended(self, connection: BackendConnection, broke: bool) -> None:
        self._connections = [c for c in self._connections if c is not connection]
        self._sessions.ended(connection.identity.connection_id, broke)
