"""A volume or snapshot in its file: reading and writing, and what follows the writes while a transfer runs."""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from harness.stamps import FOREIGN, ForeignBytes, read_stamp
from harness.storage import BLOCK, Image, ObjectUnknown, PoolFull, StorageError

from .medium import data_extents

_READ_BYTES = 1 << 20


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at a byte offset. Raises `PoolFull` where the disk has no room, else OSError."""
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(fd, data[done:], offset + done)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PoolFull(f"the pool is full: {error.strerror}") from error
        raise


def _blocks(offset: int, length: int) -> range:
    return range(offset // BLOCK, -(-(offset + length) // BLOCK))


class Tracker(Protocol):
    """Is told of each write to a file before it is made, under the file's lock.

    `reads` is the file from which a copying process copies while the tracker is at work.
    """

    reads: Path

    def before_write(self, fd: int, offset: int, length: int) -> None:
        """Bytes `offset`…`offset + length` of the open file `fd` are about to be overwritten."""


class PointInTime(Tracker, Protocol):
    """Makes of a copy that takes its time the source as it stood at one instant."""

    def lay_over(self, data: bytes, offset: int) -> bytes:
        """What `data`, read from the copy at a byte offset (whole blocks), was at that instant."""

    def merge_into(self, fd: int) -> None:
        """Make the complete copy in the open file `fd` what the source was at that instant."""

    def unlink(self) -> None:
        """Remove the files that this needed; they can still be read here."""

    def close(self) -> None:
        """Free everything. Repeating it is harmless."""


class Changes(Tracker, Protocol):
    """Finds out which blocks a copy has to carry over once more."""

    def __len__(self) -> int:
        """How many there are now."""

    def take(self) -> list[int]:
        """The blocks, ascending; they count as clean from now on."""

    def close(self) -> None:
        """Free what finding them out needed. Repeating it is harmless."""


class ScratchFile:
    """A new file that is open for as long as its owner works with it: `fd`, -1 once it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def unlink(self) -> None:
        """Remove the file; it can still be read here. Repeating it is harmless."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file. Repeating it is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Overlay(ScratchFile):
    """Copy-before-write: keeps what each block held when the overlay was attached, in a file of its own.

    A copy of the live file becomes the image at that moment once the kept blocks are laid over it. Nothing has to be
    locked between the copying process and the writers: a block that the process read too late is always kept here,
    since it is kept before it is overwritten.
    """

    def __init__(self, path: Path, source: VolumeFile) -> None:
        size = source.size
        super().__init__(path)
        self.reads = source.path
        self._size = size
        self._kept: set[int] = set()

    def before_write(self, fd: int, offset: int, length: int) -> None:
        """Keep the blocks that are written for the first time; see `Tracker`."""
        for block in _blocks(offset, length):
            if block not in self._kept and block * BLOCK < self._size:
                write_all(self.fd, os.pread(fd, BLOCK, block * BLOCK), block * BLOCK)
                self._kept.add(block)  # only now: whoever finds it here may read it

    def lay_over(self, data: bytes, offset: int) -> bytes:
        """`data`, read from the copy at a byte offset (whole blocks), with the kept blocks over it."""
        kept = [block for block in _blocks(offset, len(data)) if block in self._kept]
        if not kept:
            return data
        patched = bytearray(data)
        for block in kept:
            place = block * BLOCK - offset
            patched[place : place + BLOCK] = os.pread(self.fd, BLOCK, block * BLOCK)
        return bytes(patched)

    def merge_into(self, fd: int) -> None:
        """Write the kept blocks over the copy in the open file `fd`."""
        for block in sorted(self._kept):
            kept = os.pread(self.fd, BLOCK, block * BLOCK)
            if kept != os.pread(fd, BLOCK, block * BLOCK):  # a block that was a hole stays one
                write_all(fd, kept, block * BLOCK)


class DirtyBlocks:
    """Notes which blocks were written while a copy runs, so that they are copied again."""

    def __init__(self, source: VolumeFile) -> None:
        self.reads = source.path
        self._blocks: set[int] = set()

    def before_write(self, fd: int, offset: int, length: int) -> None:
        """Note the blocks; see `Tracker`."""
        self._blocks.update(_blocks(offset, length))

    def __len__(self) -> int:
        return len(self._blocks)

    def take(self) -> list[int]:
        """The blocks noted so far, ascending; they count as clean from now on. Under the file's lock."""
        taken, self._blocks = self._blocks, set()
        return sorted(taken)

    def close(self) -> None:
        """Nothing but memory is held."""


