"""Volumes and snapshots that hosts see as files of a real NFS server.

What is exported is a further link to the object's file, in a directory of its own on the server's shelf; no such path
is used twice. A volume that goes elsewhere is fenced first, as clusters do it: the connections of all who have it open
are cut, so that no write is acknowledged any more, and then the link goes. What the server still does for a connection
that was cut, it does to the file that the volume has left.
"""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.served import INSPECTOR, ServedFile, ServedStore, Shown
from harness.real_targets.plain_name import plain_name

from .rpc import Credential
from .server import DATA_UID, SHELF, NfsServer
from .session import NO_ENTRY, STALE, Login, OpenFile, OperationFailed, Session

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Export:
    """Where an object is to be had now: the server, the directory on its shelf, and the name in that."""

    address: str
    directory: str
    name: str

    @property
    def path(self) -> tuple[str, ...]:
        """The directory from the server's root."""
        return (SHELF, self.directory)

    def log_in(self, host: str, number: int) -> Session:
        """A new session of a host; `number` tells it from the host's others. Raises `SessionLost`."""
        owner = f"{plain_name(host)}:data-{number}"
        return Session(Login(self.address, owner, Credential(plain_name(host), DATA_UID, DATA_UID)), reconnects=True)


class OpenObject:
    """An object that a host has open over NFS; implements `backing.sessions.ServerSession`."""

    def __init__(self, session: Session, file: OpenFile) -> None:
        self._session = session
        self._file = file

    @property
    def is_lost(self) -> bool:
        """Whether the session is lost for good."""
        return self._session.is_lost

    def ping(self) -> None:
        """See `ServerSession.ping`."""
        self._session.ping()

    def size(self) -> int:
        """Bytes from the first to the last."""
        return self._session.size(self._file)

    def read(self, offset: int, length: int) -> bytes:
        """See `Session.read`."""
        return self._session.read(self._file, offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """See `Session.write`."""
        self._session.write(self._file, offset, data)

    def names_beside(self, directory: tuple[str, ...]) -> list[str]:
        """The names in a directory, as the server lists them."""
        return self._session.names(directory)

    def cut(self) -> None:
        """See `ServerSession.cut`."""
        self._session.cut()

    def close(self) -> None:
        """See `ServerSession.close`."""
        self._session.close()


class ExportedFile(ServedFile[NfsServer]):
    """One complete object, exported when somebody asks for it first."""

    def __init__(self, server: NfsServer, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        super().__init__(server, object_id, kind, parent, path)
        self._export: Export | None = None
        self._open_at: list[OpenObject] = []

    def export(self) -> Export:
        """Where the object is to be had; exports it if it is not. Raises `ObjectUnknown`."""
        with self.lock:
            fd = self.descriptor()
            if self._export is None:
                export = Export(self.server.address, str(next(_NUMBERS)), quote(self.id, safe=""))
                os.fchown(fd, DATA_UID, DATA_UID)
                os.fchmod(fd, 0o600 if self.kind == "volume" else 0o400)
                directory = self.server.shelf / export.directory
                directory.mkdir()
                directory.chmod(0o755)
                os.link(self.path, directory / export.name)
                self._export = export
            return self._export

    def open_at(self, host: str) -> OpenObject:
        """Open the object at a host. Raises `Unreachable` where it goes elsewhere meanwhile, `ObjectUnknown`."""
        export = self.export()
        session = export.log_in(host, next(_NUMBERS))
        try:
            found = OpenObject(session, session.open(export.path, export.name, self.kind == "volume"))
            with self.lock:
                if self._export is export:
                    self._open_at = [*(other for other in self._open_at if not other.is_lost), found]
                    return found
            raise Unreachable(f"{self.kind} {self.id} has just gone from {export.address}")
        except BaseException as error:
            session.close()
            if isinstance(error, OperationFailed) and error.status in (NO_ENTRY, STALE):
                raise Unreachable(str(error)) from error
            raise

    def look(self) -> Shown:
        """What hosts see, read over NFS; the identity is the name that the server lists."""
        path = self.export().path
        seen = self.open_at(INSPECTOR)
        try:
            names, size = seen.names_beside(path), seen.size()
            return Shown(self.read_image(seen.read, size), "nfs:" + ",".join(names), size)
        except OperationFailed as error:
            if error.status in (NO_ENTRY, STALE):
                raise Unreachable(str(error)) from error
            raise
        finally:
            seen.close()

    def resize(self, size: int) -> None:
        """See `VolumeFile.resize`; hosts find the new size when they ask for it."""
        with self.lock:
            os.ftruncate(self.descriptor(), size)

    def frozen(self) -> AbstractContextManager[None]:
        """See `ServedFile.frozen`."""
        return self.server.frozen()

    def abandon(self) -> None:
        """See `ServedFile.abandon`."""
        self._export = None

    def _let_go(self) -> None:
        if self._export is not None:
            for found in self._open_at:
                found.cut()
            self._open_at = []
            shutil.rmtree(self.server.shelf / self._export.directory)
            self._export = None


class ExportedStore(ServedStore[NfsServer, ExportedFile]):
    """One backend's volumes and snapshots behind an NFS server."""

    served = ExportedFile
