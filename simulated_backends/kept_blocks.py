"""The blocks that snapshots keep for themselves, counted where a pool may run out of room for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from simulated_backends.content import Content

Kept = set[tuple[int, int]]
"""Blocks with their stamps."""


def kept_by(snapshots: Iterable[Content], volumes: Iterable[Content]) -> Kept:
    """What snapshots show and volumes do not, of one lineage; what several snapshots show is there once."""
    kept: Kept = set()
    for snapshot in snapshots:
        kept.update(snapshot.image().items())
    for volume in volumes if kept else ():
        kept.difference_update(volume.image().items())
    return kept


class KeptBlocks:
    """What the snapshots of a pool keep for themselves, by lineage; `most` is how many blocks there is room for."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0
        self._by_lineage: dict[int, Kept] = defaultdict(set)

    def has_room_for(self, lineage: int, kept: Kept) -> bool:
        """Whether a lineage may keep those instead of what it keeps."""
        return self.count - len(self._by_lineage[lineage]) + len(kept) <= self.most

    def put(self, lineage: int, kept: Kept) -> None:
        """Let a lineage keep those from now on."""
        self.count += len(kept) - len(self._by_lineage[lineage])
        self._by_lineage[lineage] = kept

    def change(self, lineage: int, shown: tuple[int, int], left: tuple[int, int] | None) -> None:
        """A volume of the lineage shows `shown` from now on, and leaves `left` to snapshots alone, if that is one."""
        kept = self._by_lineage[lineage]
        before = len(kept)
        kept.discard(shown)
        if left is not None:
            kept.add(left)
        self.count += len(kept) - before
