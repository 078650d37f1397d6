"""A volume as one host has it attached: foreground I/O with real system calls, through the write gate."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

from harness.gate import WriteGate
from harness.load import StreamLoad
from harness.recorder import Recorder
from harness.runtime import Runtime, Signal
from harness.stamps import block_bytes
from harness.storage import BLOCK, StorageError
from harness.testbed import Attachment, Gate, LoadSpec

from .faults import DrainStalls
from .store import FileStore
from .volume_file import VolumeFile


class FileAttachment:
    """Implements `harness.testbed.Attachment`. It follows its volume when that moves, since the volume's file does."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        store: FileStore,
        volume: VolumeFile,
        host: str,
        stalls: DrainStalls,
        source_of_load: Callable[[], random.Random],
    ) -> None:
        self.volume_id = volume.id
        self.host = host
        self._gate = WriteGate(runtime, recorder, volume.id, host)
        self.gate: Gate = self._gate
        self._runtime = runtime
        self._recorder = recorder
        self._store = store
        self._volume = volume
        self._stalls = stalls
        self._source_of_load = source_of_load
        self._writes = recorder.writes(volume.id)
        self._guard = threading.Lock()
        self._outstanding = 0
        self._idle: Signal[None] | None = None  # set once the attachment is to go

    @property
    def volume(self) -> VolumeFile:
        """The attached volume."""
        return self._volume

    def write(self, block: int, stamp: int) -> None:
        """See `Attachment.write`.

        Raises `ObjectUnknown` for a deleted volume, `PoolFull`, `StorageError` beyond the end or once detached.
        """
        self._runtime.checkpoint()
        with self._guard:
            if self._idle is not None:
                raise StorageError(f"volume {self.volume_id} is not attached to {self.host} any more")
            self._outstanding += 1
        try:
            data = block_bytes(block, stamp)
            row = self._writes.issue(block, stamp)
            self._gate.enter()
            try:
                self._volume.write(block * BLOCK, data)
                self._stalls.before_acknowledgement(self.volume_id)
                self._writes.acknowledge(row)
            finally:
                self._gate.leave()
        finally:
            with self._guard:
                self._outstanding -= 1
                idle = self._idle if self._outstanding == 0 else None
            if idle is not None:
                idle.set(None)

    def read(self, offset: int, length: int) -> bytes:
        """See `Attachment.read`."""
        self._runtime.checkpoint()
        return self._volume.read(offset, length)

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `Attachment.extents`."""
        self._runtime.checkpoint()
        return self._volume.extents()

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

    def load(self, spec: LoadSpec) -> StreamLoad:
        """See `Attachment.load`."""
        self._runtime.checkpoint()
        name = f"load on {self.volume_id} at {self.host}"
        return StreamLoad(self._runtime, self._recorder, self.write, spec, self._source_of_load(), name)

    def detach(self) -> None:
        """See `Attachment.detach`. Repeating it is harmless."""
        self._runtime.checkpoint()
        with self._guard:
            if self._idle is None:
                self._idle = self._runtime.signal(f"writes of {self.volume_id} at {self.host} are finished")
            idle = self._idle if self._outstanding else None
        if idle is not None:
            idle.wait()
