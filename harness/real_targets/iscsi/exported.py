"""Volumes and snapshots that hosts see through a real target.

Hosts write to the backing files by way of the target, not through this process. So nobody can be told of a write
before it is made, as in `files`; instead the target is frozen for a moment, as `dmsetup suspend` freezes a device:
what was acknowledged is in the file then, and nothing else gets there until it goes on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.model import GIB
from harness.real_targets.backing.medium import data_extents
from harness.real_targets.backing.store import FileStore
from harness.real_targets.backing.volume_file import Changes, PointInTime, VolumeFile, shown_stamp, write_all
from harness.runtime import Runtime
from harness.storage import BLOCK, Image, StoredObject

from .ranges import with_doubts
from .session import CommandFailed, Login, LoginRefused, Session, SessionLost
from .target import DATA_PASSWORD, DATA_USER, LUN, Target, host_name, object_name, serial_number

_READ_BYTES = 1 << 20
_TRIES = 5
_NUMBERS = itertools.count(1)

INSPECTOR = "inspector"
"""The host by which the checks look at what the target shows."""


@dataclass(frozen=True)
class Export:
    """Where an object is to be had now."""

    portal: str
    name: str

    def login(self, host: str) -> Login:
        """How a host logs in there."""
        return Login(self.portal, self.name, host_name(host), DATA_USER, DATA_PASSWORD, host)


@dataclass(frozen=True)
class Shown:
    """What hosts see of a LUN: its content, its unit serial number, and its size in bytes."""

    image: Image
    serial: str
    size: int


class ExportedFile(VolumeFile):
    """One complete object, exported by a target when somebody asks for its address first.

    `target` changes when the object moves. Lock order as for `VolumeFile`: `lock` is the innermost.
    """

    def __init__(self, target: Target, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        super().__init__(object_id, kind, parent, path)
        self.target = target
        self._export: Export | None = None
        self._looks = itertools.count(1)  # ids come from the run's seed, so what is drawn at each look does too

    def export(self) -> Export:
        """Where the object is to be had; exports it if it is not. Raises `ObjectUnknown`, `TargetFailed`."""
        with self.lock:
            self.descriptor()
            if self._export is None:
                name = object_name(self.target.realm, self.id, next(_NUMBERS))
                self.target.create(name, DATA_USER, DATA_PASSWORD)
                try:
                    self.target.attach_file(name, self.path, serial_number(self.id), self.kind == "volume")
                except BaseException:
                    self.target.destroy(name)
                    raise
                self._export = Export(self.target.portal, name)
            return self._export

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """See `VolumeFile.held_up`: the object is not exported meanwhile; whoever uses it asks anew where it is."""
        with self.lock:
            self._let_go()
            yield

    def image(self) -> Image:
        """See `shown`."""
        return self.shown().image

    def shown(self, whole: bool = False) -> Shown:
        """What the LUN shows, read over iSCSI: the ranges of `ranges`, or with `whole` every block.

        Read anew if the object went elsewhere meanwhile. Raises `ObjectUnknown` once it was deleted.
        """
        for _ in range(_TRIES - 1):
            with contextlib.suppress(SessionLost, LoginRefused, CommandFailed):
                return self._read_lun(whole)
        return self._read_lun(whole)

    def _read_lun(self, whole: bool) -> Shown:
        image: dict[int, int] = {}
        session = Session(self.export().login(INSPECTOR))
        try:
            serial, size = session.serial_number(LUN), session.capacity(LUN)
            ranges = [(0, size)] if whole else session.mapped_ranges(LUN, size)
            if ranges is None:
                ranges = with_doubts(self.extents(), size, random.Random(f"{self.id} {next(self._looks)}"))
            for offset, data in session.read_many(LUN, ranges):
                for place in range(0, len(data), BLOCK):
                    block = (offset + place) // BLOCK
                    stamp = shown_stamp(block, data[place : place + BLOCK])
                    if stamp is not None:
                        image[block] = stamp
        finally:
            session.close()
        return Shown(image, serial, size)

    def abandon(self) -> None:
        """The target is about to end: what it exports needs no taking back."""
        self._export = None

    def _let_go(self) -> None:
        if self._export is not None:
            self.target.detach_file(self._export.name)
            self.target.destroy(self._export.name)
            self._export = None  # not before: what could not be taken back is still shown to hosts


class FrozenImage:
    """The source as it stood at one instant: its data, taken to a file of its own while the target was frozen.

    The freeze lasts as long as taking the data does, so it is for volumes with little data, as those of checks are.
    """

    def __init__(self, path: Path, source: ExportedFile) -> None:
        self.reads = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            size = source.size
            os.ftruncate(self.fd, size)
            with source.lock, source.target.frozen():
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

    def unlink(self) -> None:
        """Remove the image's file."""
        self.reads.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the image's file. Repeating it is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ChangedSince:
    """Which blocks of a volume differ from what was copied, found by comparing."""

    def __init__(self, path: Path, source: ExportedFile) -> None:
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


class ExportedStore(FileStore):
    """One backend's volumes and snapshots behind a real target. `arguments` are those of `FileStore`."""

    def __init__(
        self,
        target: Target,
        runtime: Runtime,
        guard: threading.Lock,
        directory: Path,
        name: str,
        family: str,
        whole_copy_ns: int,
        snapshots_depend_on_volume: bool,
    ) -> None:
        super().__init__(runtime, guard, directory, name, family, whole_copy_ns, snapshots_depend_on_volume)
        self.target = target

    def exported_file(self, volume_id: str) -> ExportedFile:
        """The volume, for an attachment. Raises `ObjectUnknown`."""
        found = self.volume_file(volume_id)
        assert isinstance(found, ExportedFile)
        return found

    def shown(self, found: StoredObject) -> tuple[StoredObject, Image]:
        """See `FileStore.shown`; identity (the unit serial number), size and content are what the LUN says."""
        with self._guard:
            file = self._object(found.id)
        assert isinstance(file, ExportedFile)
        lun = file.shown()
        return found._replace(identity=f"serial:{lun.serial}", size=-(-lun.size // GIB)), lun.image

    def close(self) -> None:
        """See `FileStore.close`; the target ends after it."""
        for transfer in self.running():
            transfer.cancel("the testbed is being closed")
        for found in list(self._objects.values()):
            assert isinstance(found, ExportedFile)
            found.abandon()
        super().close()

    def _point_in_time(self, source: VolumeFile) -> PointInTime:
        assert isinstance(source, ExportedFile)
        return FrozenImage(self._work_path("image"), source)

    def _changes(self, volume: VolumeFile) -> Changes:
        assert isinstance(volume, ExportedFile)
        return ChangedSince(self._work_path("moving"), volume)

    def _open(self, object_id: str, kind: str, parent: str | None, path: Path) -> VolumeFile:
        return ExportedFile(self.target, object_id, kind, parent, path)

    def _adopt(self, volume: VolumeFile) -> None:
        assert isinstance(volume, ExportedFile)
        super()._adopt(volume)
        volume.target = self.target
