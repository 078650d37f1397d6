"""What becomes of a transfer that fills an object of a pool which a fault has filled."""

from __future__ import annotations

from collections.abc import Callable

from harness.storage import BLOCK, TransferStarved
from simulated_backends.content import Rank
from simulated_backends.pool import Pool
from simulated_backends.stored_object import HeldObject
from simulated_backends.transfers import BulkTransfer


class Starvation:
    """Lets a transfer into a full pool fail at the next block that takes room, unless there is some again by then.

    `image` gives what the transfer brings, block after block in the order of their rank. A source that is read `live`
    is watched while the pool is full: what a host writes there takes room once the transfer gets to it, and at once
    where the transfer `mirrors` writes to what it has moved.
    """

    def __init__(
        self,
        transfer: BulkTransfer,
        pool: Pool,
        rank: Rank,
        image: Callable[[], dict[int, int]],
        live: HeldObject | None,
        mirrors: bool = False,
    ) -> None:
        self._transfer = transfer
        self._pool = pool
        self._rank = rank
        self._image = image
        self._live = live
        self._mirrors = mirrors

    def begin(self) -> None:
        """The pool is full."""
        if not self._pool.figures.is_thin:
            return
        if self._live is not None:
            self._live.settle()
            if self._before_write not in self._live.watchers:
                self._live.watchers.append(self._before_write)
        ahead = min((rank for rank in map(self._rank, self._image()) if self._is_ahead(rank)), default=None)
        if ahead is not None:
            self._fail_at(ahead)

    def end(self) -> None:
        """Watch the source no more."""
        if self._live is not None and self._before_write in self._live.watchers:
            self._live.watchers.remove(self._before_write)

    def _before_write(self, block: int, stamp: int) -> None:
        rank = self._rank(block)
        if not self._pool.is_full:
            self.end()
        elif not stamp and (self._mirrors or self._is_ahead(rank)):  # what holds a stamp takes no more than it did
            self._fail_at(rank)

    def _is_ahead(self, rank: int) -> bool:
        return (rank + 1) * BLOCK > self._transfer.moved()

    def _fail_at(self, rank: int) -> None:
        pool = self._pool
        position = max(self._transfer.moved(), rank * BLOCK)
        self._transfer.fail_at(position, f"the pool of {pool.name} is full", lambda: pool.is_full, TransferStarved)
