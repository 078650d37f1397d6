"""Faults in a simulated testbed: when they are due, and what they hit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from harness.recorder import Event, Recorder
from harness.runtime.agenda import Agenda
from harness.schedule import FAULT_KINDS, Fault
from harness.storage import BLOCK
from harness.testbed import JOB_VERBS
from simulated_backends.array_jobs import pause
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.backend import SimulatedBackend, SimulatedConnection
from simulated_backends.hosts import Hosts
from simulated_backends.network_faults import NetworkFaults
from simulated_backends.reply_faults import ReplyFaults
from simulated_backends.route import HostRoute

_OF_CONNECTIONS = (
    "connection.break",
    "connection.reset",
    "connection.half_open",
    "session.reinstate",
    "session.logout",
    "reply.lost",
    "reply.late",
)
_OF_HOSTS = ("reservation.preempt", "caller.crash", "caller.pause", "host.restart", "start.reply_lost")
_OF_BACKENDS = ("backend.restart", "server.restart", "pool.full", "medium.error", "job.pause")
_OF_JOBS = ("job.fail", "job.unsupported", "job.pause")
_LASTING = ("caller.pause", "partition", "link.slow", "reply.late", "job.pause")
_CALLS = ("", "start", "status", "abort")

FAULTS_OF_ANY_PROTOCOL = frozenset(FAULT_KINDS) - {
    "session.reinstate",
    "session.logout",
    "reservation.preempt",
    "server.restart",
}
"""The kinds of fault that need nothing of the protocol."""


class FaultInjector:
    """Lets faults happen at their triggers.

    `kinds` are those that the testbed makes, `of_protocol` what its protocol does at kinds of its own, `routes` the
    ways of foreground I/O by host and backend.

    A fault that is triggered by an event must not act inside the code that emitted it, so what ends connections or
    jobs does so in a call of its own at the same instant; what only arms something does so at once.
    """

    def __init__(
        self,
        env: Agenda,
        recorder: Recorder,
        backends: Mapping[str, SimulatedBackend],
        routes: Mapping[tuple[str, str], HostRoute],
        reply_faults: ReplyFaults,
        network: NetworkFaults,
        hosts: Hosts,
        kinds: frozenset[str],
        of_protocol: Mapping[str, Callable[[Fault], None]],
    ) -> None:
        self._env = env
        self._recorder = recorder
        self._backends = backends
        self._routes = routes
        self._reply_faults = reply_faults
        self._network = network
        self._hosts = hosts
        self._of_protocol = of_protocol
        self._kinds = kinds

    def inject(self, fault: Fault) -> None:
        """See `harness.testbed.Testbed.inject`. An empty `backend` means any, for a job the primary one."""
        self._check(fault)
        if fault.at_ns is not None:
            wait_ns = fault.at_ns - int(self._env.now)
            if wait_ns < 0:
                raise ValueError(f"{fault.kind} can't happen {-wait_ns} ns ago")
            self._env.alarm(wait_ns, lambda: self._act(fault, None))
            return
        if not fault.on:
            self._act(fault, None)
            return
        self._at_nth(fault.on, fault.nth, lambda event: self._act(fault, event))

    def _check(self, fault: Fault) -> None:
        if fault.kind not in self._kinds:
            known = ", ".join(kind for kind in FAULT_KINDS if kind in self._kinds)
            raise ValueError(f"this testbed can't make the fault {fault.kind!r}; it makes {known}")
        if fault.backend and fault.backend not in self._backends:
            raise ValueError(f"no backend {fault.backend!r}; there are {', '.join(self._backends)}")
        if fault.backend and fault.kind not in self._backends[fault.backend].faults:
            raise ValueError(f"{fault.backend} can't meet {fault.kind}, which is of another protocol")
        if fault.kind in _OF_CONNECTIONS and not (fault.caller or fault.volume):
            raise ValueError(f"{fault.kind} needs the host of its caller, or a volume that hosts have attached")
        if fault.kind in _OF_HOSTS and not fault.caller:
            raise ValueError(f"{fault.kind} needs the host of its caller")
        if fault.kind in ("partition", "link.slow") and not (fault.caller or fault.backend):
            raise ValueError(f"{fault.kind} needs a backend, the host of a caller, or both")
        if fault.for_ns < 0:
            raise ValueError(f"{fault.kind} can't last for_ns={fault.for_ns}")
        if fault.kind in _LASTING and fault.for_ns <= 0:
            raise ValueError(f"{fault.kind} needs a time for_ns above 0")
        if fault.kind in _OF_BACKENDS and not fault.backend:
            raise ValueError(f"{fault.kind} needs a backend")
        if fault.kind == "medium.error" and not 0 <= fault.fraction < 1:
            raise ValueError("medium.error needs a fraction of the object, from 0 up to but without 1")
        if fault.kind == "link.slow" and not 0 < fault.fraction < 1:
            raise ValueError(f"link.slow leaves a fraction between 0 and 1 of the capacity, not {fault.fraction:g}")
        if fault.kind == "job.fail" and not 0 <= fault.fraction <= 1:
            raise ValueError(f"job.fail needs a fraction of the job's bytes, from 0 to 1, not {fault.fraction:g}")
        if fault.kind in _OF_JOBS and fault.verb not in ("", *JOB_VERBS):
            raise ValueError(f"{fault.kind} hits jobs of {', '.join(JOB_VERBS)}, or any for '', not {fault.verb!r}")
        if fault.kind in ("reply.lost", "reply.late") and fault.verb not in _CALLS:
            raise ValueError(f"{fault.kind} hits the call start, status or abort, not {fault.verb!r}")
        if fault.kind == "drain.stall" and (not fault.volume or fault.for_ns <= 0):
            raise ValueError("drain.stall needs a volume and a time for_ns above 0")
        if fault.nth < 1:
            raise ValueError(f"a fault's nth occurrence counts from 1, not {fault.nth}")

    def _act(self, fault: Fault, event: Event | None) -> None:
        """Let a fault happen, at an event or (None) now."""
        kind = fault.kind
        if kind in self._AT_ONCE:
            self._AT_ONCE[kind](self, fault, event)
            return
        act = FaultInjector._of_its_own if kind in self._of_protocol else self._APART[kind]
        if event is None and kind not in ("caller.crash", "caller.pause"):  # no task does that to itself
            act(self, fault)
        else:
            self._env.alarm(0, lambda: act(self, fault))

    def _at_nth(self, kind: str, nth: int, action: Callable[[Event], None]) -> None:
        seen = 0

        def listen(event: Event) -> None:
            nonlocal seen
            if event.kind != kind:
                return
            seen += 1
            if seen == nth:
                end()
                action(event)

        end = self._recorder.listen(listen)

    def _of(self, fault: Fault) -> list[SimulatedBackend]:
        """The backends that the fault is for: all that meet its kind, or the one that it names."""
        return [b for b in self._backends.values() if fault.backend in ("", b.name) and fault.kind in b.faults]

    def _on_volume(self, fault: Fault) -> list[SimulatedAttachment]:
        """The attachments of the fault's volume, detached ones too, at the host and at the backend that it names."""
        return [
            attachment
            for backend in self._backends.values()
            if fault.kind in backend.faults
            for attachment in backend.attachments
            if attachment.volume_id == fault.volume
            and fault.caller in ("", attachment.host)
            and fault.backend in ("", attachment.backend)
        ]

    def _attachments(self, fault: Fault) -> list[SimulatedAttachment]:
        return [attachment for attachment in self._on_volume(fault) if attachment.is_attached]

    def _routes_of(self, fault: Fault) -> list[HostRoute]:
        """What carries the foreground I/O of the fault's volume, each once; there is none before a login."""
        ways = dict.fromkeys((attachment.host, attachment.backend) for attachment in self._attachments(fault))
        return [self._routes[way] for way in ways if way in self._routes]

    def _hit_connections(self, fault: Fault) -> None:
        kind = fault.kind
        if fault.volume:
            routes = [route for route in self._routes_of(fault) if _changes(kind, route, route.is_known)]
            self._recorder.emit("fault", fault=kind, volume=fault.volume, host=fault.caller, sessions=len(routes))
            for route in routes:
                if kind == "connection.half_open":
                    route.half_open()
                elif kind.startswith("session."):
                    route.end_at_backend(kind)
                else:
                    route.drop(kind, backend_knows=kind == "connection.reset")
            return
        hit = [c for b in self._of(fault) for c in b.connections_of(fault.caller) if _changes(kind, c, is_known=True)]
        kept = sum(b.sessions.reinstated(fault.caller) for b in self._of(fault)) if kind == "session.reinstate" else 0
        self._recorder.emit("fault", fault=kind, host=fault.caller, connections=len(hit) + kept)
        for connection in hit:
            self._AT_CONNECTION[kind](connection)

    def _arm_start(self, fault: Fault, event: Event | None) -> None:
        self._reply_faults.arm(fault)

    def _arm_reply(self, fault: Fault, event: Event | None) -> None:
        if not fault.volume:
            self._reply_faults.arm(fault)
            return
        attachments = self._attachments(fault)
        for attachment in attachments:
            attachment.hit_reply(fault)
        if not attachments:
            self._arm_at_attachment(fault)

    def _arm_at_attachment(self, fault: Fault) -> None:
        def listen(event: Event) -> None:
            if event.kind == "attachment.opened" and self._attachments(fault):
                end()
                self._arm_reply(fault, event)

        end = self._recorder.listen(listen)

    def _crash(self, fault: Fault) -> None:
        self._recorder.emit("fault", fault=fault.kind, host=fault.caller, tasks=self._hosts.crash(fault.caller))

    def _pause(self, fault: Fault) -> None:
        self._recorder.emit("fault", fault=fault.kind, host=fault.caller, for_ns=fault.for_ns)
        restore_port, go_on = self._network.slow(fault.caller, "", 0.0), self._hosts.stand_still(fault.caller)

        def end() -> None:
            restore_port()
            go_on()

        self._end_after(fault, end)

    def _restart_host(self, fault: Fault) -> None:
        """What ran on the host is not ended with it: a check that wants its caller dead lets it crash as well."""
        connections = [c for b in self._of(fault) for c in b.connections_of(fault.caller) if c.is_open]
        self._recorder.emit("fault", fault=fault.kind, host=fault.caller, connections=len(connections))
        for backend in self._of(fault):
            backend.sessions.host_restarted(fault.caller)
        for connection in connections:
            connection.break_()
        for route in self._routes.values():
            if route.host == fault.caller and fault.backend in ("", route.backend):
                route.drop(fault.kind, backend_knows=False)

    def _of_its_own(self, fault: Fault) -> None:
        self._recorder.emit("fault", fault=fault.kind, host=fault.caller, backend=fault.backend)
        self._of_protocol[fault.kind](fault)

    def _end_after(self, fault: Fault, end: Callable[[], None]) -> None:
        """Take a lasting fault back after its time; the record names its end, too."""

        def over() -> None:
            self._recorder.emit("fault.over", fault=fault.kind, host=fault.caller, backend=fault.backend)
            end()

        self._env.alarm(fault.for_ns, over)

    def _part(self, fault: Fault) -> None:
        self._recorder.emit("fault", fault=fault.kind, host=fault.caller, backend=fault.backend, for_ns=fault.for_ns)
        self._end_after(fault, self._network.part(fault.caller, fault.backend))

    def _slow_down(self, fault: Fault) -> None:
        self._recorder.emit(
            "fault",
            fault=fault.kind,
            host=fault.caller,
            backend=fault.backend,
            fraction=fault.fraction,
            for_ns=fault.for_ns,
        )
        self._end_after(fault, self._network.slow(fault.caller, fault.backend, fault.fraction))

    def _restart(self, fault: Fault) -> None:
        backend = self._backends[fault.backend]
        self._recorder.emit("fault", fault=fault.kind, backend=backend.name, for_ns=fault.for_ns)
        heal = self._network.part("", backend.name)
        backend.power_off(fault.for_ns)
        self._end_after(fault, heal)

    def _fill_pool(self, fault: Fault) -> None:
        store = self._backends[fault.backend].store
        self._recorder.emit("fault", fault=fault.kind, backend=store.name, for_ns=fault.for_ns)
        store.fill()
        if fault.for_ns:
            self._end_after(fault, store.free)

    def _spoil(self, fault: Fault) -> None:
        store = self._backends[fault.backend].store
        held = store.find(fault.volume) if fault.volume else store.being_read()
        volume = fault.volume if held is None else held.id
        block = -1 if held is None or not held.size else int(fault.fraction * held.bytes) // BLOCK
        self._recorder.emit("fault", fault=fault.kind, backend=fault.backend, volume=volume, block=block)
        if held is not None and block >= 0:
            held.spoil(block)

    def _pause_jobs(self, fault: Fault) -> None:
        backend = self._backends[fault.backend]
        paused = pause(backend.engine.table.all(), fault.verb, backend.store.figures.not_pausable)
        self._recorder.emit(
            "fault", fault=fault.kind, backend=backend.name, verb=fault.verb, for_ns=fault.for_ns, jobs=len(paused)
        )

        def resume() -> None:
            for transfer in paused:
                transfer.resume()

        self._end_after(fault, resume)

    def _plan_job_fault(self, fault: Fault, event: Event | None) -> None:
        self._backends[fault.backend or "primary"].engine.plan_fault(fault)

    def _stall_drain(self, fault: Fault, event: Event | None) -> None:
        def stall() -> None:
            self._recorder.emit("fault", fault=fault.kind, volume=fault.volume, for_ns=fault.for_ns)
            for attachment in self._on_volume(fault):
                attachment.stall(fault.for_ns)

        def begins_hold(event: Event) -> bool:
            if event.kind != "gate.hold" or event.fields["volume"] != fault.volume:
                return False
            return any(a.gate.holding and a.host == event.fields["host"] for a in self._on_volume(fault))

        def listen(event: Event) -> None:
            if begins_hold(event):
                end()
                stall()

        if event is not None and begins_hold(event):
            stall()
            return
        end = self._recorder.listen(listen)

    _AT_CONNECTION: ClassVar[Mapping[str, Callable[[SimulatedConnection], None]]] = MappingProxyType(
        {
            "connection.break": SimulatedConnection.break_,
            "connection.reset": SimulatedConnection.reset,
            "connection.half_open": SimulatedConnection.half_open,
            "session.reinstate": SimulatedConnection.take_over,
            "session.logout": SimulatedConnection.ask_for_logout,
        }
    )
    """What each of these faults does to a driver's connection."""

    # one table for all testbeds: most runs make one fault, if any
    _APART: ClassVar[Mapping[str, Callable[[FaultInjector, Fault], None]]] = MappingProxyType(
        {
            "connection.break": _hit_connections,
            "connection.reset": _hit_connections,
            "connection.half_open": _hit_connections,
            "session.reinstate": _hit_connections,
            "session.logout": _hit_connections,
            "caller.crash": _crash,
            "caller.pause": _pause,
            "host.restart": _restart_host,
            "partition": _part,
            "link.slow": _slow_down,
            "backend.restart": _restart,
            "pool.full": _fill_pool,
            "medium.error": _spoil,
            "job.pause": _pause_jobs,
        }
    )
    """What happens in a call of its own."""
    _AT_ONCE: ClassVar[Mapping[str, Callable[[FaultInjector, Fault, Event | None], None]]] = MappingProxyType(
        {
            "start.reply_lost": _arm_start,
            "reply.lost": _arm_reply,
            "reply.late": _arm_reply,
            "job.fail": _plan_job_fault,
            "job.unsupported": _plan_job_fault,
            "drain.stall": _stall_drain,
        }
    )
    """What only arms something."""


def _changes(kind: str, connection: SimulatedConnection | HostRoute, is_known: bool) -> bool:
    """Whether a fault changes anything about a connection, which the backend still has (`is_known`) or has not."""
    if kind == "connection.half_open":
        return connection.is_open and not connection.is_half_open
    return connection.is_open or (is_known and kind != "connection.break")
