"""A volume as one host has it attached over iSCSI: foreground I/O with SCSI commands, through the write gate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from harness.real_targets.backing.attachment import WallAttachment
from harness.runtime import SECOND
from harness.storage import PoolFull, StorageError
from harness.testbed import Attachment

from .exported import ExportedFile
from .ranges import Range
from .session import CommandFailed, LoginRefused, Session, SessionLost, windows
from .target import LUN

PATIENCE_NS = 10 * SECOND
"""Nanoseconds for which a host tries to reach a volume that it does not find."""
PAUSE_NS = SECOND // 1000
LUN_NOT_SUPPORTED, SPACE_ALLOCATION_FAILED = 0x2500, 0x2707  # additional sense codes, SPC-4 annex F.2

T = TypeVar("T")


class IscsiAttachment(WallAttachment):
    """Logs in as its host, and again when the session is lost or the volume has gone elsewhere, as hosts do.

    A command that was not answered is sent again; it writes what it would have written. All commands take turns on one
    session, so one is on the wire at a time.
    """

    def __init__(self, file: ExportedFile, *arguments: Any) -> None:
        """`arguments` are those of `WallAttachment`."""
        super().__init__(*arguments)
        self._file = file
        self._login_guard = threading.Lock()
        self._session: Session | None = None
        self._log_in()

    def put(self, offset: int, data: bytes) -> None:
        """See `WallAttachment.put`."""
        self._do(lambda session: session.write(LUN, offset, data))

    def get(self, offset: int, length: int) -> bytes:
        """See `WallAttachment.get`."""
        return self._do(lambda session: session.read(LUN, offset, length))

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `Attachment.extents`: what the target says, and where it says nothing, what the backing file says."""
        self._runtime.checkpoint()
        size = self._volume.size
        told = self._do(lambda session: session.mapped_ranges(LUN, size))
        yield from self._volume.extents() if told is None else told

    def copy_to(self, destination: Attachment) -> None:
        """See `Attachment.copy_to`: reads what was ever written, and writes it; what the other held becomes zeros.

        Raises `StorageError` where it does not fit, `ValueError` for the attachment of another testbed.
        """
        self._runtime.checkpoint()
        if not isinstance(destination, IscsiAttachment):
            raise ValueError("the destination must be an attachment of the same testbed")
        if destination.volume.size < self.volume.size:
            raise StorageError(f"volume {self.volume_id} does not fit into volume {destination.volume_id}")
        for part in self._windows(list(destination.extents())):
            destination.put_many([(start, bytes(length)) for start, length in part])
        for part in self._windows(self.extents()):
            destination.put_many(self.get_many(part))

    def get_many(self, ranges: list[Range]) -> list[tuple[int, bytes]]:
        """Read ranges, several at a time; raises as `get` does."""
        return self._do(lambda session: list(session.read_many(LUN, ranges)))

    def put_many(self, pieces: list[tuple[int, bytes]]) -> None:
        """Write pieces of at most `TRANSFER` bytes, several at a time; raises as `put` does."""
        self._do(lambda session: session.write_many(LUN, pieces))

    def _windows(self, ranges: Iterable[Range]) -> Iterator[list[Range]]:
        """The ranges by what is copied at once; a copy can be ended in between."""
        for some in windows(ranges):
            self._runtime.checkpoint()
            yield some

    def log_out(self) -> None:
        """Log out. Repeating it is harmless."""
        with self._login_guard:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def cut(self) -> None:
        """Cut the session, and free it; for the end of a testbed."""
        with self._login_guard:
            session, self._session = self._session, None
        if session is not None:
            session.cut()
            session.close()

    def _log_in(self) -> Session:
        with self._login_guard:
            if self._session is None:
                self._session = Session(self._file.export().login(self.host))
            return self._session

    def _do(self, act: Callable[[Session], T]) -> T:
        give_up_ns = self._runtime.now() + PATIENCE_NS
        while True:
            session = None
            try:
                session = self._log_in()
                return act(session)
            except CommandFailed as error:
                if error.answer.ascq == SPACE_ALLOCATION_FAILED:
                    raise PoolFull(str(error)) from error
                if error.answer.ascq != LUN_NOT_SUPPORTED:
                    raise StorageError(str(error)) from error
                reason = str(error)
            except (SessionLost, LoginRefused) as error:
                reason = str(error)
            if session is not None:
                self._forget(session)
            if self._runtime.now() > give_up_ns:
                raise StorageError(f"{self.host} can't reach volume {self.volume_id} any more: {reason}")
            self._runtime.sleep(PAUSE_NS)

    def _forget(self, session: Session) -> None:
        with self._login_guard:
            if self._session is session:
                self._session = None
        session.cut()
        session.close()
