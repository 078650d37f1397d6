"""The storage of one backend in a directory of sparse files; implements `harness.storage.VolumeStore`."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.model import GIB
from harness.runtime import Runtime
from harness.storage import (
    CopyRequest,
    Image,
    ObjectBusy,
    ObjectExists,
    ObjectUnknown,
    PoolFull,
    StorageError,
    StoredObject,
    Unsupported,
    VolumeStore,
)

from .medium import PARTIAL, WORK, file_name, stored_object, used_bytes
from .plans import CopyPlan, HostCopyPlan, MovePlan, ReadPlan, RevertPlan
from .reader import FileReader
from .transfer import BackingTransfer, CopyTransfer, Plan
from .volume_file import Changes, DirtyBlocks, Overlay, PointInTime, VolumeFile

STEPS = 128
"""A copying process reports its position this often."""

CopyBy = Callable[[Runtime, str, Path, Path, int, tuple[int, int], Plan], BackingTransfer]
"""Starts a transfer; called as `CopyTransfer` is, and raises as that does."""


@dataclass(frozen=True)
class StoreSettings:
    """What a store is given: the backend's name and driver family, and where its files are.

    `guard` is common to all stores of a testbed: it guards the tables of objects, and moves between stores.
    `whole_copy_ns` is the time (ns) in which a copying process passes over one GiB, data or not.
    """

    runtime: Runtime
    guard: threading.Lock
    directory: Path
    name: str
    family: str
    whole_copy_ns: int
    snapshots_depend_on_volume: bool


class FileStore:
    """One backend's volumes and snapshots."""

    def __init__(self, settings: StoreSettings) -> None:
        self.name = settings.name
        self.family = settings.family
        self._runtime = settings.runtime
        self._guard = settings.guard
        self.directory = settings.directory
        self._whole_copy_ns = settings.whole_copy_ns
        self._snapshots_depend = settings.snapshots_depend_on_volume
        self._objects: dict[str, VolumeFile] = {}
        self._claims: set[str] = set()
        self._work_numbers = itertools.count(1)
        self._transfers: list[BackingTransfer] = []

    # ---- objects ---------------------------------------------------------------------------------------------------

    def create_volume(self, volume_id: str, size: int) -> None:
        """See `VolumeStore.create_volume`."""
        with self._guard:
            self._must_be_free(volume_id)
            path = self._path(volume_id, "volume", None)
            _make(path, size * GIB)
            self._objects[volume_id] = self._open(volume_id, "volume", None, path)

    def extend_volume(self, volume_id: str, size: int) -> None:
        """See `VolumeStore.extend_volume`; `ObjectBusy` while the volume is about to get another file."""
        with self._guard:
            volume = self._volume(volume_id)
            _must_not_be_pinned(volume)
            if size * GIB < volume.size:
                raise Unsupported(f"volume {volume_id} can't shrink to {size} GiB")
            volume.resize(size * GIB)

    def delete(self, object_id: str) -> None:
        """See `VolumeStore.delete`; `ObjectBusy` also while a transfer uses or fills the object."""
        with self._guard:
            if object_id in self._claims:
                raise ObjectBusy(f"{object_id} is being filled")
            found = self._object(object_id)
            if found.uses or found.pinned:
                raise ObjectBusy(f"{found.kind} {object_id} is in use by a transfer")
            self._must_not_be_needed(object_id)
            found.close()  # first, so that nobody is still shown what is going
            found.path.unlink()
            del self._objects[object_id]

    def volume_file(self, volume_id: str) -> VolumeFile:
        """The volume's file, for an attachment. Raises `ObjectUnknown`."""
        with self._guard:
            return self._volume(volume_id)

    def write_bytes(self, volume_id: str, offset: int, data: bytes) -> None:
        """See `VolumeStore.write_bytes`."""
        self.volume_file(volume_id).write(offset, data)

    def objects(self) -> tuple[StoredObject, ...]:
        """See `VolumeStore.objects`; read from the directory."""
        with self._guard:  # so that an object in the middle of a move is seen once
            found = (stored_object(path) for path in self.directory.iterdir())
            return tuple(sorted((o for o in found if o is not None), key=lambda o: (o.id, o.complete)))

    def image(self, object_id: str) -> Image:
        """See `VolumeStore.image`. An object that is not complete is unknown."""
        with self._guard:
            found = self._object(object_id)
        return found.image()

    def shown(self, found: StoredObject) -> tuple[StoredObject, Image]:
        """A complete object as hosts see it, and what it holds. Raises `ObjectUnknown`."""
        return found, self.image(found.id)

    def used_bytes(self) -> int:
        """See `VolumeStore.used_bytes`; read from the directory."""
        return used_bytes(self.directory)

    # ---- transfers -------------------------------------------------------------------------------------------------

    def begin_copy(self, request: CopyRequest, into: VolumeStore, copy_by: CopyBy | None = None) -> BackingTransfer:
        """See `VolumeStore.begin_copy`; `ObjectBusy` while the source is about to get another file.

        `copy_by` makes the pass otherwise than by a copying process.
        """
        if request.makes not in ("volume", "snapshot"):
            raise ValueError(f"a copy makes a volume or a snapshot, not a {request.makes!r}")
        if request.linked:
            raise Unsupported(f"{self.name} makes no volumes that share the blocks of {request.source}")
        target = self._relative(into)
        with self._guard:
            source = self._object(request.source)
            _must_not_be_pinned(source)
            size = source.size if request.size is None else request.size * GIB
            if size < source.size:
                raise Unsupported(f"{request.source} does not fit into {request.size} GiB")
            parent = None
            if request.makes == "snapshot":
                parent = source.parent if source.kind == "snapshot" else source.id
            path = target._claim(request.target, request.makes, parent, size)
            partial = _partial(path)
            try:
                overlay = self._overlay(source, request.point_in_time)
            except BaseException:
                target._withdraw(request.target, partial)
                raise
            source.uses += 1
            total = source.size
        plan = CopyPlan(
            self._guard,
            source,
            partial,
            overlay,
            publish=lambda: target._publish(request.target, request.makes, parent, path),
            withdraw=lambda: target._withdraw(request.target, partial),
        )
        reads = source.path if overlay is None else overlay.reads
        return self._start(f"copy of {request.source} to {request.target}", reads, partial, total, plan, copy_by)

    def begin_move(self, volume_id: str, into: VolumeStore, live: bool) -> BackingTransfer:
        """See `VolumeStore.begin_move`; `ObjectBusy` while another transfer uses the volume."""
        target = self._relative(into)
        with self._guard:
            volume = self._volume(volume_id)
            _must_be_idle(volume)
            self._must_not_be_needed(volume_id)
            total = volume.size
            path = target._claim(volume_id, "volume", None, total)
            partial = _partial(path)
            try:
                changes = self._changes(volume) if live else None
            except BaseException:
                target._withdraw(volume_id, partial)
                raise
            volume.pinned = True

        def cut_over() -> None:
            old = volume.path
            partial.rename(path)
            volume.replace_file(path)
            old.unlink()
            del self._objects[volume_id]
            target._adopt(volume)
            target._claims.discard(volume_id)

        plan = MovePlan(
            self._guard, volume, partial, changes, cut_over, withdraw=lambda: target._withdraw(volume_id, partial)
        )
        reads = volume.path if changes is None else changes.reads
        return self._start(f"move of {volume_id} to {target.name}", reads, partial, total, plan)

    def begin_revert(self, volume_id: str, snapshot_id: str) -> BackingTransfer:
        """See `VolumeStore.begin_revert`. Raises `ObjectUnknown`, `Unsupported` for another volume's snapshot."""
        with self._guard:
            volume = self._volume(volume_id)
            snapshot = self._object(snapshot_id)
            if snapshot.parent != volume_id:
                raise Unsupported(f"{snapshot_id} is no snapshot of volume {volume_id}")
            _must_be_idle(volume)
            work = self._work_path("revert")
            _make(work, volume.size)
            volume.pinned = True
            snapshot.uses += 1
        plan = RevertPlan(self._guard, volume, snapshot, work)
        return self._start(f"revert of {volume_id}", snapshot.path, work, snapshot.size, plan)

    def begin_read(self, source: str, point_in_time: bool, chunk_bytes: int) -> FileReader:
        """See `VolumeStore.begin_read`; `ObjectBusy` while the source is about to get another file."""
        with self._guard:
            found = self._object(source)
            _must_not_be_pinned(found)
            total = found.size
            work = self._work_path("read")
            _make(work, total)
            try:
                overlay = self._overlay(found, point_in_time)
            except BaseException:
                work.unlink()
                raise
            found.uses += 1
        plan = ReadPlan(self._guard, found, work, overlay)
        content = os.open(work, os.O_RDONLY)
        try:
            reads = found.path if overlay is None else overlay.reads
            transfer = self._start(f"read of {source}", reads, work, total, plan)
        except BaseException:
            os.close(content)
            if overlay is not None:
                overlay.close()
            raise
        return FileReader(transfer, plan, content, overlay, chunk_bytes)

    def begin_host_copy(self, source: VolumeFile, destination: VolumeFile) -> BackingTransfer:
        """Start to copy one volume's content into another that exists, as a host does (Cinder's `copy_volume_data`).

        The destination forgets what it held. Either may be on another backend, of whatever family. Raises
        `ObjectUnknown`, `ObjectBusy`, `Unsupported` where it does not fit.
        """
        with self._guard:
            _must_not_be_pinned(source)
            _must_be_idle(destination)
            if destination.size < source.size:
                raise Unsupported(f"volume {source.id} does not fit into volume {destination.id}")
            destination.discard()
            source.uses += 1
            destination.uses += 1
        plan = HostCopyPlan(self._guard, source, destination)
        return self._start(f"host copy of {source.id}", source.path, destination.path, source.size, plan)

    def running(self) -> tuple[BackingTransfer, ...]:
        """The transfers that were started here and are not over."""
        return tuple(transfer for transfer in self._transfers if not transfer.is_over)

    def close(self) -> None:
        """Stop every transfer and close every file."""
        for transfer in self.running():
            transfer.cancel("the testbed is being closed")
        with self._guard:
            for found in self._objects.values():
                found.close()
            self._objects.clear()

    # ---- helpers, all under the guard but for `_start` ---------------------------------------------------------------

    def _start(
        self, name: str, source: Path, target: Path, total: int, plan: Plan, copy_by: CopyBy | None = None
    ) -> BackingTransfer:
        pace = (self._whole_copy_ns * total // GIB, STEPS)
        transfer = (copy_by or CopyTransfer)(self._runtime, name, source, target, total, pace, plan)
        self._transfers = [*self.running(), transfer]
        return transfer

    def _relative(self, into: VolumeStore) -> FileStore:
        if not isinstance(into, FileStore) or into.family != self.family:
            raise Unsupported(f"{into.name} is of another family than {self.name}")
        return into

    def _object(self, object_id: str) -> VolumeFile:
        try:
            return self._objects[object_id]
        except KeyError:
            raise ObjectUnknown(f"{self.name} has no complete volume or snapshot {object_id}") from None

    def _volume(self, volume_id: str) -> VolumeFile:
        found = self._object(volume_id)
        if found.kind != "volume":
            raise ObjectUnknown(f"{volume_id} is a snapshot, no volume")
        return found

    def _must_be_free(self, object_id: str) -> None:
        if object_id in self._objects or object_id in self._claims:
            raise ObjectExists(f"{object_id} exists on {self.name}")

    def _must_not_be_needed(self, volume_id: str) -> None:
        if self._snapshots_depend:
            for other in self._objects.values():
                if other.parent == volume_id:
                    raise ObjectBusy(f"snapshot {other.id} depends on volume {volume_id}")

    def _path(self, object_id: str, kind: str, parent: str | None) -> Path:
        return self.directory / file_name(object_id, kind, parent)

    def _work_path(self, purpose: str) -> Path:
        return self.directory / f"{purpose}-{next(self._work_numbers)}{WORK}"

    def _overlay(self, source: VolumeFile, wanted: bool) -> PointInTime | None:
        if not wanted or source.kind == "snapshot":  # nobody writes to a snapshot
            return None
        return self._point_in_time(source)

    # ---- what a backend does otherwise whose writers do not come through here ----------------------------------------

    def _point_in_time(self, source: VolumeFile) -> PointInTime:
        return Overlay(self._work_path("overlay"), source)

    def _changes(self, volume: VolumeFile) -> Changes:
        return DirtyBlocks(volume)

    def _open(self, object_id: str, kind: str, parent: str | None, path: Path) -> VolumeFile:
        return VolumeFile(object_id, kind, parent, path)

    def _adopt(self, volume: VolumeFile) -> None:
        self._objects[volume.id] = volume

    def _claim(self, object_id: str, kind: str, parent: str | None, size: int) -> Path:
        """Make the partial file of a new object; returns the path that it will have when it is complete."""
        self._must_be_free(object_id)
        path = self._path(object_id, kind, parent)
        _make(_partial(path), size)
        self._claims.add(object_id)
        return path

    def _publish(self, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        complete = self._open(object_id, kind, parent, _partial(path))
        _partial(path).rename(path)
        complete.path = path
        self._objects[object_id] = complete
        self._claims.discard(object_id)

    def _withdraw(self, object_id: str, partial: Path) -> None:
        partial.unlink(missing_ok=True)
        self._claims.discard(object_id)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def _must_not_be_pinned(found: VolumeFile) -> None:
    if found.pinned:
        raise ObjectBusy(f"volume {found.id} is being moved or reverted")


def _must_be_idle(volume: VolumeFile) -> None:
    _must_not_be_pinned(volume)
    if volume.uses:
        raise ObjectBusy(f"volume {volume.id} is in use by a transfer")


def _make(path: Path, size: int) -> None:
    """Make a sparse file of `size` bytes. Raises `PoolFull`, `StorageError`."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _storage_error(error, path) from error
    try:
        os.ftruncate(fd, size)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise _storage_error(error, path) from error
    finally:
        os.close(fd)


def _storage_error(error: OSError, path: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PoolFull(f"the pool has no room for {path.name}: {error.strerror}")
    return StorageError(f"{path.name}: {error.strerror}")
