"""Volumes and snapshots that hosts see through a server of their own: an iSCSI target, an NFS server.

Hosts write to the backing files by way of the server, not through this process. So nobody can be told of a write
before it is made, as in `files`; instead the server is frozen for a moment, as `dmsetup suspend` freezes a device:
what was acknowledged is in the file then, and nothing else gets there until it goes on.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.model import GIB
from harness.storage import BLOCK, Image, StoredObject

from .medium import data_extents
from .ranges import with_doubts
from .reaching import Unreachable
from .store import FileStore, StoreSettings
from .volume_file import Changes, PointInTime, ScratchFile, VolumeFile, shown_stamp, write_all
from .windows import Range, cut_up

_READ_BYTES = 1 << 20
_TRIES = 5

INSPECTOR = "inspector"
"""The host by which the checks look at what a server shows."""


@dataclass(frozen=True)
class Shown:
    """What hosts see of an object: its content, its identity, and its size in bytes."""

    image: Image
    identity: str
    size: int


Server = TypeVar("Server")


class ServedFile(VolumeFile, Generic[Server]):
    """One complete object that a server shows to hosts when somebody asks for it first.

    `server` changes when the object moves. Lock order as for `VolumeFile`: `lock` is the innermost.
    """

    def __init__(self, server: Server, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        super().__init__(object_id, kind, parent, path)
        self.server = server
        self._looks = itertools.count(1)  # ids come from the run's seed, so what is drawn at each look does too

    @abc.abstractmethod
    def look(self) -> Shown:
        """What hosts see, read through the server. Raises `Unreachable` if it went elsewhere, `ObjectUnknown`."""

    @abc.abstractmethod
    def frozen(self) -> AbstractContextManager[None]:
        """While it lasts the server carries nothing out; what was acknowledged before is in the file. Under `lock`."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """The server is about to end: what it shows needs no taking back."""

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """See `VolumeFile.held_up`: the object is not shown meanwhile; whoever uses it asks anew where it is."""
        with self.lock:
            self._let_go()
            yield

    def image(self) -> Image:
        """See `shown`."""
        return self.shown().image

    def shown(self) -> Shown:
        """See `look`; looked at anew if the object went elsewhere meanwhile. Raises `ObjectUnknown` once deleted."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(Unreachable):
                return self.look()
        return self.look()

    def doubtful_ranges(self, size: int) -> list[Range]:
        """What a look reads of `size` bytes if the server does not say what is in use; see `with_doubts`."""
        return with_doubts(self.extents(), size, random.Random(f"{self.id} {next(self._looks)}"))

    def read_image(self, read: Callable[[int, int], bytes], size: int) -> Image:
        """The image that `read` (offset and length in bytes) gives of `size` bytes, by way of `doubtful_ranges`."""
        pieces = cut_up(self.doubtful_ranges(size), _READ_BYTES)
        return image_of((offset, read(offset, length)) for offset, length in pieces)


def image_of(pieces: Iterable[tuple[int, bytes]]) -> Image:
    """The image that pieces, byte offset and whole blocks of data, show."""
    image: dict[int, int] = {}
    for offset, data in pieces:
        for place in range(0, len(data), BLOCK):
            block = (offset + place) // BLOCK
            stamp = shown_stamp(block, data[place : place + BLOCK])
            if stamp is not None:
                image[block] = stamp
    return image


class FrozenImage(ScratchFile):
    """The source as it stood at one instant: its data, taken to a file of its own while the server was frozen.

    The freeze lasts as long as taking the data does, so it is for volumes with little data, as those of checks are.
    """

    def __init__(self, path: Path, source: ServedFile[Any]) -> None:
        super().__init__(path)
        self.reads = path
        try:
            size = source.size
            os.ftruncate(self.fd, size)
            with source.lock, source.frozen():
                live = source.descriptor()
                for start, length in data_extents(live, 0, size):
                    for offset in range(start, start + length, _READ_BYTES):
                        data = os.pread(live, min(_READ_BYTES, start + length - offset), offset)
                        write_all(self.fd, data, offset)
        except BaseException:
            self.unlink()
            self.close()
            raise

    def before_write(self, fd: int, offset: int, length: int) -> None:
        """Nothing has to be kept: the image is whole."""

    def lay_over(self, data: bytes, offset: int) -> bytes:
        """See `PointInTime.lay_over`."""
        return data

    def merge_into(self, fd: int) -> None:
        """See `PointInTime.merge_into`; the copy was made from the image."""


class ChangedSince:
    """Which blocks of a volume differ from what was copied, found by comparing."""

    def __init__(self, path: Path, source: ServedFile[Any]) -> None:
        self._image = FrozenImage(path, source)
        self._source = source
        self.reads = path

    def before_write(self, fd: int, offset: int, length: int) -> None:
        """Comparing needs nobody's word."""

    def __len__(self) -> int:
        return len(self._differing())

    def take(self) -> list[int]:
        """The blocks that differ, ascending; compared from now on with what they hold now."""
        live = self._source.descriptor()
        blocks = self._differing()
        for block in blocks:
            write_all(self._image.fd, os.pread(live, BLOCK, block * BLOCK), block * BLOCK)
        return blocks

    def close(self) -> None:
        """Remove what was compared with. Repeating it is harmless."""
        self._image.unlink()
        self._image.close()

    def _differing(self) -> list[int]:
        live, before = self._source.descriptor(), self._image.fd
        size = os.fstat(live).st_size
        found: set[int] = set()
        for fd in (live, before):
            for start, length in data_extents(fd, 0, size):
                for block in range(start // BLOCK, -(-(start + length) // BLOCK)):
                    if os.pread(live, BLOCK, block * BLOCK) != os.pread(before, BLOCK, block * BLOCK):
                        found.add(block)
        return sorted(found)


Served = TypeVar("Served", bound=ServedFile[Any])


class ServedStore(FileStore, Generic[Server, Served]):
    """One backend's volumes and snapshots behind a server; `served` is the class of its files."""

    served: type[Served]

    def __init__(self, server: Server, settings: StoreSettings) -> None:
        super().__init__(settings)
        self.server = server

    def served_file(self, object_id: str) -> Served:
        """A complete volume or snapshot. Raises `ObjectUnknown`."""
        with self._guard:
            return self._served(self._object(object_id))

    def exported_file(self, volume_id: str) -> Served:
        """The volume, for an attachment. Raises `ObjectUnknown`."""
        return self._served(self.volume_file(volume_id))

    def shown(self, found: StoredObject) -> tuple[StoredObject, Image]:
        """See `FileStore.shown`; identity, size and content are what the server says."""
        seen = self.served_file(found.id).shown()
        return found._replace(identity=seen.identity, size=-(-seen.size // GIB)), seen.image

    def close(self) -> None:
        """See `FileStore.close`; the server ends after it."""
        for transfer in self.running():
            transfer.cancel("the testbed is being closed")
        for found in list(self._objects.values()):
            self._served(found).abandon()
        super().close()

    def _open(self, object_id: str, kind: str, parent: str | None, path: Path) -> VolumeFile:
        return self.served(self.server, object_id, kind, parent, path)

    def _adopt(self, volume: VolumeFile) -> None:
        super()._adopt(volume)
        self._served(volume).server = self.server

    def _point_in_time(self, source: VolumeFile) -> PointInTime:
        return FrozenImage(self._work_path("image"), self._served(source))

    def _changes(self, volume: VolumeFile) -> Changes:
        return ChangedSince(self._work_path("moving"), self._served(volume))

    def _served(self, found: VolumeFile) -> Served:
        assert isinstance(found, self.served)
        return found
