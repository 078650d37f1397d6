"""One simulated backend: its storage, its jobs, the sessions of its protocol, and the hosts that attach volumes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection, Jobs
from harness.contract import ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime.virtual import VirtualRuntime
from harness.testbed import Inspection
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.fabric import Fabric
from simulated_backends.foreground import Lane
from simulated_backends.host_links import HostLinks
from simulated_backends.hosts import Hosts
from simulated_backends.lines import End, Line, Network
from simulated_backends.reply_faults import ReplyFaults, lateness
from simulated_backends.route import HostRoute, PathLost, Patience
from simulated_backends.volume_store import SimulatedStore


class SessionLayer(Protocol):
    """What a protocol knows of its clients: who logs in, and when the loss of a connection is noticed."""

    def log_in(self, caller: Caller) -> str:
        """Open a connection and return its id, which no other connection has. Raises `ConnectionLost`."""

    def ended(self, connection_id: str, broke: bool) -> None:
        """The client logged out, or its connection broke and the backend's end sends no keep-alives of its own.

        Does not block.
        """

    def timed_out(self, connection_id: str) -> None:
        """The backend gives a connection up by the keep-alive of its own end. Does not block."""

    def reinstated(self, host: str) -> int:
        """A host logs in anew in place of its drivers' sessions whose connections were given up and which are kept all
        the same; those are ended by that. Returns how many there were. Does not block."""

    def heard(self, connection_id: str, is_heard: bool) -> bool:
        """The client can't be heard any more on that connection, or can again; returns whether it is still known."""

    def host_restarted(self, host: str) -> None:
        """A host restarts, so that it comes back as another instance of itself. Does not block."""

    def power_off(self, for_ns: int) -> None:
        """The backend loses its power, and with it all that it holds in memory, for so many nanoseconds."""

    def known(self) -> int:
        """How many connections of drivers the backend takes for open."""


class SimulatedConnection(BackendConnection):
    """A driver's connection to `backend`, over a line that faults may cut; its answers are hit by `reply_faults`.

    `heard` is the session layer's, see `SessionLayer.heard`.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        engine: Jobs,
        caller: Caller,
        connection_id: str,
        round_trip_ns: int,
        ended: Callable[[BackendConnection, bool], None],
        backend: str,
        reply_faults: ReplyFaults,
        network: Network,
        hosts: Hosts,
        patience: Patience,
        heard: Callable[[str, bool], bool],
    ) -> None:
        super().__init__(runtime, recorder, engine, caller, connection_id, round_trip_ns, ended)
        self._backend = backend
        self._reply_faults = reply_faults
        self._network = network
        self._hosts = hosts
        self._forgotten = False
        self.has_timed_out = False
        """Whether the backend gave it up by its keep-alive."""
        keep_alives = (patience.caller, patience.backend)
        self._line = network.add(
            Line(
                runtime,
                caller.host,
                backend,
                keep_alives,
                self._given_up,
                lambda is_heard: heard(connection_id, is_heard),
            )
        )

    @property
    def is_half_open(self) -> bool:
        """Whether `half_open` has hit it."""
        return self._line.is_half_open

    def half_open(self) -> None:
        """Let nothing through any more; either end finds out by its keep-alive (fault injection)."""
        self._line.half_open()

    def drop_at_backend(self) -> None:
        """The backend's end forgets the connection; the caller finds out when it asks, or by its keep-alive."""
        self._forgotten = True
        self._line.give_up(End.BACKEND)

    def reset(self) -> None:
        """Both ends lose the connection at once, if they still have it (fault injection)."""
        self.break_(noticed=True)
        self.drop_at_backend()

    def take_over(self) -> None:
        """Another session takes this one's place, which logs it out at the backend (fault injection).

        For iSCSI see RFC 7143 section 6.3.5. Where nothing gets through, the caller does not hear of that.
        """
        if self._line.cuts:
            self.drop_at_backend()
        else:
            self.reset()

    def ask_for_logout(self) -> None:
        """The backend asks the caller to log out, and it does so (fault injection).

        For iSCSI these are an Asynchronous Message and a Logout Request (RFC 7143 sections 11.9 and 11.14). Where
        nothing gets through neither arrives, and the backend closes its end alone.
        """
        if self.is_open and not self._line.cuts:
            self._end("closed", broke=False)
        else:
            self.drop_at_backend()

    def _loses_reply(self) -> bool:
        faults = self._reply_faults
        armed = bool(faults.armed) and faults.take("start.reply_lost", self.caller.host, self._backend) is not None
        return armed or super()._loses_reply()

    def _return(self, call: str) -> None:
        if not self._reply_faults.armed:
            super()._return(call)
            return
        self._check()
        if self._reply_faults.take("reply.lost", self.caller.host, self._backend, call) is not None:
            self._recorder.emit("fault", fault="reply.lost", host=self.caller.host, call=call)
            self.break_()
            self._check()
        late = self._reply_faults.take("reply.late", self.caller.host, self._backend, call)
        if late is not None:
            self._recorder.emit("fault", fault="reply.late", host=self.caller.host, call=call, for_ns=late.for_ns)
            self._await(lateness(self._runtime, late))
        super()._return(call)

    def _given_up(self, end: End) -> None:
        if end is End.BACKEND:
            self.has_timed_out = not self._forgotten
            self._tell_backend(broke=False)
        elif self.is_open:
            self._leave("broken")
            if not self._line.has_keep_alive(End.BACKEND):
                self._tell_backend(broke=True)
        if self._backend_knows and not self.is_open:
            self._network.remove(self._line)

    def _end(self, state: str, broke: bool) -> None:
        if state == "closed" and self._line.cuts:  # a logout that can't arrive
            broke = True
        if broke and self._line.has_keep_alive(End.BACKEND):
            self._leave(state)
            self._line.give_up(End.CALLER)
            return
        super()._end(state, broke)
        self._line.close()
        self._network.remove(self._line)

    def _travel(self) -> None:
        self._hosts.acts(self.caller.host)
        super()._travel()

    def _cross(self) -> None:
        self._line.deliver()


