"""The port of a backend's storage: what an array can do with volumes and snapshots, whatever holds their content.

Two sides use it: `backend_jobs` executes activities over it, and each testbed of ours implements it (stamps in memory
under the virtual clock, sparse files under the wall clock).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

BLOCK = 4096
"""Bytes in a block, the unit of foreground writes and of stamps."""

BLOCKS_PER_GIB = (1 << 30) // BLOCK
"""Blocks in a GiB."""


class StorageError(Exception):
    """A storage operation failed. `code` is stable and machine-readable; the message is for people."""

    code = "storage-error"


class ObjectUnknown(StorageError):
    """No volume or snapshot of that id is on this backend."""

    code = "unknown-object"


class ObjectExists(StorageError):
    """The id is in use on this backend."""

    code = "exists"


class ObjectBusy(StorageError):
    """Another object depends on this one, or a transfer of it is running."""

    code = "busy"


class PoolFull(StorageError):
    """The pool has no room."""

    code = "pool-full"


class Unsupported(StorageError):
    """This backend can't do that; nothing was done."""

    code = "unsupported"


class TransferFailed(StorageError):
    """A transfer failed under way; its target was removed."""

    code = "transfer-failed"


class TransferStarved(PoolFull, TransferFailed):
    """A transfer found the pool without room under way; its target was removed."""


class TransferCancelled(StorageError):
    """A transfer was cancelled; its target was removed."""

    code = "cancelled"


Image = Mapping[int, int]
"""What a volume or snapshot shows: block → stamp; a block that was never written is absent."""


class Transfer(Protocol):
    """Work under way on bulk data. Its target becomes usable, whole, when it is over, and not before (R-5)."""

    total: int
    """Bytes to move."""

    def moved(self) -> int:
        """Bytes moved so far; never decreases."""

    def wait(self) -> None:
        """Block until the transfer is over. Raises `TransferFailed` (`TransferStarved` where it found no room for its
        target) or `TransferCancelled`; nothing is left then.
        """

    def cancel(self, reason: str) -> None:
        """Stop, remove the target, and return once nothing is written any more. Harmless when it is over."""

    def fail(self, reason: str) -> None:
        """Make the transfer fail as a broken disk would (fault injection); same cleaning as `cancel`."""

    def fail_at(self, position: int, reason: str) -> None:
        """Make it fail so once `position` bytes are moved, unless that is past already. Does not block."""


class StoredObject(NamedTuple):
    """One volume or snapshot as the backend holds it. `complete` is False while a transfer still fills it.

    `size` in GiB; `parent` the volume that a snapshot was taken from; `identity` the exported identity that hosts see.
    """

    id: str
    kind: str  # "volume" or "snapshot"
    size: int
    complete: bool
    parent: str | None
    identity: str


@dataclass(frozen=True)
class CopyRequest:
    """A copy of `source` (volume or snapshot id) as `target`; `makes` is "volume" or "snapshot".

    `point_in_time` True: the copy shows the source as it stood at one instant after the start, writers or not.
    False: blocks are read one after the other as the copy gets to them, so that a live source tears.
    `size` (GiB) only where the target is larger than the source. `linked` as in `harness.testbed.Job`.
    """

    source: str
    target: str
    makes: str
    point_in_time: bool
    size: int | None = None
    linked: bool = False


class ChunkReader(Protocol):
    """Reading a whole object chunk by chunk, at the speed of the backend; a transfer whose target is the reader."""

    transfer: Transfer

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield `(offset, data)` with ascending byte offsets, only ranges that were ever written.

        Raises `TransferFailed` or `TransferCancelled`.
        """

    def close(self) -> None:
        """End reading and free what it held."""


class VolumeStore(Protocol):
    """The storage of one backend.

    Operations may block for as long as the backend takes. Deleting what does not exist raises `ObjectUnknown`.
    """

    name: str
    family: str

    def create_volume(self, volume_id: str, size: int) -> None:
        """Make an empty volume of `size` GiB. Raises `ObjectExists`, `PoolFull`."""

    def extend_volume(self, volume_id: str, size: int) -> None:
        """Grow the volume to `size` GiB. Raises `ObjectUnknown`, `PoolFull`, `Unsupported` for shrinking."""

    def delete(self, object_id: str) -> None:
        """Delete a volume or snapshot. Raises `ObjectUnknown`; `ObjectBusy` where the profile makes others depend."""

    def begin_copy(self, request: CopyRequest, into: VolumeStore) -> Transfer:
        """Start a copy into a store of the same testbed, this one or another.

        Raises `ObjectUnknown`, `ObjectExists`, `PoolFull`, `Unsupported` (another family); nothing is left then.
        """

    def begin_move(self, volume_id: str, into: VolumeStore, live: bool) -> Transfer:
        """Start to move a volume to another store of the family; attached hosts follow at the cut-over.

        `live` True: writes during the move are carried over. False: they may be lost, so the volume must be quiesced.
        The volume keeps its id; until the cut-over it is on the source, afterwards on the destination only.
        """

    def begin_revert(self, volume_id: str, snapshot_id: str) -> Transfer:
        """Start to give the volume the content of its snapshot."""

    def begin_read(self, source: str, point_in_time: bool, chunk_bytes: int) -> ChunkReader:
        """Start to read an object; `point_in_time` as in `CopyRequest`."""

    def write_bytes(self, volume_id: str, offset: int, data: bytes) -> None:
        """Write bytes (whole blocks) into a volume, as a restore does. Blocks for as long as the backend takes."""

    def objects(self) -> tuple[StoredObject, ...]:
        """All objects, complete or not, sorted by id."""

    def image(self, object_id: str) -> Image:
        """What the object shows now, read back from the medium. Raises `ObjectUnknown`."""

    def used_bytes(self) -> int:
        """Bytes that the pool's objects take."""


@runtime_checkable
class SuspendsWrites(Protocol):
    """What a `VolumeStore` has besides where the backend can hold foreground writes, as arrays do for a snapshot."""

    def suspend_writes(self, volume_id: str) -> None:
        """Hold the writes that hosts send to the volume, neither failed nor lost, until `resume_writes`.

        The backend lets them go on by itself after a time of its own. Raises `ObjectUnknown`. Repeating it is
        harmless and changes nothing about that time.
        """

    def resume_writes(self, volume_id: str) -> None:
        """Let the writes go on, in the order in which they came. Raises `ObjectUnknown`. Repeating it is harmless."""
