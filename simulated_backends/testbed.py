"""What the simulated testbeds share: two backends of one family, one of another, a virtual clock, a fabric."""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from harness.backend_jobs import JobEngine
from harness.connection import Jobs
from harness.runtime import Runtime
from harness.runtime.agenda import Agenda
from harness.schedule import Fault, later_source
from harness.storage import VolumeStore
from harness.testbed import Capability, LossPolicy, Profile, Testbed
from simulated_backends.array_jobs import ArrayJobs
from simulated_backends.backend import SessionLayer, SimulatedBackend
from simulated_backends.content import Rank, ascending
from simulated_backends.faults import FAULTS_OF_ANY_PROTOCOL, FaultInjector
from simulated_backends.host_links import HostLinks
from simulated_backends.medium import Medium
from simulated_backends.network_faults import NetworkFaults
from simulated_backends.pool import Pool
from simulated_backends.profiles import SimulatedProfile, load_profile
from simulated_backends.route import HARD_MOUNT, HostRoute, HostSession, Patience
from simulated_backends.volume_store import SimulatedStore
from simulated_backends.world import SimulatedWorld


class _Stateless:
    """A session of which the backend keeps nothing; implements `simulated_backends.route.HostSession`."""

    is_known: ClassVar[bool] = False

    def open(self) -> None:
        """See `simulated_backends.route.HostSession.open`."""

    def drop(self) -> None:
        """See `simulated_backends.route.HostSession.drop`."""

    def timed_out(self) -> None:
        """See `simulated_backends.route.HostSession.timed_out`."""


