"""The port of what runs batches: a pool of processes, or a cluster."""

from __future__ import annotations

from typing import Protocol

from scenarios.sweeps.work import Done, Failed

QUEUED = 2
"""Batches that are handed over for each slot: one that runs, one that waits so that the slot is never idle."""


class Executor(Protocol):
    """Runs batches. Loses none: what a worker that died had begun is begun again elsewhere."""

    @property
    def slots(self) -> int:
        """How many batches can run at once."""

    @property
    def outstanding(self) -> int:
        """How many batches were submitted and have not been given back."""

    def submit(self, numbers: tuple[int, ...]) -> None:
        """Hand over a batch. Raises `SweepError` where nobody is left to run it."""

    def next(self) -> Done | Failed:
        """Wait for a batch and take it. Raises `SweepError` where it can't be had."""

    def close(self) -> None:
        """End it all, batches under way too. Repeating it is harmless."""
