"""One volume or snapshot of a simulated backend: its content, and what is under way with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from harness.model import GIB
from harness.storage import BLOCK, Image, ObjectBusy, ObjectUnknown, PoolFull, StoredObject
from simulated_backends.content import Content, Crawl, Rank, ascending
from simulated_backends.kept_blocks import KeptBlocks
from simulated_backends.pool import Pool
from simulated_backends.suspension import Suspension


class Arriving(Protocol):
    """What fills an object that is complete and in use: a host's copy."""

    def arrived(self) -> dict[int, int]:
        """Block → stamp of what has arrived, 0 for zeros, and is not in the content yet."""

    def land(self) -> None:
        """Put that into the content."""


class FailAt(Protocol):
    """What lets a transfer fail at a position in bytes, unless `still` says then that it need not."""

    def __call__(self, position: int, reason: str, still: Callable[[], bool] | None) -> None:
        """See `harness.storage.Transfer.fail_at`."""


class Reader(NamedTuple):
    """A transfer that reads an object's blocks in the order of their rank: `frozen` ones, or (None) live.

    `is_job` is whether a job of the backend does, and not a host.
    """

    fail_at: FailAt
    rank: Rank
    frozen: Content | None
    is_job: bool


class Arrival:
    """What goes bad of an object while a transfer brings its first `blocks`, in the order of their rank.

    A block that has not arrived is written when it does. Where writes are carried over to those that have, `shown`
    gives the stamp that a block has by them.
    """

    def __init__(
        self, moved: Callable[[], int], rank: Rank, blocks: int, shown: Callable[[int], int] | None = None
    ) -> None:
        self._moved = moved
        self._rank = rank
        self._blocks = blocks
        self._shown = shown or (lambda block: 0)
        self._spoiled: dict[int, int] = {}

    def spoil(self, block: int) -> None:
        """A block goes bad."""
        if block >= self._blocks or (self._rank(block) + 1) * BLOCK <= self._moved():
            self._spoiled[block] = self._shown(block)

    def bad(self) -> set[int]:
        """The blocks that went bad and were not written since."""
        return {block for block, stamp in self._spoiled.items() if self._shown(block) == stamp}