class SimulatedBackend:
    """Implements `harness.testbed.Backend`.

    `jobs` is how callers reach the `engine`'s jobs. `host_links` gives the network port of a host, `route_of` the way
    of its foreground I/O to a backend; both are made on first use. `forget_routes` drops a
    backend's end of all routes to it, `lane` is where the streams of loads sleep. `faults` are the kinds that it meets.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        store: SimulatedStore,
        engine: JobEngine,
        jobs: Jobs,
        sessions: SessionLayer,
        host_links: Callable[[str], HostLinks],
        reply_faults: ReplyFaults,
        network: Network,
        hosts: Hosts,
        patience: Patience,
        route_of: Callable[[str, str], HostRoute],
        forget_routes: Callable[[str], None],
        lane: Lane,
        seed: int,
        faults: frozenset[str],
    ) -> None:
        self.name = store.name
        self.faults = faults
        self.family = store.family
        self.engine = engine
        self.jobs = jobs
        self.store = store
        self.sessions = sessions
        self.attachments: list[SimulatedAttachment] = []
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._host_links = host_links
        self._reply_faults = reply_faults
        self._network = network
        self._hosts = hosts
        self._patience = patience
        self._route_of = route_of
        self._forget_routes = forget_routes
        self._lane = lane
        self._seed = seed
        self._connections: list[SimulatedConnection] = []

    def connect(self, caller: Caller) -> SimulatedConnection:
        """See `harness.testbed.Backend.connect`. Waits for a network that is cut as long as the host's login does."""
        round_trip_ns = self.store.figures.round_trip_ns
        self._hosts.acts(caller.host)
        self._runtime.sleep(round_trip_ns)
        if self._network.is_cut(caller.host, self.name):
            self._await_network(caller.host)
        connection_id = self.sessions.log_in(caller)
        connection = SimulatedConnection(
            self._runtime,
            self._recorder,
            self.jobs,
            caller,
            connection_id,
            round_trip_ns,
            self._ended,
            self.name,
            self._reply_faults,
            self._network,
            self._hosts,
            self._patience,
            self.sessions.heard,
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
        """See `harness.testbed.Backend.attach`. Raises `ConnectionLost` if the network is cut for too long, or if the
        backend refuses the host's login.

        The host does it by its own clock; who asks for it need not run there, as a control plane does not.
        """
        self._hosts.wait_for(host)
        self._runtime.sleep(self.store.figures.attach_ns)
        if self._network.is_cut(host, self.name):
            self._await_network(host)
        held = self.store.usable(volume_id, "volume")
        try:
            self._route_of(host, self.name)  # logs the host in, unless it has a session for another volume
        except PathLost as error:
            raise ConnectionLost(str(error)) from None
        attachment = SimulatedAttachment(
            self._runtime,
            self._recorder,
            self._fabric,
            held,
            host,
            self._host_links(host),
            self._route_of,
            self._lane,
            self._seed,
            len(self.attachments),
            functools.partial(self._hosts.call_later, host),
        )
        self.attachments.append(attachment)
        self._recorder.emit("attachment.opened", backend=self.name, volume=volume_id, host=host)
        return attachment

    def power_off(self, for_ns: int) -> None:
        """Jobs end and sessions are forgotten at this instant, and the power is back after `for_ns` nanoseconds; what
        is stored stays. Does not block.

        The network has to be cut first; when it is whole again the callers find out that their sessions are gone.
        """
        self.engine.stop_all(f"{self.name} lost its power")
        self.store.resume_all("power lost")
        self.store.pool.power_off()
        self.sessions.power_off(for_ns)
        for connection in tuple(self._connections):
            connection.drop_at_backend()
        self._forget_routes(self.name)

    def inspect(self) -> Inspection:
        """See `harness.testbed.Backend.inspect`."""
        return self.store.inspect(self.engine.views(), self.sessions.known())

    def _await_network(self, host: str) -> None:
        """Wait for the answer to a login, as long as the host does by its clock. Raises `ConnectionLost`."""
        answered = self._runtime.signal(f"{self.name} answers the login of {host}")
        self._network.when_reachable(host, self.name, lambda: answered.set(None))
        silence = ConnectionLost(f"{self.name} does not answer the login of {host}")
        timer = self._hosts.call_later(host, self._patience.login_ns, lambda: answered.fail(silence))
        try:
            answered.wait()
        finally:
            timer.cancel()

    def _ended(self, connection: BackendConnection, broke: bool) -> None:
        assert isinstance(connection, SimulatedConnection)
        self._connections = [c for c in self._connections if c is not connection]
        if connection.has_timed_out:
            self.sessions.timed_out(connection.identity.connection_id)
        else:
            self.sessions.ended(connection.identity.connection_id, broke)
