"""The pool of one backend: where its objects are, by which links it is reached, and what figures it goes by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulated_backends.fabric import Path
from simulated_backends.medium import Medium
from simulated_backends.profiles import Figures


@dataclass(eq=False)
class Pool:
    """A backend's pool. `is_full` is whether a fault has taken what is left of it, `outages` how often it was off.

    `lines_to` tells the links between this backend's port and another one's, beyond the ports themselves.
    """

    name: str
    family: str
    medium: Medium
    figures: Figures
    is_full: bool = False
    outages: int = 0
    lines_to: Callable[[str], Path] = lambda backend: ()
    _fillers: int = 0

    def power_off(self) -> None:
        """The disk loses its power, and with it whatever single I/O it was about."""
        self.outages += 1
        if self.medium.queue is not None:
            self.medium.queue.power_off()

    def fill(self) -> None:
        """A fault takes what is left of the pool."""
        self._fillers += 1
        self.is_full = True

    def free(self) -> None:
        """One such fault is over."""
        self._fillers -= 1
        self.is_full = self._fillers > 0