class SimulatedTestbed(Testbed):
    """The testbed port for a protocol, which a subclass brings.

    `options` override the figures and protocol numbers of the profile by their names; see `profiles`. With a `world`
    the testbed stands beside others in it, whose backends it can reach, and with `families` it has those backends
    instead of the three of its class; backend names are unique in a world.
    """

    __test__: ClassVar[bool] = False
    name: ClassVar[str]
    virtual: ClassVar[bool] = True
    offers: ClassVar[frozenset[Capability]] = frozenset(Capability)
    protocol_keys: ClassVar[tuple[str, ...]]
    families: Mapping[str, str]
    """The driver family of each backend, by the backend's name."""

    faults: ClassVar[frozenset[str]] = FAULTS_OF_ANY_PROTOCOL
    engine_class: type[JobEngine] = JobEngine
    """What executes the jobs of a backend."""

    def __init__(
        self,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        world: SimulatedWorld | None = None,
        families: Mapping[str, str] | None = None,
    ) -> None:
        self.seed = seed
        if families is not None:
            self.families = families
        loaded = load_profile(self.name, self.protocol_keys, options or {})
        self._world = world or SimulatedWorld()
        self._clock = self._world.clock
        self.runtime: Runtime = self._clock
        self.recorder = self._world.recorder
        self.profile = self.published(loaded)
        self._figures = loaded.figures
        self._fabric = self._world.fabric
        self.lane = self._world.lane
        """Where the streams of foreground loads sleep."""
        self._reply_faults = self._world.reply_faults
        self._network = self._world.network
        self._callers = self._world.callers
        self._patience = self.patience(loaded)
        self._routes = self._world.routes
        self._backends = self._world.backends
        for backend, family in self.families.items():
            if backend in self._backends:
                raise ValueError(f"there is a backend {backend!r} in this world already")
            self._backends[backend] = self._build(backend, family, loaded)
        self._injector = FaultInjector(
            self._clock.env,
            self.recorder,
            self._backends,
            self._routes,
            self._reply_faults,
            NetworkFaults(
                self._world.narrowings, self._network, self.links_of, self._world.way_between, self._medium_of
            ),
            self._callers,
            self.faults,
            self.protocol_faults(),
        )

    @abstractmethod
    def loss_policy(self, loaded: SimulatedProfile) -> LossPolicy:
        """What the protocol makes of a lost connection, by the profile's numbers."""

    @abstractmethod
    def session_layer(self, backend: str, env: Agenda, loaded: SimulatedProfile) -> SessionLayer:
        """The protocol's sessions at that backend."""

    @abstractmethod
    def mint_identity(self, backend: str) -> Callable[[], str]:
        """What makes exported identities of volumes at that backend."""

    def copy_order(self, backend: str, loaded: SimulatedProfile) -> Callable[[str, int], Rank]:
        """The order in which copies at that backend take the blocks; see `SimulatedStore`. Ascending by default."""
        return lambda target, blocks: ascending

    def published(self, loaded: SimulatedProfile) -> Profile:
        """The profile as the testbed port shows it."""
        return loaded.published(self.loss_policy(loaded))

    def job_engine(self, store: SimulatedStore, sessions: SessionLayer, loaded: SimulatedProfile) -> JobEngine:
        """What executes the jobs of a backend; a protocol with copy operations of its own brings another."""
        return self.engine_class(
            self.runtime, self.recorder, store, self.peer, self.profile, self.handles(store.name), self.job_queue()
        )

    def job_queue(self) -> ArrayJobs:
        """The queue of a backend's own jobs, as the profile has it."""
        return ArrayJobs(self.runtime, self._figures.job_slots, self._figures.not_abortable)

    def patience(self, loaded: SimulatedProfile) -> Patience:
        """How long the two ends of a session bear with a network that fails."""
        return HARD_MOUNT

    def host_session(self, host: str, backend: str) -> HostSession:
        """The protocol's session under a host's foreground I/O to a backend; nothing to speak of by default."""
        return _Stateless()

    def protocol_faults(self) -> Mapping[str, Callable[[Fault], None]]:
        """What the protocol does at the kinds of fault that are its own; the record names the fault before."""
        return {}

    def jobs(self, engine: JobEngine) -> Jobs:
        """How the protocol lets callers reach a backend's jobs."""
        return engine

    def backend(self, name: str) -> SimulatedBackend:
        """See `harness.testbed.Testbed.backend`."""
        return self._backends[name]

    def inject(self, fault: Fault) -> None:
        """See `harness.testbed.Testbed.inject`."""
        self._injector.inject(fault)

    def close(self) -> None:
        """See `harness.testbed.Testbed.close`."""
        self.runtime.close()

    def _build(self, name: str, family: str, loaded: SimulatedProfile) -> SimulatedBackend:
        store = SimulatedStore(
            self._clock,
            self.recorder,
            self._fabric,
            Pool(name, family, Medium.of(name, self._figures, self._clock), self._figures),
            self.mint_identity(name),
            self.copy_order(name, loaded),
        )
        sessions = self.session_layer(name, self._clock.env, loaded)
        engine = self.job_engine(store, sessions, loaded)
        return SimulatedBackend(
            self._clock,
            self.recorder,
            self._fabric,
            store,
            engine,
            self.jobs(engine),
            sessions,
            self.links_of,
            self._reply_faults,
            self._network,
            self._callers,
            self._patience,
            self._route_of,
            self._forget_routes,
            self.lane,
            self.seed,
            self.faults,
        )

    def peer(self, name: str) -> VolumeStore:
        """The store of another backend. Raises KeyError."""
        return self._backends[name].store

    def links_of(self, host: str) -> HostLinks:
        """Both directions of a host's port."""
        return self._world.port_of(host, self._figures.link_bytes_per_s)

    def _medium_of(self, backend: str) -> Medium:
        return self._backends[backend].store.medium

    def _route_of(self, host: str, backend: str) -> HostRoute:
        route = self._routes.get((host, backend))
        if route is None:
            route = self._routes[host, backend] = HostRoute(
                self._clock,
                self.recorder,
                self._network,
                host,
                backend,
                self._patience,
                self.host_session(host, backend),
                functools.partial(self._callers.call_later, host),
            )
        return route

    def _forget_routes(self, backend: str) -> None:
        for (_, of_backend), route in self._routes.items():
            if of_backend == backend:
                route.forget()

    def handles(self, backend: str) -> Callable[[], str]:
        """What makes the handles of a backend's jobs: UUIDs, or numbers one after the other."""
        source = later_source(self.seed, "handles", backend)
        if self._figures.consecutive_handles:
            numbers = itertools.count(source().randrange(1000, 5000))
            return lambda: str(next(numbers))

        def mint() -> str:
            bits = f"{source().getrandbits(128):032x}"
            return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"

        return mint
