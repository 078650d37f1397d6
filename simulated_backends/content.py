"""What volumes hold: stamps in layers that snapshots share until somebody writes, and their bytes when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from harness.stamps import FOREIGN, ForeignBytes, block_bytes, read_stamp
from harness.storage import BLOCK

_FEW_LAYERS = 3
"""So many layers are walked through as they are."""

_FOREIGN_BYTES = b"\xff" * BLOCK
"""What a block shows whose bytes carried no stamp; it carries none either."""


class _Layer:
    """Stamps that nobody writes any more, over another layer. `walked` counts look-ups that went on below it."""

    __slots__ = ("below", "price", "stamps", "walked")

    def __init__(self, stamps: dict[int, int], below: _Layer | None) -> None:
        self.stamps = stamps
        self.below = below
        self.walked = 0
        self.price = -1  # not worked out yet

    def down(self) -> list[dict[int, int]]:
        """The stamps of this layer and of all below it, the lowest first."""
        found = []
        layer: _Layer | None = self
        while layer is not None:
            found.append(layer.stamps)
            layer = layer.below
        found.reverse()
        return found

    def pay(self, steps: int) -> None:
        """Count the layers that a look-up walked through; once they make up for it, merge all but the lowest.

        Whoever shares this layer shares the merged one, and sees the same.
        """
        self.walked += steps
        if self.price < 0:
            self.price = sum(len(stamps) for stamps in self.down()[1:])
        if self.walked >= self.price:
            lowest, *others = self.down()
            merged: dict[int, int] = {}
            for stamps in others:
                merged.update(stamps)
            self.stamps, self.below = merged, _Layer(lowest, None)
            self.walked, self.price = 0, -1


class Content:
    """Block → stamp. Layers that are frozen are shared and show the same for ever; the top layer takes the writes.

    Stamp 0 stands for a block of zeros, which an image does not show. Freezing takes the same time whatever was
    written; layers are merged when enough look-ups had to walk through them.
    """

    __slots__ = ("_below", "_top")

    def __init__(self, below: _Layer | None = None) -> None:
        self._below = below
        self._top: dict[int, int] = {}

    def freeze(self) -> Content:
        """Another content that shows the same from now on; no block is copied, and neither sees the other's writes."""
        if self._top:
            self._below = _Layer(self._top, self._below)
            self._top = {}
        return Content(self._below)

    def write(self, block: int, stamp: int) -> None:
        """Put a stamp into a block."""
        self._top[block] = stamp

    def write_all(self, blocks: Iterable[int], stamps: Iterable[int]) -> None:
        """Put stamps into blocks, one after the other."""
        self._top.update(zip(blocks, stamps, strict=True))

    def stamp(self, block: int) -> int:
        """The stamp of a block; 0 if it was never written."""
        stamp = self._top.get(block)
        layer = self._below
        steps = 0
        while stamp is None and layer is not None:
            stamp = layer.stamps.get(block)
            layer = layer.below
            steps += 1
        if steps > _FEW_LAYERS and self._below is not None:
            self._below.pay(steps)
        return stamp or 0

    def image(self) -> dict[int, int]:
        """Every block that is not zeros, with its stamp."""
        merged: dict[int, int] = {}
        for layer in self._layers():
            merged.update(layer)
        return {block: stamp for block, stamp in merged.items() if stamp}

    def between(self, first: int, end: int) -> dict[int, int]:
        """The part of the image from block `first` up to but without block `end`."""
        merged: dict[int, int] = {}
        for layer in self._layers():
            if len(layer) > end - first:
                merged.update((block, layer[block]) for block in range(first, end) if block in layer)
            else:
                merged.update((block, stamp) for block, stamp in layer.items() if first <= block < end)
        return {block: stamp for block, stamp in merged.items() if stamp}

    def _layers(self) -> list[dict[int, int]]:
        """All layers, the lowest first."""
        if self._below is None:
            return [self._top]
        layers = self._below.down()
        if len(layers) > _FEW_LAYERS:
            self._below.pay(len(layers))
            layers = self._below.down()
        return [*layers, self._top]


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
