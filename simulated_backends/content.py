"""What volumes hold: stamps that snapshots share as long as nobody overwrites them, and their bytes when asked for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator

from harness.stamps import FOREIGN, ForeignBytes, block_bytes, read_stamp
from harness.storage import BLOCK

_FEW_DIARIES = 3
"""So many diaries are walked through as they are."""

_NOT_HERE = object()
"""Stands for a block that a diary says nothing of."""

_FOREIGN_BYTES = b"\xff" * BLOCK
"""What a block shows whose bytes carried no stamp; it carries none either."""

Stamps = dict[int, int]


class _Diary:
    """What a content's blocks held before they were overwritten for the first time since the diary was begun.

    None stands for a block that had not been written. `later` is the diary that was begun next, if there is one: then
    nothing is noted in this one any more. It lives as long as somebody shows the content as it was then or before.
    """

    __slots__ = ("__weakref__", "before", "later", "price", "walked")

    def __init__(self) -> None:
        self.before: dict[int, int | None] = {}
        self.later: _Diary | None = None
        self.walked = 0
        self.price = -1  # not worked out yet

    def pay(self, steps: int) -> None:
        """Count the diaries that a look-up walked through; once they make up for it, put all that are closed into one.

        Whoever shares this diary shares what was put into it, and sees the same.
        """
        self.walked += steps
        if self.price < 0:
            self.price = sum(len(diary.before) for diary in self._closed())
        if self.walked >= self.price > 0:
            closed = self._closed()
            merged: dict[int, int | None] = {}
            for diary in reversed(closed):  # what a block held first is what it shows
                merged.update(diary.before)
            self.before, self.later = merged, closed[-1].later
            self.walked, self.price = 0, -1

    def on(self) -> Iterator[_Diary]:
        """This diary and all later ones."""
        diary: _Diary | None = self
        while diary is not None:
            yield diary
            diary = diary.later

    def _closed(self) -> list[_Diary]:
        return [diary for diary in self.on() if diary.later is not None]


class _View:
    """A content as it was when a diary was begun: `now` is what its own writes have made of it since."""

    __slots__ = ("_base", "_diary", "_now")

    def __init__(self, now: Stamps, diary: _Diary, base: _View | None) -> None:
        self._now = now
        self._diary = diary
        self._base = base

    def stamp(self, block: int) -> int | None:
        """The stamp of a block; None if it was never written."""
        diary: _Diary | None = self._diary
        found: object = _NOT_HERE
        steps = 0
        while diary is not None and found is _NOT_HERE:
            found = diary.before.get(block, _NOT_HERE)
            diary = diary.later
            steps += 1
        if steps > _FEW_DIARIES:
            self._diary.pay(steps)
        if found is _NOT_HERE:
            found = self._now.get(block)
        if found is None and self._base is not None:
            return self._base.stamp(block)
        return found  # type: ignore[return-value]  # a diary holds stamps and None

    def shown(self, part: Callable[[dict[int, int | None]], dict[int, int | None]]) -> Stamps:
        """The stamps that were written, of each dictionary only the part asked for."""
        diaries = list(self._diary.on())
        if len(diaries) > _FEW_DIARIES:
            self._diary.pay(len(diaries))
            diaries = list(self._diary.on())
        changed: dict[int, int | None] = dict(part(self._now))  # type: ignore[arg-type]
        for diary in reversed(diaries):
            changed.update(part(diary.before))
        shown = {} if self._base is None else self._base.shown(part)
        shown.update((block, stamp) for block, stamp in changed.items() if stamp is not None)
        return shown


class Content:
    """Block → stamp. A frozen copy shows the same for ever, whatever is written to either of the two.

    Stamp 0 stands for a block of zeros, which an image does not show. A copy shares what is there and takes the same
    time whatever was written; from then on whoever overwrites a block notes first what it held, as long as a copy is
    there to show it. So a content is read at once however often it was copied, and a copy through what was noted since;
    that is put together when enough look-ups had to walk through it.
    """

    __slots__ = ("_base", "_newest", "_now")

    def __init__(self, base: _View | None = None) -> None:
        self._base = base
        self._now: Stamps = {}
        self._newest: weakref.ref[_Diary] | None = None

    def freeze(self) -> Content:
        """Another content that shows the same from now on; no block is copied, and neither sees the other's writes."""
        if not self._now:
            return Content(self._base)
        diary = self._diary()
        if diary is None or diary.before:
            begun = _Diary()
            if diary is not None:
                diary.later = begun
            self._newest = weakref.ref(begun)
            diary = begun
        return Content(_View(self._now, diary, self._base))

    def write(self, block: int, stamp: int) -> None:
        """Put a stamp into a block."""
        if self._newest is not None:
            diary = self._diary()
            if diary is not None and block not in diary.before:
                diary.before[block] = self._now.get(block)
        self._now[block] = stamp

    def write_all(self, blocks: Iterable[int], stamps: Iterable[int]) -> None:
        """Put stamps into blocks, one after the other."""
        written = dict(zip(blocks, stamps, strict=True))
        diary = self._diary()
        if diary is not None:
            before, now = diary.before, self._now
            before.update((block, now.get(block)) for block in written if block not in before)
        self._now.update(written)

    def stamp(self, block: int) -> int:
        """The stamp of a block; 0 if it was never written."""
        stamp = self._now.get(block)
        if stamp is None and self._base is not None:
            stamp = self._base.stamp(block)
        return stamp or 0

    def image(self) -> Stamps:
        """Every block that is not zeros, with its stamp."""
        return self._image(lambda stamps: stamps)

    def between(self, first: int, end: int) -> Stamps:
        """The part of the image from block `first` up to but without block `end`."""

        def part(stamps: dict[int, int | None]) -> dict[int, int | None]:
            if len(stamps) > end - first:
                return {block: stamps[block] for block in range(first, end) if block in stamps}
            return {block: stamp for block, stamp in stamps.items() if first <= block < end}

        return self._image(part)

    def _image(self, part: Callable[[dict[int, int | None]], dict[int, int | None]]) -> Stamps:
        own: Stamps = part(self._now)  # type: ignore[arg-type, assignment]  # what is written is a stamp
        if self._base is not None:
            own = {**self._base.shown(part), **own}
        return {block: stamp for block, stamp in own.items() if stamp}

    def _diary(self) -> _Diary | None:
        """The diary that is written in, if there is anybody for whom."""
        if self._newest is None:
            return None
        diary = self._newest()
        if diary is None:  # and so are all earlier ones, each of which holds the next
            self._newest = None
        return diary


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
