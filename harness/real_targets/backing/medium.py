"""The medium of the testbed: a directory for each backend, a sparse file for each object.

The name of a file says what it holds, so that what a backend has can be read from its directory alone:

    ID.volume                a volume
    ID@PARENT.snapshot       a snapshot of the volume PARENT
    ….partial                one of them while a transfer still fills it
    ….work                   what a transfer needs besides, such as an overlay

Ids are percent-encoded. The size of the file is the size of the object.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from harness.model import GIB
from harness.storage import StorageError, StoredObject

PARTIAL = ".partial"
WORK = ".work"
_PREFIX = "backend-activity-files-"


def file_name(object_id: str, kind: str, parent: str | None) -> str:
    """The name of the file that holds a complete object."""
    name = quote(object_id, safe="")
    if kind == "snapshot":
        name += "@" + quote(parent or "", safe="")
    return f"{name}.{kind}"


def exported_identity(object_id: str) -> str:
    """The identity under which hosts see an object; it stays when the object moves."""
    return f"files:{object_id}"


def stored_object(path: Path) -> StoredObject | None:
    """What the file holds, or None if it is no object, or gone."""
    stem, complete = path.name, True
    if stem.endswith(PARTIAL):
        stem, complete = stem.removesuffix(PARTIAL), False
    name, _, kind = stem.rpartition(".")
    if kind not in ("volume", "snapshot"):
        return None
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    object_id, _, parent = name.partition("@")
    return StoredObject(
        id=unquote(object_id),
        kind=kind,
        size=-(-size // GIB),
        complete=complete,
        parent=unquote(parent) or None,
        identity=exported_identity(unquote(object_id)),
    )


def data_extents(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges of an open file that hold data, `(offset, length)` in bytes, ascending, within `start`…`end`."""
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data up to the end of the file
                return
            raise
        if start >= end:
            return
        hole = min(os.lseek(fd, start, os.SEEK_HOLE), end)
        yield start, hole - start
        start = hole


def used_bytes(directory: Path) -> int:
    """Bytes that the files of a directory take on the disk (st_blocks of stat(2), in units of 512 bytes)."""
    total = 0
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


class Workspace:
    """The temporary directory of one testbed; it goes with the testbed, or with the next one if the process died and
    nobody else removed it.

    Each workspace is locked (flock(2)) for as long as its process lives; one that nobody locks is a dead one's.
    """

    def __init__(self, parent: str | None = None) -> None:
        base = Path(parent) if parent else Path(tempfile.gettempdir())
        remove_abandoned(base)
        # made and locked under another name, so that nobody takes it for a dead one's before it is locked
        fresh = Path(tempfile.mkdtemp(prefix=f"new-{_PREFIX}{os.getpid()}-", dir=base))
        self._lock = os.open(fresh, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = fresh.rename(base / fresh.name.removeprefix("new-"))
        self._open = True
        try:
            _need_holes(self.path)
        except BaseException:
            self.close()
            raise

    def backend(self, name: str) -> Path:
        """The directory of a backend, made here."""
        path = self.path / name
        path.mkdir()
        return path

    def close(self) -> None:
        """Remove the directory. Repeating it is harmless."""
        if self._open:
            self._open = False
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)


def remove_abandoned(base: Path) -> None:
    """Remove the workspaces in `base` whose processes are dead."""
    for path in base.glob(f"{_PREFIX}*"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # somebody else's, or just removed
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)


def _need_holes(directory: Path) -> None:
    """Make sure that the file system tells data from holes. Raises `StorageError` that says what to do."""
    path = directory / "probe"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(fd, 1 << 24)
        os.pwrite(fd, b"x" * 4096, 1 << 23)
        if list(data_extents(fd, 0, 1 << 24)) != [(1 << 23, 4096)]:
            raise StorageError(
                f"the file system of {directory.parent} does not tell data from holes in sparse files;"
                " choose another with the testbed's option 'directory'"
            )
    finally:
        os.close(fd)
        path.unlink()
