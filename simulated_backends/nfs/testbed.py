"""The testbed `nfs-sim`: simulated NFSv4 servers whose snapshots are full copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from harness.backend_jobs import JobEngine
from harness.runtime.agenda import Agenda
from harness.schedule import Fault, later_source, random_source
from harness.storage import VolumeStore
from harness.testbed import Capability, LossPolicy
from simulated_backends.backend import SessionLayer
from simulated_backends.content import Rank
from simulated_backends.faults import FAULTS_OF_ANY_PROTOCOL
from simulated_backends.nfs.copies import CopyRules, CopyService, scattered
from simulated_backends.nfs.jobs import NfsJobEngine
from simulated_backends.nfs.lease_times import LeaseTimes
from simulated_backends.nfs.server import NfsServer
from simulated_backends.profiles import ProfileError, SimulatedProfile
from simulated_backends.testbed import SimulatedTestbed
from simulated_backends.volume_store import SimulatedStore
from simulated_backends.world import SimulatedWorld


class NfsTestbed(SimulatedTestbed):
    """The testbed port on simulated NFS servers.

    A caller's host is its client owner, its user the RPC principal, its connection a session. With the option
    `native_copy_scope` the server enforces the scope of RFC 7862 for copies, host and user at once, whatever scope a
    job asks for; without it a job service on the server gives handles in the scope that is asked for (`jobs`).
    `servers` and `copies` hold what each of its backends consists of, by the backend's name.
    """

    name: ClassVar[str] = "nfs-sim"
    offers: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.REINSTATEMENT}
    faults: ClassVar[frozenset[str]] = FAULTS_OF_ANY_PROTOCOL | {"server.restart"}
    protocol_keys: ClassVar[tuple[str, ...]] = (
        "lease_ns",
        "grace_ns",
        "courtesy_ns",
        "synchronous_copy_bytes",
        "consecutive_copies",
        "native_copy_scope",
    )
    engine_class: type[JobEngine] = NfsJobEngine
    families: Mapping[str, str] = {
        "primary": "simulated-nfs",
        "sibling": "simulated-nfs",
        "stranger": "another-nfs",
    }

    def __init__(
        self,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        world: SimulatedWorld | None = None,
        families: Mapping[str, str] | None = None,
    ) -> None:
        self.servers: dict[str, NfsServer] = {}
        self.copies: dict[str, CopyService] = {}
        super().__init__(seed, options, world, families)

    def loss_policy(self, loaded: SimulatedProfile) -> LossPolicy:
        """The loss is noticed when lease and inactivity timer run out; a courtesy client's state is retained longer.

        A conflict, or the client's return, ends a courtesy sooner, so that the bound of H-4 holds.
        """
        times = self._times(loaded)
        return LossPolicy(
            detection_ns=times.lease_ns,
            time2wait_ns=0,
            time2retain_ns=times.courtesy_ns,
            abort_latency_ns=loaded.figures.abort_latency_ns,
            then="abort",
        )

    def session_layer(self, backend: str, env: Agenda, loaded: SimulatedProfile) -> NfsServer:
        """One server for each backend."""
        source = random_source(self.seed, "clients", backend)
        return NfsServer(env, self.recorder, backend, self._times(loaded), source)

    def copy_order(self, backend: str, loaded: SimulatedProfile) -> Callable[[str, int], Rank]:
        """The server's own order, unless it copies consecutively."""
        if loaded.protocol["consecutive_copies"]:
            return super().copy_order(backend, loaded)
        return scattered(self.seed, backend)

    def job_engine(self, store: SimulatedStore, sessions: SessionLayer, loaded: SimulatedProfile) -> NfsJobEngine:
        """Jobs over the server's copy operations."""
        assert isinstance(sessions, NfsServer)
        numbers = loaded.protocol
        rules = CopyRules(numbers["synchronous_copy_bytes"], bool(numbers["consecutive_copies"]))
        stateids = random_source(self.seed, "stateids", store.name)
        self.servers[store.name] = sessions
        copies = self.copies[store.name] = CopyService(self.runtime, sessions, store, rules, stateids, self._server_of)
        sessions.restart_listeners.append(lambda reason: self._stop_copies(store, reason))
        assert issubclass(self.engine_class, NfsJobEngine)
        return self.engine_class(
            self.runtime,
            self.recorder,
            store,
            self.peer,
            self.profile,
            self.handles(store.name),
            sessions,
            copies,
            bool(numbers["native_copy_scope"]),
            self.job_queue(),
        )

    def mint_identity(self, backend: str) -> Callable[[], str]:
        """NFS file handles."""
        source = later_source(self.seed, "identity", backend)
        return lambda: f"fh.{source().getrandbits(128):032x}"

    def protocol_faults(self) -> Mapping[str, Callable[[Fault], None]]:
        """A restart of the service, the machine under it staying up; `host.restart` brings another verifier."""
        return {"server.restart": lambda fault: self.restart_server(fault.backend)}

    def restart_server(self, backend: str) -> None:
        """Restart a server at this instant: its connections break, its transfers fail, its grace period begins.

        Callers that nothing gets through to find out later that their sessions are gone.
        """
        struck = self.backend(backend)  # perhaps another testbed's of the world
        assert isinstance(struck.engine, NfsJobEngine) and isinstance(struck.sessions, NfsServer)
        struck.engine.fail_transfers(f"the server {backend} restarted")
        struck.sessions.restart()
        for connection in struck.connections_of(""):
            connection.take_over()  # both ends lose it, where nothing gets through the server's alone

    def _stop_copies(self, store: SimulatedStore, reason: str) -> None:
        for backend in self._backends.values():  # of all testbeds of the world
            if isinstance(backend.engine, NfsJobEngine):
                backend.engine.copies.server_restarts(store, reason)

    def _server_of(self, store: VolumeStore) -> NfsServer | None:
        sessions = self._backends[store.name].sessions
        return sessions if isinstance(sessions, NfsServer) else None

    @staticmethod
    def _times(loaded: SimulatedProfile) -> LeaseTimes:
        numbers = loaded.protocol
        try:
            return LeaseTimes(numbers["lease_ns"], numbers["grace_ns"], numbers["courtesy_ns"])
        except ValueError as error:
            raise ProfileError(str(error)) from None
