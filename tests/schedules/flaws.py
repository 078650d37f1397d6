"""Flaws that the taskflow once had and that schedules found; each breaks the taskflow of its process, for good."""

from __future__ import annotations

from collections.abc import Callable

from conformance.faulty_taskflows.registry import patch
from harness.taskflow import methods, recovery
from harness.taskflow.errors import QuiesceLost
from harness.taskflow.journal import FlowRecord


def forgets_why_it_released() -> None:
    """A second recovery does not know that the first one gave the hold back."""
    real = recovery.Recovery._end

    def end(self: recovery.Recovery, record: FlowRecord) -> recovery.Recovered:
        record.released = False
        return real(self, record)

    patch(recovery.Recovery, "_end", end)


def releases_what_moves() -> None:
    """A recovery gives the hold back before the move is surely over."""
    real = recovery.Recovery._end

    def end(self: recovery.Recovery, record: FlowRecord) -> recovery.Recovered:
        self._release(record)
        return real(self, record)

    patch(recovery.Recovery, "_end", end)


def forgets_what_has_grown() -> None:
    """An extension whose hold had lapsed is taken for one that did not take place."""
    real = methods.Methods.extend

    def extend(self: methods.Methods, volume_id: str, new_size: int) -> None:
        size = self._volume(volume_id).size
        try:
            real(self, volume_id, new_size)
        except QuiesceLost:
            self._volume(volume_id).size = size
            raise

    patch(methods.Methods, "extend", extend)


FLAWS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (forgets_why_it_released, releases_what_moves, forgets_what_has_grown)
}
