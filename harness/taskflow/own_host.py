"""The taskflow's own host: it attaches volumes to look at them, and to copy what no backend copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.model import GIB
from harness.storage import BLOCK, ObjectUnknown, StorageError
from harness.testbed import Attachment


class OwnHost:
    """The host on which a taskflow runs; `attach(backend, volume id)` attaches a volume to it."""

    def __init__(self, attach: Callable[[str, str], Attachment]) -> None:
        self.attach = attach

    def copy(self, source_id: str, source_backend: str, copy_id: str, copy_backend: str) -> None:
        """Copy a volume's content through this host. Raises `ObjectUnknown` where either is not there."""
        source = self.attach(source_backend, source_id)
        try:
            copy = self.attach(copy_backend, copy_id)
            try:
                source.copy_to(copy)
            finally:
                copy.detach()
        finally:
            source.detach()

    def is_at(self, backend: str, volume_id: str) -> bool:
        """Whether this host can attach the volume there."""
        try:
            self.attach(backend, volume_id).detach()
        except ObjectUnknown:
            return False
        return True

    def has_size(self, backend: str, volume_id: str, size: int) -> bool:
        """Whether this host sees the volume with at least `size` GiB: it looks for the last block."""
        try:
            with self.reading(backend, volume_id) as attachment:
                return len(attachment.read(size * GIB - BLOCK, BLOCK)) == BLOCK
        except (ValueError, StorageError):
            return False

    @contextmanager
    def reading(self, backend: str, volume_id: str) -> Iterator[Attachment]:
        """An attachment for reading, detached afterwards. Raises `ObjectUnknown` where the volume is not there."""
        attachment = self.attach(backend, volume_id)
        try:
            yield attachment
        finally:
            attachment.detach()
