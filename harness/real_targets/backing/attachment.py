"""A volume as one host has it attached: foreground I/O with real system calls or commands, through the write gate."""

from __future__ import annotations

import abc
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
from .volume_file import VolumeFile


class WallAttachment(abc.ABC):
    """Implements `harness.testbed.Attachment` but for the way to the bytes."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
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

    @abc.abstractmethod
    def put(self, offset: int, data: bytes) -> None:
        """Write bytes (whole blocks); returns when the backend has acknowledged them.

        Raises `ObjectUnknown` for a deleted volume, `PoolFull`, `StorageError` beyond the end.
        """

    @abc.abstractmethod
    def get(self, offset: int, length: int) -> bytes:
        """Read bytes (whole blocks). Raises `ObjectUnknown`, `StorageError`."""

    @abc.abstractmethod
    def copy_to(self, destination: Attachment) -> None:
        """See `Attachment.copy_to`."""

    @abc.abstractmethod
    def log_out(self) -> None:
        """Give back what the way to the bytes needed; the attachment is not used any more. Repeating it is harmless."""

    def write(self, block: int, stamp: int) -> None:
        """See `Attachment.write`. Raises what `put` raises, and `StorageError` once detached."""
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
                self.put(block * BLOCK, data)
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
        return self.get(offset, length)

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `Attachment.extents`."""
        self._runtime.checkpoint()
        return self._volume.extents()

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
        self.log_out()
