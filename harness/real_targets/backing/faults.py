"""When faults happen, and the fault that lives in the write path."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.recorder import Event, Recorder
from harness.runtime import SECOND, Expired, Runtime, Signal

KINDS = ("connection.break", "start.reply_lost", "job.fail", "job.unsupported", "drain.stall", "caller.pause")
"""The faults that this testbed makes; see `harness.schedule.FAULT_KINDS`."""

LINGER_NS = SECOND // 4
"""With a drain stall armed, a write stays unacknowledged for at most this long (ns) while no hold begins."""


def at_event(recorder: Recorder, kind: str, nth: int, action: Callable[[], None]) -> None:
    """Call `action` once, at the `nth` event of that kind from now on, in the task that emitted it; "" means now.

    The action must not block.
    """
    if not kind:
        action()
        return
    guard = threading.Lock()
    left = nth

    def listen(event: Event) -> None:
        nonlocal left
        if event.kind != kind:
            return
        with guard:
            left -= 1
            due = left == 0
        if due:
            end()
            action()

    end = recorder.listen(listen)


class Pauses:
    """Which hosts stand still (`caller.pause`), as far as a backend can tell: their calls wait until it is over.

    What a caller does between its calls is a thread of this process, and goes on; nor is any clock but the machine's
    own to be had. A connection outlasts every pause, since nothing here sends keep-alives.
    """

    def __init__(self, runtime: Runtime, recorder: Recorder) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._guard = threading.Lock()
        self._still: dict[str, Signal[None]] = {}

    def begin(self, host: str, for_ns: int) -> None:
        """Let a host stand still for that long (ns). Harmless while it does so already."""
        with self._guard:
            if host in self._still:
                return
            self._still[host] = self._runtime.signal(f"{host} goes on")
        self._recorder.emit("fault", fault="caller.pause", host=host, for_ns=for_ns)
        self._runtime.call_later(for_ns, lambda: self._end(host))

    def pass_call(self, host: str) -> None:
        """Block while that host stands still."""
        with self._guard:
            still = self._still.get(host)
        if still is not None:
            still.wait()

    def _end(self, host: str) -> None:
        self._recorder.emit("fault.over", fault="caller.pause", host=host)
        with self._guard:
            still = self._still.pop(host)
        still.set(None)


@dataclass
class _Stall:
    for_ns: int
    hold_began: Signal[None] | None = None  # of the write that is kept under way, if there is one


class DrainStalls:
    """Keeps writes unacknowledged when a hold begins (`drain.stall`).

    A write to a file takes some microseconds, so a hold would hardly ever meet one. Therefore one write to the volume
    is kept under way from when the fault is armed until a hold begins (or, with no hold in sight, for `LINGER_NS`,
    when the next write takes its place); it has been applied, and is acknowledged `for_ns` after the hold began.
    """

    def __init__(self, runtime: Runtime, recorder: Recorder) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._guard = threading.Lock()
        self._armed: dict[str, _Stall] = {}
        recorder.listen(self._hear)

    def arm(self, volume_id: str, for_ns: int) -> None:
        """Stall the volume's writes that are under way when the next hold begins, for `for_ns` nanoseconds."""
        with self._guard:
            self._armed[volume_id] = _Stall(for_ns)

    def before_acknowledgement(self, volume_id: str) -> None:
        """Called by a writer between applying a write and acknowledging it; blocks the one that is to stall."""
        if not self._armed:
            return
        with self._guard:
            stall = self._armed.get(volume_id)
            if stall is None or stall.hold_began is not None:
                return
            hold_began = stall.hold_began = self._runtime.signal(f"a hold of {volume_id} begins")
        try:
            hold_began.wait(LINGER_NS)
        except Expired:
            with self._guard:
                if not hold_began.is_over:
                    stall.hold_began = None
                    return
        self._runtime.sleep(stall.for_ns)

    def _hear(self, event: Event) -> None:
        if event.kind != "gate.hold" or not self._armed:
            return
        volume_id = event.fields["volume"]
        with self._guard:
            stall = self._armed.get(volume_id)
            if stall is None or stall.hold_began is None:
                return
            del self._armed[volume_id]
            stall.hold_began.set(None)
        self._recorder.emit("fault", fault="drain.stall", volume=volume_id)
