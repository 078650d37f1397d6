"""The checker of specification section 7: is an image the content at one point in time? Linear in writes and blocks.

A set of writes that yields the image is fixed by it: in each block the shown write and those before it, because no
workload has two writes to one block outstanding. So the image is torn if and only if some write that it hides was
acknowledged before some write that it shows was issued, with the invocation as one more shown write and the return as
one more hidden one. Only places in the total order decide; times (ns) are for the reader.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.recorder import UNACKNOWLEDGED
from harness.stamps import FOREIGN
from harness.storage import Image

NEVER_WRITTEN = 0
"""The stamp of a block that was never written; an image may show it or leave the block out."""

Witness = dict[str, Any]
"""What shows a flaw, JSON-able: row, block, stamp, place and time (ns) of the writes concerned."""


class HistoryError(ValueError):
    """The write log breaks its own rules, so nothing can be said of an image: a fault of the harness."""


class WriteColumns(Protocol):
    """The columns of a `WriteLog`: one entry a write, in the order of issue."""

    @property
    def blocks(self) -> Sequence[int]:
        """Block numbers."""

    @property
    def stamps(self) -> Sequence[int]:
        """Stamps, unique."""

    @property
    def issued(self) -> Sequence[int]:
        """Places of issue, ascending."""

    @property
    def issued_ns(self) -> Sequence[int]:
        """Times of issue."""

    @property
    def acknowledged(self) -> Sequence[int]:
        """Places of acknowledgement, or `UNACKNOWLEDGED`."""

    @property
    def acknowledged_ns(self) -> Sequence[int]:
        """Times of acknowledgement, or `UNACKNOWLEDGED`."""


class Flaw(enum.StrEnum):
    """What is wrong with an image."""

    TORN = "torn"
    STALE = "a write from before the invocation is missing"
    LATE = "a write from after the return is shown"
    FOREIGN = "bytes that carry no whole stamp"
    UNKNOWN = "a stamp that no write made"
    MISPLACED = "a stamp that belongs to another block"


@dataclass(frozen=True)
class Verdict:
    """The answer on one image: `flaw` None means that it is a point-in-time image.

    `witness` holds `hidden` and `shown`, each a write, `"invocation"`, `"return"` or `"initial content"`; for a stamp
    that fails by itself it holds `block` and `stamp`. `message` says the same in words.
    """

    flaw: Flaw | None
    message: str
    witness: Witness | None = None

    @property
    def ok(self) -> bool:
        """Whether the image is a point-in-time image."""
        return self.flaw is None


def check_image(
    log: WriteColumns,
    image: Image,
    invoked: int,
    returned: int | None = None,
    blocks: Collection[int] | None = None,
    initial: Image | None = None,
) -> Verdict:
    """Judge an image that a method made between the places `invoked` and `returned` (None: it never returned).

    `blocks` restricts the judgement to those blocks (give a set or a range); `initial` is what the volume held before
    the log's first write. An unacknowledged last write of a block may be shown or not. Raises `HistoryError` for a log
    in which two writes to one block were outstanding, ValueError for a return before the invocation.
    """
    if returned is not None and returned < invoked:
        raise ValueError(f"the method can't return at place {returned} before it was invoked at place {invoked}")
    before: Image = initial or {}
    shown_rows, flaw = _shown_rows(log, image, blocks, before)
    if flaw is not None:
        return flaw
    hidden_row, hidden_place, shown_row, shown_place = -1, None, -1, None
    last_acknowledged: dict[int, int] = {}
    previous_issue = None
    stamps, acknowledged = log.stamps, log.acknowledged
    for row, (block, issued, acked) in enumerate(zip(log.blocks, log.issued, acknowledged, strict=True)):
        if previous_issue is not None and issued <= previous_issue:
            raise HistoryError(f"row {row} was issued at place {issued}, not after row {row - 1} at {previous_issue}")
        previous_issue = issued
        earlier = last_acknowledged.get(block)
        if earlier is not None and (earlier == UNACKNOWLEDGED or earlier >= issued):
            raise HistoryError(f"stamp {stamps[row]} was issued to block {block} with another write to it under way")
        last_acknowledged[block] = acked
        if blocks is not None and block not in blocks:
            continue
        if row <= shown_rows.get(block, -1):
            shown_row, shown_place = row, issued  # issue places ascend, so the last one is the greatest
        elif acked != UNACKNOWLEDGED and (hidden_place is None or acked < hidden_place):
            hidden_row, hidden_place = row, acked
    if hidden_place is not None and hidden_place < invoked:
        return _stale(log, hidden_row, invoked)
    if returned is not None and shown_place is not None and returned < shown_place:
        return _late(log, shown_row, returned)
    if hidden_place is not None and shown_place is not None and hidden_place < shown_place:
        return _torn(log, hidden_row, shown_row)
    return Verdict(None, "the image shows the content at one point in time")


def _shown_rows(
    log: WriteColumns, image: Image, blocks: Collection[int] | None, initial: Image
) -> tuple[dict[int, int], Verdict | None]:
    """The row that each block shows (-1: what it held before the log), and the flaw of a stamp that fails by itself."""
    row_of = {stamp: row for row, stamp in enumerate(log.stamps)}
    if len(row_of) != len(log.stamps):
        raise HistoryError("two writes of the log carry the same stamp")
    shown: dict[int, int] = {}
    for block in sorted(image.keys() | initial.keys()):
        if blocks is not None and block not in blocks:
            continue
        stamp = image.get(block, NEVER_WRITTEN)
        held = initial.get(block, NEVER_WRITTEN)
        if stamp == held:
            shown[block] = -1
            continue
        row = row_of.get(stamp)
        if row is not None and log.blocks[row] == block:
            shown[block] = row
            continue
        return shown, _impossible(log, block, stamp, held, row, initial)
    return shown, None


def _impossible(log: WriteColumns, block: int, stamp: int, held: int, row: int | None, initial: Image) -> Verdict:
    witness: Witness = {"block": block, "stamp": stamp}
    if stamp == FOREIGN:
        return Verdict(Flaw.FOREIGN, f"block {block} holds bytes that carry no whole stamp", witness)
    if stamp == NEVER_WRITTEN:
        witness = {
            "hidden": {"initial content": {"block": block, "stamp": held}},
            "shown": {"zeros": {"block": block}},
        }
        text = f"block {block} shows zeros, but held stamp {held} before the first write of the log"
        return Verdict(Flaw.STALE, text, witness)
    home = log.blocks[row] if row is not None else next((b for b, s in initial.items() if s == stamp), None)
    if home is not None:
        witness["belongs_to"] = home
        return Verdict(Flaw.MISPLACED, f"block {block} shows stamp {stamp}, which belongs to block {home}", witness)
    return Verdict(Flaw.UNKNOWN, f"block {block} shows stamp {stamp}, which no write made", witness)


def _write(log: WriteColumns, row: int) -> Witness:
    return {
        "row": row,
        "block": log.blocks[row],
        "stamp": log.stamps[row],
        "issued_place": log.issued[row],
        "issued_ns": log.issued_ns[row],
        "acknowledged_place": log.acknowledged[row],
        "acknowledged_ns": log.acknowledged_ns[row],
    }


def _hidden_text(log: WriteColumns, row: int) -> str:
    return (
        f"the image hides the write of stamp {log.stamps[row]} to block {log.blocks[row]}, acknowledged at "
        f"{log.acknowledged_ns[row]} ns (place {log.acknowledged[row]})"
    )


def _shown_text(log: WriteColumns, row: int) -> str:
    return (
        f"the write of stamp {log.stamps[row]} to block {log.blocks[row]}, issued at {log.issued_ns[row]} ns "
        f"(place {log.issued[row]})"
    )


def _stale(log: WriteColumns, row: int, invoked: int) -> Verdict:
    message = f"{_hidden_text(log, row)}, before the method was invoked (place {invoked})"
    return Verdict(Flaw.STALE, message, {"hidden": _write(log, row), "shown": {"invocation": {"place": invoked}}})


def _late(log: WriteColumns, row: int, returned: int) -> Verdict:
    message = f"the image shows {_shown_text(log, row)}, after the method had returned (place {returned})"
    return Verdict(Flaw.LATE, message, {"hidden": {"return": {"place": returned}}, "shown": _write(log, row)})


def _torn(log: WriteColumns, hidden: int, shown: int) -> Verdict:
    message = f"{_hidden_text(log, hidden)}, but shows {_shown_text(log, shown)}, which is later"
    return Verdict(Flaw.TORN, message, {"hidden": _write(log, hidden), "shown": _write(log, shown)})


@dataclass(frozen=True)
class Coverage:
    """Whether a history can tell a point-in-time image from another one, and what it lacks if it can't.

    `before`, `during` and `after` count the writes issued in those parts of the run.
    """

    sufficient: bool
    reason: str
    before: int = 0
    during: int = 0
    after: int = 0


def coverage(log: WriteColumns, invoked: int, returned: int, blocks: Collection[int] | None = None) -> Coverage:
    """Whether writes were issued before, during and after, to parts already copied and parts not yet copied.

    In which direction a driver copies is not known, so both the first and the second half of the window (in places)
    need writes in both the lower and the upper half of the blocks. `blocks` are those considered; by default those
    that the log holds.
    """
    considered = sorted(set(log.blocks) if blocks is None else blocks)
    if not considered:
        return Coverage(False, "no write was issued")
    first_high = considered[len(considered) // 2]
    middle = (invoked + returned) / 2
    before = during = after = 0
    met: set[tuple[bool, bool]] = set()
    for block, issued in zip(log.blocks, log.issued, strict=True):
        if blocks is not None and block not in blocks:
            continue
        if issued <= invoked:
            before += 1
        elif issued >= returned:
            after += 1
        else:
            during += 1
            met.add((issued > middle, block >= first_high))
    missing = [name for name, count in (("before", before), ("during", during), ("after", after)) if not count]
    if missing:
        return Coverage(False, f"no write was issued {' or '.join(missing)} the method ran", before, during, after)
    for late in (False, True):
        for high in (False, True):
            if (late, high) not in met:
                half = "second" if late else "first"
                part = "upper" if high else "lower"
                reason = f"no write was issued to the {part} half of the blocks in the {half} half of the method's run"
                return Coverage(False, reason, before, during, after)
    return Coverage(True, "writes were issued before, during and after, on both sides", before, during, after)


def exact_image(log: WriteColumns, at_place: int, initial: Image | None = None) -> dict[int, int]:
    """The content when exactly the writes acknowledged before `at_place` are applied (Q-10), over `initial`."""
    content = dict(initial or {})
    for block, stamp, acked in zip(log.blocks, log.stamps, log.acknowledged, strict=True):
        if acked != UNACKNOWLEDGED and acked < at_place:
            content[block] = stamp
    return content


def compare_images(expected: Image, found: Image, blocks: Collection[int] | None = None) -> Witness | None:
    """The lowest block in which two images differ and how many do, or None; never written and zeros are the same."""
    considered = expected.keys() | found.keys()
    differing = [
        block
        for block in considered
        if (blocks is None or block in blocks) and expected.get(block, NEVER_WRITTEN) != found.get(block, NEVER_WRITTEN)
    ]
    if not differing:
        return None
    block = min(differing)
    return {
        "block": block,
        "expected": expected.get(block, NEVER_WRITTEN),
        "found": found.get(block, NEVER_WRITTEN),
        "differing": len(differing),
    }


def lost_writes(log: WriteColumns, image: Image, until: int, initial: Image | None = None) -> list[Witness]:
    """The blocks in which a moved volume lost a write acknowledged before the place `until` (Q-9), by block.

    A block must show its last such write or one issued later. Each entry is the lost write with `found`, the stamp
    shown instead; where no write was lost but the stamp can't be, only `block`, `stamp` (expected) and `found`.
    """
    row_of = {stamp: row for row, stamp in enumerate(log.stamps)}
    held: Image = initial or {}
    owed: dict[int, int] = {}
    for row, (block, acked) in enumerate(zip(log.blocks, log.acknowledged, strict=True)):
        if acked != UNACKNOWLEDGED and acked < until:
            owed[block] = row
    lost: list[Witness] = []
    for block in sorted(owed.keys() | image.keys() | held.keys()):
        found = image.get(block, NEVER_WRITTEN)
        shown = row_of.get(found)
        if shown is not None and log.blocks[shown] == block and shown >= owed.get(block, -1):
            continue
        if block in owed:
            lost.append({**_write(log, owed[block]), "found": found})
        elif found != held.get(block, NEVER_WRITTEN):
            lost.append({"block": block, "stamp": held.get(block, NEVER_WRITTEN), "found": found})
    return lost