@dataclass(eq=False)
class HeldObject:
    """A volume or snapshot as its backend holds it.

    A volume that moves stays this object and changes its `pool`, so that attached hosts follow. `lineage` numbers what
    shares blocks on the medium, `kin` are the objects of one lineage (None: only this one); `provisioned` GiB is what
    the object counts against the pool: 0 for a snapshot that shares blocks, and `kept` counts what such snapshots keep
    for themselves (None: there are none, or the pool has room for all that they might keep). `readers` counts transfers
    out of it, `changing` names the transfer that is about to change or remove it, `partial` shows what has arrived of
    an object that is not complete, `starve` tells what fills it that the pool is full. `bad` are blocks that can't be
    read, `reading` the transfers that read the object's blocks. `dirty` are blocks that are in the write cache and not
    on the disk, `flushing` counts those that flushes under way are bringing there, `moved_away` are those whose old
    content was moved away since the newest copy-on-write snapshot or revert (None: no snapshot). `suspension` holds the
    writes of hosts while there is one. `arrival` is what goes bad of an object that is not complete, `origin` the
    volume that a snapshot was taken of. `arriving` are hosts' copies into the object; `followers` are called when it
    has come to another pool, or is gone, or is suspended, or there may be no room in its pool. `watchers` are called
    with each block that is about to be written, and the stamp that it holds; there are none where it is enough to be
    told later, but one that was needed for as long as a pool was full may stay until it is called.
    """

    id: str
    kind: str
    size: int
    pool: Pool
    lineage: int
    identity: str
    provisioned: int
    origin: HeldObject | None = None
    kin: list[HeldObject] | None = None
    kept: KeptBlocks | None = None
    complete: bool = True
    content: Content = field(default_factory=Content)
    readers: int = 0
    changing: str | None = None
    gone: bool = False
    partial: Callable[[], dict[int, int]] | None = None
    starve: Callable[[], None] | None = None
    crawls: list[Crawl] = field(default_factory=list)
    watchers: list[Callable[[int, int], None]] = field(default_factory=list)
    arriving: list[Arriving] = field(default_factory=list)
    followers: list[Callable[[], None]] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    reading: list[Reader] = field(default_factory=list)
    dirty: set[int] = field(default_factory=set)
    flushing: int = 0
    moved_away: set[int] | None = None
    suspension: Suspension | None = None
    arrival: Arrival | None = None

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return self.size * GIB

    @property
    def busy_with(self) -> str | None:
        """What is under way with the object, for a message; None if nothing is."""
        if self.changing is not None:
            return f"is being {self.changing}"
        return "is being copied" if self.readers else None

    def check_idle(self) -> None:
        """Raises `ObjectBusy` while a transfer of the object is under way."""
        if self.busy_with is not None:
            raise ObjectBusy(f"{self.id} {self.busy_with}")

    def settle(self) -> None:
        """Take in what hosts' copies have brought; for whoever is to read the content at this instant."""
        for copy in self.arriving:
            copy.land()

    def tell_followers(self) -> None:
        """The object has come to another pool, or is gone, or is suspended, or there may be no room in its pool."""
        for follower in tuple(self.followers):
            follower()

    def sharers(self, block: int) -> list[HeldObject]:
        """The other objects that show the same block on the medium."""
        if not self.kin:
            return []
        stamp = self.content.stamp(block)
        return [other for other in self.kin if other is not self and other.content.stamp(block) == stamp]

    def is_in_snapshot(self, block: int) -> bool:
        """Whether a snapshot of the volume shows the same block on the medium."""
        return any(other.origin is self for other in self.sharers(block))

    def leaves(self, block: int) -> bool:
        """Whether a write to the block leaves what it holds to snapshots alone, which takes a new block of the pool."""
        sharers = self.sharers(block) if self.content.stamp(block) else []
        return bool(sharers) and not any(other.provisioned for other in sharers)

    def check_room(self, block: int) -> None:
        """Raises `PoolFull` if writing the block takes a new one of a full pool, as for a shared block it does."""
        pool = self.pool
        if pool.is_full and (self.sharers(block) if self.content.stamp(block) else pool.figures.is_thin):
            raise self._no_room(block)
        self.check_kept(block)

    def check_kept(self, block: int) -> None:
        """Raises `PoolFull` if there is no room for what writing the block leaves to snapshots alone."""
        if self.kept is not None and self.kept.count >= self.kept.most and self.leaves(block):
            raise self._no_room(block)

    def write(self, block: int, stamp: int) -> None:
        """Change one block; those who crawl over the object, or watch it, are told first.

        Raises `ObjectUnknown` once it is gone.
        """
        if self.gone:
            raise ObjectUnknown(f"no {self.kind} {self.id} on {self.pool.name}")
        for crawl in self.crawls:
            crawl.before_write(block, self.content.stamp(block))
        for watcher in tuple(self.watchers):
            watcher(block, self.content.stamp(block))
        if self.kept is not None and self.content.stamp(block) != stamp:
            left = (block, self.content.stamp(block)) if self.leaves(block) else None
            self.kept.change(self.lineage, (block, stamp), left)
        self.content.write(block, stamp)
        if self.bad:
            self.bad.discard(block)

    def write_all(self, blocks: list[int], stamps: list[int]) -> None:
        """Change blocks one after the other, of an object that is there, without crawls, `watchers` and `kept`."""
        self.content.write_all(blocks, stamps)
        if self.bad:
            self.bad.difference_update(blocks)

    def begin_flush(self) -> set[int]:
        """A flush begins; returns the blocks that it brings to the disk. Those that are written later are not its."""
        flushed, self.dirty = self.dirty, set()
        self.flushing += len(flushed)
        return flushed

    def end_flush(self, flushed: set[int], is_done: bool) -> None:
        """A flush of those blocks is over; they are still dirty unless it was done."""
        self.flushing -= len(flushed)
        if not is_done:
            self.dirty |= flushed

    def resume(self) -> None:
        """Let the writes of hosts go on, if they are held."""
        suspension, self.suspension = self.suspension, None
        if suspension is not None:
            suspension.end()

    def spoil(self, block: int) -> None:
        """A block can't be read from now on, until it is written; transfers that get to it fail.

        The same goes for the objects that share it, each until its own is written, and for what reads it frozen.
        """
        if self.arrival is not None:
            self.arrival.spoil(block)
            return
        self.settle()
        stamp = self.content.stamp(block)
        for held in tuple(self.kin or (self,)):
            if held.content.stamp(block) == stamp:
                held.bad.add(block)
            for reader in tuple(held.reading):
                if (reader.frozen or held.content).stamp(block) == stamp:
                    held._fail(reader, block)

    def read_by(
        self, fail_at: FailAt, rank: Rank = ascending, frozen: Content | None = None, is_job: bool = True
    ) -> None:
        """A transfer begins to read the object's blocks; it fails at the first that is bad when it gets there.

        One that reads them as they were, `frozen` just now, fails as well where the block was written in the meantime.
        """
        reader = Reader(fail_at, rank, frozen, is_job)
        self.reading.append(reader)
        for block in sorted(self.bad):
            self._fail(reader, block)

    def unread_by(self, fail_at: FailAt) -> None:
        """That transfer does not read the object any more."""
        self.reading = [reader for reader in self.reading if reader.fail_at != fail_at]

    def medium_error(self, block: int) -> str:
        """What a reader of a bad block is told."""
        return f"MEDIUM ERROR, unrecovered read error (03/1100) at block {block} of {self.id}"

    def replace(self, content: Content) -> None:
        """Give the object another content as a whole."""
        self.settle()
        if not self.crawls:
            self.content = content
            return
        target = content.image()
        for block in sorted({**self.content.image(), **target}):
            self.write(block, target.get(block, 0))

    def image(self) -> Image:
        """What the object shows now; of an incomplete one, what has arrived."""
        if self.partial is not None:
            return self.partial()
        image = self.content.image()
        for copy in self.arriving:
            image.update(copy.arrived())
        return {block: stamp for block, stamp in image.items() if stamp} if self.arriving else image

    def look(self) -> Callable[[], Image]:
        """What works out the image of this instant, later; no block is copied now of an object that nothing fills."""
        if self.partial is not None or self.arriving:
            image = self.image()
            return lambda: image
        return self.content.freeze().image

    def described(self) -> StoredObject:
        """The object as the storage port shows it."""
        parent = None if self.origin is None else self.origin.id
        return StoredObject(self.id, self.kind, self.size, self.complete, parent, self.identity)

    def _no_room(self, block: int) -> PoolFull:
        return PoolFull(f"the pool of {self.pool.name} is full: no room for block {block} of {self.id}")

    def _fail(self, reader: Reader, block: int) -> None:
        still = (lambda: block in self.bad) if reader.frozen is None else None
        reader.fail_at(reader.rank(block) * BLOCK, self.medium_error(block), still)


