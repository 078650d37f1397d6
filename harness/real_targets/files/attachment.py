"""A volume as one host has it attached: foreground I/O with pread and pwrite on the volume's file."""

from __future__ import annotations

from typing import Any

from harness.real_targets.backing.attachment import WallAttachment
from harness.real_targets.backing.store import FileStore
from harness.testbed import Attachment


class FileAttachment(WallAttachment):
    """It follows its volume when that moves, since the volume's file does."""

    def __init__(self, store: FileStore, *arguments: Any) -> None:
        """`arguments` are those of `WallAttachment`."""
        super().__init__(*arguments)
        self._store = store

    def put(self, offset: int, data: bytes) -> None:
        """See `WallAttachment.put`."""
        self._volume.write(offset, data)

    def get(self, offset: int, length: int) -> bytes:
        """See `WallAttachment.get`."""
        return self._volume.read(offset, length)

    def log_out(self) -> None:
        """See `WallAttachment.log_out`; nothing was needed."""

    def copy_to(self, destination: Attachment) -> None:
        """See `Attachment.copy_to`; a copying process reads one file and writes the other.

        Raises `TransferFailed`, `ObjectBusy`, `Unsupported` where it does not fit, `ValueError` for the attachment of
        another testbed.
        """
        self._runtime.checkpoint()
        if not isinstance(destination, FileAttachment):
            raise ValueError("the destination must be an attachment of the same testbed")
        transfer = self._store.begin_host_copy(self._volume, destination.volume)
        try:
            transfer.wait()
        finally:
            transfer.cancel("the host gave its copy up")  # no effect once it is over
