"""A volume as one host has it attached over NFS: foreground I/O with READ and WRITE, through the write gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.sessions import SessionAttachment
from harness.storage import PoolFull, StorageError

from .exported import ExportedFile, OpenObject
from .session import CHUNK, NO_ENTRY, NO_SPACE, QUOTA, STALE, OperationFailed

T = TypeVar("T")


class NfsAttachment(SessionAttachment[OpenObject]):
    """See `SessionAttachment`; a session outlives its connections, unless the volume was fenced from it."""

    at_once = CHUNK

    def __init__(self, file: ExportedFile, *arguments: Any) -> None:
        """`arguments` are those of `WallAttachment`."""
        self._file = file
        super().__init__(*arguments)

    def put(self, offset: int, data: bytes) -> None:
        """See `WallAttachment.put`."""
        if offset + len(data) > self._file.size:  # a file would grow, where a disk ends
            raise StorageError(f"a write at byte {offset} goes beyond the end of volume {self.volume_id}")
        self._do(lambda file: file.write(offset, data))

    def get(self, offset: int, length: int) -> bytes:
        """See `WallAttachment.get`."""
        return self._do(lambda file: file.read(offset, length))

    def new_session(self) -> OpenObject:
        """See `SessionAttachment.new_session`."""
        return self._file.open_at(self.host)

    def is_of_use(self, session: OpenObject) -> bool:
        """See `SessionAttachment.is_of_use`."""
        return not session.is_lost

    def _do(self, act: Callable[[OpenObject], T]) -> T:
        def operation(file: OpenObject) -> T:
            try:
                return act(file)
            except OperationFailed as error:
                if error.status in (STALE, NO_ENTRY):
                    raise Unreachable(str(error)) from error
                if error.status in (NO_SPACE, QUOTA):
                    raise PoolFull(str(error)) from error
                raise StorageError(str(error)) from error

        return self.carry_out(operation)
