"""A backend holds what hosts write to one of its volumes: for a consistency point, or because it was told to."""

from __future__ import annotations

from collections.abc import Callable

from harness.runtime import Signal
from harness.runtime.virtual import VirtualRuntime


class Suspension:
    """Writes to a volume are held from now on, for `limit_ns` nanoseconds at most; `expired` is called then.

    A backend does not leave it to its caller alone to let hosts go on: they would take the volume for broken.
    """

    def __init__(self, runtime: VirtualRuntime, volume_id: str, limit_ns: int, expired: Callable[[], None]) -> None:
        self._runtime = runtime
        self._volume_id = volume_id
        self._waiting: list[Signal[None]] = []
        self._timer = runtime.env.alarm(limit_ns, expired)

    def queue(self) -> Signal[None]:
        """What is set once the writes go on; whoever waits for it in this write's turn may set it before."""
        turn: Signal[None] = self._runtime.signal(f"writes to {self._volume_id} go on")
        self._waiting.append(turn)
        return turn

    def end(self) -> None:
        """Let the writes go on, in the order in which they came."""
        self._timer.cancel()
        for turn in self._waiting:
            turn.set(None)
