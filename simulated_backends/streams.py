"""One writer of a foreground workload, as those who let it sleep and who work its writes out see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness.runtime.virtual_task import VirtualTask
from simulated_backends.writes import Pace, Write


class PacedLoad(Protocol):
    """The workload of a stream. `cycle_ns` is about what a write and its pause take, `has_pauses` whether there are
    pauses between its streams' writes."""

    cycle_ns: int
    has_pauses: bool

    def pace(self) -> Pace | None:
        """What the load's writes take until somebody else does something; None if that takes more than arithmetic."""


class Stream:
    """One writer: its task, the write it has under way, and the pause after it (ns). `draw` gives the next of both.

    `pauses` is whether there are pauses at all; `place` is where the stream is due on the agenda, 0 if it is not.
    """

    __slots__ = ("draw", "load", "pauses", "place", "task", "think_ns", "write")

    def __init__(self, load: PacedLoad, task: VirtualTask[None], draw: Callable[[], tuple[int, int]]) -> None:
        self.load = load
        self.pauses = load.has_pauses
        self.task = task
        self.draw = draw
        self.write = Write()
        self.think_ns = 0
        self.place = 0