def arrived(image: dict[int, int], moved: int, rank: Rank = ascending) -> dict[int, int]:
    """The part of an image that a transfer has moved whole blocks of, taking them in the order of their rank."""
    return {block: stamp for block, stamp in image.items() if (rank(block) + 1) * BLOCK <= moved}


class Part(NamedTuple):
    """What counts of an object against the pool: its lineage, provisioned GiB, and what it shows."""

    lineage: int
    provisioned: int
    image: Image


def room_taken(parts: Iterable[Part], thin: bool) -> int:
    """Bytes that objects take of a pool; a block that objects share counts once.

    In a thick pool an object takes its whole size from the start; a snapshot that shares takes what it has alone.
    """
    every = list(parts)
    whole = [] if thin else [part for part in every if part.provisioned]
    blocks = len(_blocks_of(every) - _blocks_of(whole)) if whole else _count(every)
    return GIB * sum(part.provisioned for part in whole) + blocks * BLOCK


def _blocks_of(parts: Iterable[Part]) -> set[tuple[int, int, int]]:
    """What objects take on the medium: lineage, block and stamp."""
    return {(part.lineage, block, stamp) for part in parts for block, stamp in part.image.items()}


def _count(parts: Iterable[Part]) -> int:
    """How many different blocks objects take on the medium; only those of one lineage can be the same."""
    by_lineage: dict[int, list[Image]] = {}
    for part in parts:
        by_lineage.setdefault(part.lineage, []).append(part.image)
    count = 0
    for images in by_lineage.values():
        count += len(images[0]) if len(images) == 1 else len(set().union(*[image.items() for image in images]))
    return count
