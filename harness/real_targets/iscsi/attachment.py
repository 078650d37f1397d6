"""A volume as one host has it attached over iSCSI: foreground I/O with SCSI commands, through the write gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.sessions import SessionAttachment
from harness.real_targets.backing.windows import Range
from harness.storage import PoolFull, StorageError

from .exported import ExportedFile
from .session import TRANSFER, CommandFailed, Session
from .target import LUN

LUN_NOT_SUPPORTED, SPACE_ALLOCATION_FAILED = 0x2500, 0x2707  # additional sense codes, SPC-4 annex F.2

T = TypeVar("T")


class IscsiAttachment(SessionAttachment[Session]):
    """See `SessionAttachment`; a session that was lost, or whose LUN has gone, is of no use any more."""

    at_once = TRANSFER

    def __init__(self, file: ExportedFile, *arguments: Any) -> None:
        """`arguments` are those of `WallAttachment`."""
        self._file = file
        super().__init__(*arguments)

    @property
    def lun(self) -> int:
        """The volume's logical unit number at its target."""
        return LUN

    def put(self, offset: int, data: bytes) -> None:
        """See `WallAttachment.put`."""
        self._do(lambda session: session.write(self.lun, offset, data))

    def get(self, offset: int, length: int) -> bytes:
        """See `WallAttachment.get`."""
        return self._do(lambda session: session.read(self.lun, offset, length))

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `Attachment.extents`: what the target says, and where it says nothing, what the backing file says."""
        self._runtime.checkpoint()
        size = self._volume.size
        told = self._do(lambda session: session.mapped_ranges(self.lun, size))
        yield from self._volume.extents() if told is None else told

    def get_many(self, ranges: list[Range]) -> list[tuple[int, bytes]]:
        """See `SessionAttachment.get_many`; all commands are on the wire together."""
        return self._do(lambda session: list(session.read_many(self.lun, ranges)))

    def put_many(self, pieces: list[tuple[int, bytes]]) -> None:
        """See `SessionAttachment.put_many`; all commands are on the wire together."""
        self._do(lambda session: session.write_many(self.lun, pieces))

    def new_session(self) -> Session:
        """See `SessionAttachment.new_session`."""
        return Session(self._file.export().login(self.host))

    def is_of_use(self, session: Session) -> bool:
        """See `SessionAttachment.is_of_use`."""
        return False

    def _do(self, act: Callable[[Session], T]) -> T:
        def command(session: Session) -> T:
            try:
                return act(session)
            except CommandFailed as error:
                if error.answer.ascq == LUN_NOT_SUPPORTED:
                    raise Unreachable(str(error)) from error
                if error.answer.ascq == SPACE_ALLOCATION_FAILED:
                    raise PoolFull(str(error)) from error
                raise StorageError(str(error)) from error

        return self.carry_out(command)
