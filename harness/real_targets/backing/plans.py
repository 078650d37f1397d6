"""What transfers are for: copies, moves, reverts, reads, and copies through a host; see `transfer.Plan`.

Order of locks: the stores' common guard first, then the lock of a file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from harness.storage import BLOCK

from .transfer import BackingTransfer
from .volume_file import Changes, PointInTime, VolumeFile, write_all

_CALM = 16
"""Once no more dirty blocks than this are left, a live move copies them with the writers held up."""
_ROUNDS = 8
"""A live move copies dirty blocks at most this often before it holds the writers up."""


class CopyPlan:
    """Fill `partial`; then `publish` it. With an overlay the copy is the source as it stood when this was made."""

    def __init__(
        self,
        guard: threading.Lock,
        source: VolumeFile,
        partial: Path,
        overlay: PointInTime | None,
        publish: Callable[[], None],
        withdraw: Callable[[], None],
    ) -> None:
        self._guard = guard
        self._source = source
        self._partial = partial
        self._overlay = overlay
        self._publish = publish
        self._withdraw = withdraw
        if overlay is not None:
            source.track(overlay)

    def finish(self, transfer: BackingTransfer) -> None:
        """Lay the overlay over the copy and publish it."""
        if self._overlay is not None:
            self._source.untrack(self._overlay)  # the process has read everything, so nothing more need be kept
            fd = os.open(self._partial, os.O_RDWR)
            try:
                self._overlay.merge_into(fd)
            finally:
                os.close(fd)
        with self._guard:
            transfer.commit()
            self._publish()

    def undo(self) -> None:
        """Remove the partial target."""
        with self._guard:
            self._withdraw()

    def release(self) -> None:
        """Let the writers of the source alone."""
        if self._overlay is not None:
            self._source.untrack(self._overlay)
            self._overlay.unlink()
            self._overlay.close()
        with self._guard:
            self._source.uses -= 1


class MovePlan:
    """Fill `partial`, then let the volume go on in it. With `changes`, what was written meanwhile is carried over."""

    def __init__(
        self,
        guard: threading.Lock,
        volume: VolumeFile,
        partial: Path,
        changes: Changes | None,
        cut_over: Callable[[], None],
        withdraw: Callable[[], None],
    ) -> None:
        self._guard = guard
        self._volume = volume
        self._partial = partial
        self._dirty = changes
        self._cut_over = cut_over
        self._withdraw = withdraw
        if self._dirty is not None:
            volume.track(self._dirty)

    def finish(self, transfer: BackingTransfer) -> None:
        """Copy dirty blocks until few are left; copy those with the writers held up, and cut over."""
        fd = os.open(self._partial, os.O_WRONLY)
        try:
            if self._dirty is not None:
                for _ in range(_ROUNDS):
                    if len(self._dirty) <= _CALM:
                        break
                    with self._volume.lock:
                        blocks = self._dirty.take()
                    for block in blocks:  # one that is overwritten right now is dirty again, so its bytes don't matter
                        self._copy_block(block, fd)
            with self._guard, self._volume.held_up():
                transfer.commit()
                if self._dirty is not None:
                    for block in self._dirty.take():
                        self._copy_block(block, fd)
                self._cut_over()
        finally:
            os.close(fd)

    def undo(self) -> None:
        """Remove the partial copy; the volume stays where it was."""
        with self._guard:
            self._withdraw()

    def release(self) -> None:
        """Let the volume's writers alone."""
        if self._dirty is not None:
            self._volume.untrack(self._dirty)
            self._dirty.close()
        with self._guard:
            self._volume.pinned = False

    def _copy_block(self, block: int, fd: int) -> None:
        write_all(fd, os.pread(self._volume.descriptor(), BLOCK, block * BLOCK), block * BLOCK)


class RevertPlan:
    """Fill a work file from a snapshot, then let the volume go on in it."""

    def __init__(self, guard: threading.Lock, volume: VolumeFile, snapshot: VolumeFile, work: Path) -> None:
        self._guard = guard
        self._volume = volume
        self._snapshot = snapshot
        self._work = work

    def finish(self, transfer: BackingTransfer) -> None:
        """Put the work file in the volume's place."""
        with self._guard, self._volume.held_up():
            transfer.commit()
            self._work.replace(self._volume.path)
            self._volume.replace_file(self._volume.path)

    def undo(self) -> None:
        """Remove the work file; the volume is as it was."""
        self._work.unlink(missing_ok=True)

    def release(self) -> None:
        """Let go of both."""
        with self._guard:
            self._volume.pinned = False
            self._snapshot.uses -= 1


class ReadPlan:
    """Fill a work file that a reader follows; over when the reader has taken everything, or closes."""

    def __init__(self, guard: threading.Lock, source: VolumeFile, work: Path, overlay: PointInTime | None) -> None:
        self._guard = guard
        self._source = source
        self._work = work
        self._overlay = overlay
        self.consumed = False
        if overlay is not None:
            source.track(overlay)

    def finish(self, transfer: BackingTransfer) -> None:
        """Wait for the reader."""
        if self._overlay is not None:
            self._source.untrack(self._overlay)
        transfer.wait_for(lambda: self.consumed)
        transfer.commit()

    def undo(self) -> None:
        """Nothing but the work file is there, and that goes in any case."""

    def release(self) -> None:
        """Remove the files and let go of the source; the reader closes what it has open."""
        if self._overlay is not None:
            self._source.untrack(self._overlay)
            self._overlay.unlink()
        self._work.unlink(missing_ok=True)
        with self._guard:
            self._source.uses -= 1


class HostCopyPlan:
    """Copy into a volume that exists, as a host does that has both attached."""

    def __init__(self, guard: threading.Lock, source: VolumeFile, destination: VolumeFile) -> None:
        self._guard = guard
        self._source = source
        self._destination = destination

    def finish(self, transfer: BackingTransfer) -> None:
        """The content is there; nothing is left to do."""
        transfer.commit()

    def undo(self) -> None:
        """What was copied stays in the destination, as after a host's copy that broke off."""

    def release(self) -> None:
        """Let go of both."""
        with self._guard:
            self._source.uses -= 1
            self._destination.uses -= 1
