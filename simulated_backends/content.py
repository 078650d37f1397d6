"""What volumes hold: stamps in layers that snapshots share until somebody writes, and their bytes when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from harness.stamps import FOREIGN, ForeignBytes, block_bytes, read_stamp
from harness.storage import BLOCK

_MAX_LAYERS = 8
"""Frozen layers are merged into one when there are more, so that a look-up stays short."""

_FOREIGN_BYTES = b"\xff" * BLOCK
"""What a block shows whose bytes carried no stamp; it carries none either."""


class Content:
    """Block → stamp. Layers that are frozen are shared and never change; the top layer takes the writes.

    Stamp 0 stands for a block of zeros, which an image does not show.
    """

    __slots__ = ("_frozen", "_top")

    def __init__(self, frozen: tuple[dict[int, int], ...] = ()) -> None:
        self._frozen = frozen
        self._top: dict[int, int] = {}

    def freeze(self) -> Content:
        """Another content that shows the same from now on; no block is copied, and neither sees the other's writes."""
        if self._top:
            self._frozen = (*self._frozen, self._top)
            self._top = {}
            if len(self._frozen) > _MAX_LAYERS:
                self._frozen = (self.image(),)
        return Content(self._frozen)

    def write(self, block: int, stamp: int) -> None:
        """Put a stamp into a block."""
        self._top[block] = stamp

    def stamp(self, block: int) -> int:
        """The stamp of a block; 0 if it was never written."""
        stamp = self._top.get(block)
        if stamp is not None:
            return stamp
        for layer in reversed(self._frozen):
            if block in layer:
                return layer[block]
        return 0

    def image(self) -> dict[int, int]:
        """Every block that is not zeros, with its stamp."""
        merged: dict[int, int] = {}
        for layer in (*self._frozen, self._top):
            merged.update(layer)
        return {block: stamp for block, stamp in merged.items() if stamp}

    def between(self, first: int, end: int) -> dict[int, int]:
        """The part of the image from block `first` up to but without block `end`."""
        merged: dict[int, int] = {}
        for layer in (*self._frozen, self._top):
            if len(layer) > end - first:
                merged.update((block, layer[block]) for block in range(first, end) if block in layer)
            else:
                merged.update((block, stamp) for block, stamp in layer.items() if first <= block < end)
        return {block: stamp for block, stamp in merged.items() if stamp}


Rank = Callable[[int], int]
"""The place of a block, counted from 0, in the order in which a reader takes the blocks."""


def ascending(block: int) -> int:
    """The rank of a block for a reader that goes from the first block to the last."""
    return block


class Crawl:
    """What a reader sees that gets to a live source block after block, in the order that `rank` gives.

    A block counts as read once the reader is past its last byte. A write to a block that was read already is not seen;
    the stamp that was read is kept here. `position` gives the number of bytes that the reader has got through.
    """

    def __init__(self, position: Callable[[], int], rank: Rank = ascending) -> None:
        self._position = position
        self._rank = rank
        self.kept: dict[int, int] = {}

    def before_write(self, block: int, stamp: int) -> None:
        """Note that `block`, which holds `stamp`, is about to be overwritten."""
        if (self._rank(block) + 1) * BLOCK <= self._position():
            self.kept.setdefault(block, stamp)

    def seen(self, source: dict[int, int], first: int = 0, end: int | None = None) -> dict[int, int]:
        """What was read of the blocks from `first` up to `end`, given what the source shows there now."""
        seen = dict(source)
        for block, stamp in self.kept.items():
            if block >= first and (end is None or block < end):
                seen[block] = stamp
        return {block: stamp for block, stamp in seen.items() if stamp}


def stored_bytes(block: int, stamp: int) -> bytes:
    """The bytes of one block that holds `stamp`."""
    return _FOREIGN_BYTES if stamp == FOREIGN else block_bytes(block, stamp)


def stamps_in(data: bytes) -> Iterator[int]:
    """The stamps that whole blocks of bytes carry, one after the other; `FOREIGN` where there is none, 0 for zeros."""
    for offset in range(0, len(data), BLOCK):
        try:
            found = read_stamp(data[offset : offset + BLOCK])
        except ForeignBytes:
            yield FOREIGN
        else:
            yield 0 if found is None else found[1]


def runs(blocks: Iterable[int], longest: int | None = None) -> Iterator[tuple[int, int]]:
    """The contiguous runs `(first block, number of blocks)` of at most `longest` blocks, ascending."""
    first = length = 0
    for block in sorted(blocks):
        if length and block == first + length and (longest is None or length < longest):
            length += 1
            continue
        if length:
            yield first, length
        first, length = block, 1
    if length:
        yield first, length