class VolumeFile:
    """One complete object. Its file may change under it (a move, a revert); who uses it goes on without noticing.

    `uses` counts the transfers that read it; `pinned` says that one is about to replace its file. Both are guarded by
    the stores' common lock. `lock` is held for system calls only.
    """

    def __init__(self, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        self.id = object_id
        self.kind = kind
        self.parent = parent
        self.path = path
        self.uses = 0
        self.pinned = False
        self.lock = _thread.allocate_lock()
        self._trackers: list[Tracker] = []
        self._fd = os.open(path, os.O_RDWR)

    @property
    def size(self) -> int:
        """Bytes from the first to the last."""
        return os.fstat(self.descriptor()).st_size

    def descriptor(self) -> int:
        """The open file. Raises `ObjectUnknown` once the object was deleted."""
        if self._fd < 0:
            raise ObjectUnknown(f"{self.kind} {self.id} was deleted")
        return self._fd

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes (whole blocks). Raises `ObjectUnknown`, `PoolFull`, `StorageError` beyond the end."""
        if offset % BLOCK or len(data) % BLOCK:
            raise ValueError(f"writes are whole blocks of {BLOCK} bytes")
        with self.lock:
            fd = self.descriptor()
            if offset < 0 or offset + len(data) > os.fstat(fd).st_size:
                raise StorageError(f"a write at byte {offset} goes beyond the end of {self.kind} {self.id}")
            for tracker in self._trackers:
                tracker.before_write(fd, offset, len(data))
            write_all(fd, data, offset)

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes; no block is seen half written. Raises `ObjectUnknown`."""
        with self.lock:
            return os.pread(self.descriptor(), length, offset)

    def extents(self) -> Iterator[tuple[int, int]]:
        """The ranges that were ever written, `(offset, length)` in bytes, ascending. Raises `ObjectUnknown`."""
        with self.lock:
            found = list(data_extents(self.descriptor(), 0, self.size))
        yield from found

    def image(self) -> Image:
        """What the file shows, block → stamp; `FOREIGN` for bytes that no write of the run made."""
        image: dict[int, int] = {}
        for start, length in self.extents():
            for offset in range(start, start + length, _READ_BYTES):
                data = self.read(offset, min(_READ_BYTES, start + length - offset))
                for place in range(0, len(data), BLOCK):
                    block = (offset + place) // BLOCK
                    stamp = shown_stamp(block, data[place : place + BLOCK])
                    if stamp is not None:
                        image[block] = stamp
        return image

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Hold up whoever writes, and see that no write is under way; the file may be replaced meanwhile."""
        with self.lock:
            yield

    def resize(self, size: int) -> None:
        """Set the size in bytes; what is added reads as zeros."""
        with self.held_up():
            os.ftruncate(self.descriptor(), size)

    def discard(self) -> None:
        """Forget all content."""
        with self.lock:
            size = self.size
            os.ftruncate(self.descriptor(), 0)
            os.ftruncate(self.descriptor(), size)

    def track(self, tracker: Tracker) -> None:
        """Tell `tracker` of each write from now on."""
        with self.lock:
            self._trackers.append(tracker)

    def untrack(self, tracker: Tracker) -> None:
        """Tell it no more; harmless where it is not told."""
        with self.lock:
            if tracker in self._trackers:
                self._trackers.remove(tracker)

    def replace_file(self, path: Path) -> None:
        """Go on with another file, already in its place; the old descriptor is closed. Under `lock`."""
        fresh = os.open(path, os.O_RDWR)
        os.close(self.descriptor())
        self._fd, self.path = fresh, path

    def close(self) -> None:
        """Close the file; whoever uses the object from now on gets `ObjectUnknown`."""
        with self.lock:
            self._let_go()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _let_go(self) -> None:
        """Whatever shows the file to others is to stop; under the lock."""


def shown_stamp(block: int, data: bytes) -> int | None:
    """The stamp that a block's bytes show, None for zeros."""
    try:
        found = read_stamp(data)
    except ForeignBytes:
        return FOREIGN
    if found is None:
        return None
    return found[1]
