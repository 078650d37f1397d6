"""Faults in a simulated testbed: when they are due, and what they hit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harness.recorder import Event, Recorder
from harness.runtime.agenda import Agenda
from harness.schedule import Fault

if TYPE_CHECKING:
    from simulated_backends.backend import SimulatedBackend


class ReplyFaults:
    """Which hosts' next start loses its answer. A fault hits one start, on whichever connection that comes first."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Let the next start of the fault's host lose its answer."""
        self._armed.append(fault)

    def take(self, host: str, backend: str) -> bool:
        """Whether this start is hit; the fault is used up then."""
        for fault in self._armed:
            if fault.caller in ("", host) and fault.backend in ("", backend):
                self._armed.remove(fault)
                return True
        return False


class FaultInjector:
    """Lets faults happen at their triggers.

    A fault that is triggered by an event must not act inside the code that emitted it, so what ends connections does
    so in a call of its own at the same instant; what only arms something does so at once.
    """

    def __init__(
        self, env: Agenda, recorder: Recorder, backends: Mapping[str, SimulatedBackend], reply_faults: ReplyFaults
    ) -> None:
        self._env = env
        self._recorder = recorder
        self._backends = backends
        self._actions: Mapping[str, Callable[[Fault, Event | None], None]] = {
            "connection.break": self._break_connections,
            "start.reply_lost": lambda fault, event: reply_faults.arm(fault),
            "job.fail": self._plan_job_fault,
            "job.unsupported": self._plan_job_fault,
            "drain.stall": self._stall_drain,
        }

    def inject(self, fault: Fault) -> None:
        """See `harness.testbed.Testbed.inject`. An empty `backend` means any, for a job the primary one."""
        self._check(fault)
        action = self._actions[fault.kind]
        if not fault.on:
            action(fault, None)
            return
        self._at_nth(fault.on, fault.nth, lambda event: action(fault, event))

    def _check(self, fault: Fault) -> None:
        if fault.kind not in self._actions:
            raise ValueError(f"this testbed can't make the fault {fault.kind!r}; it makes {', '.join(self._actions)}")
        if fault.backend and fault.backend not in self._backends:
            raise ValueError(f"no backend {fault.backend!r}; there are {', '.join(self._backends)}")
        if fault.kind in ("connection.break", "start.reply_lost") and not fault.caller:
            raise ValueError(f"{fault.kind} needs the host of its caller")
        if fault.kind == "drain.stall" and (not fault.volume or fault.for_ns <= 0):
            raise ValueError("drain.stall needs a volume and a time for_ns above 0")
        if fault.nth < 1:
            raise ValueError(f"a fault's nth occurrence counts from 1, not {fault.nth}")

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
        return [b for b in self._backends.values() if fault.backend in ("", b.name)]

    def _break_connections(self, fault: Fault, event: Event | None) -> None:
        def act() -> None:
            hit = [c for backend in self._of(fault) for c in backend.connections_of(fault.caller)]
            self._recorder.emit("fault", fault=fault.kind, host=fault.caller, connections=len(hit))
            for connection in hit:
                connection.break_()

        if event is None:
            act()
        else:
            self._env.alarm(0, act)

    def _plan_job_fault(self, fault: Fault, event: Event | None) -> None:
        self._backends[fault.backend or "primary"].engine.plan_fault(fault)

    def _stall_drain(self, fault: Fault, event: Event | None) -> None:
        def stall() -> None:
            self._recorder.emit("fault", fault=fault.kind, volume=fault.volume, for_ns=fault.for_ns)
            for backend in self._backends.values():
                for attachment in backend.attachments:
                    if attachment.volume_id == fault.volume:
                        attachment.stall(fault.for_ns)

        def begins_hold(event: Event) -> bool:
            return event.kind == "gate.hold" and event.fields["volume"] == fault.volume

        def listen(event: Event) -> None:
            if begins_hold(event):
                end()
                stall()

        if event is not None and begins_hold(event):
            stall()
            return
        end = self._recorder.listen(listen)
