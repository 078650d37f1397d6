"""Faults that wait for a caller's next call, to hit it in its answer."""

from __future__ import annotations

from harness.schedule import Fault


class ReplyFaults:
    """Which hosts' next calls are hit in their answer. A fault hits one call, on whichever connection comes first."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []
        """Those that wait for a call."""

    def arm(self, fault: Fault) -> None:
        """Let the next call of the fault's host be hit."""
        self.armed.append(fault)

    def take(self, kind: str, host: str, backend: str, call: str = "start") -> Fault | None:
        """The fault of that kind which hits this call, if there is one; it is used up then."""
        for fault in self.armed:
            here = fault.caller in ("", host) and fault.backend in ("", backend)
            if fault.kind == kind and here and fault.verb in ("", call):
                self.armed.remove(fault)
                return fault
        return None
