"""Reading a whole object, chunk by chunk, behind the copying process."""

from __future__ import annotations

import os
from collections.abc import Iterator

from harness.storage import Transfer

from .medium import data_extents
from .plans import ReadPlan
from .transfer import BackingTransfer
from .volume_file import PointInTime


class FileReader:
    """Implements `harness.storage.ChunkReader`: follows the process in the work file that it fills.

    With an overlay each chunk is the source as it stood when reading began: what the process read too late is in the
    overlay before the process reports the position. `content` is the open work file, which the reader closes.
    """

    def __init__(
        self, transfer: BackingTransfer, plan: ReadPlan, content: int, overlay: PointInTime | None, chunk_bytes: int
    ) -> None:
        self.copy = transfer
        self.transfer: Transfer = transfer
        self._plan = plan
        self._overlay = overlay
        self._chunk_bytes = chunk_bytes
        self._fd = content

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """See `harness.storage.ChunkReader.__iter__`."""
        position = 0
        while position < self.copy.total:
            self.copy.wait_for(lambda: self.copy.moved() > position)  # noqa: B023 - asked only in this round
            end = self.copy.moved()
            for start, length in data_extents(self._fd, position, end):
                for offset in range(start, start + length, self._chunk_bytes):
                    self.copy.wait_for(lambda: True)  # raises if reading was cancelled meanwhile
                    data = os.pread(self._fd, min(self._chunk_bytes, start + length - offset), offset)
                    yield offset, data if self._overlay is None else self._overlay.lay_over(data, offset)
            position = end
        self._plan.consumed = True
        self.copy.notice()
        self.copy.wait()

    def close(self) -> None:
        """See `harness.storage.ChunkReader.close`."""
        self.copy.cancel("reading was given up")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._overlay is not None:
            self._overlay.close()
