"""Faults that wait for a caller's next call, to hit it in its answer."""

from __future__ import annotations

from harness.runtime import Runtime, Signal, seconds
from harness.schedule import Fault


def lateness(runtime: Runtime, fault: Fault) -> Signal[None]:
    """What is set once an answer that is late from now on gets on; whoever waits for the answer may set it before.

    It is late in the network, whose time goes on where the machine of its caller stands still.
    """
    late: Signal[None] = runtime.signal(f"an answer that is {seconds(fault.for_ns):g} s late")
    runtime.call_later(fault.for_ns, lambda: late.set(None))
    return late


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
