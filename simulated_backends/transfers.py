"""Transfers of a simulated backend: copies that are flows or take a fixed time, and reading chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from harness.runtime import Runtime
from harness.runtime.agenda import Agenda
from harness.storage import BLOCK, StorageError, Transfer, TransferCancelled, TransferFailed
from simulated_backends.content import runs, stored_bytes
from simulated_backends.fabric import Fabric, Flow, Path

_STRIDES = 32
"""A whole read takes about this many flows, one after the other."""


class Work(Protocol):
    """What moves a transfer's bytes: a flow, or a fixed time."""

    def moved(self) -> int:
        """Bytes moved so far."""

    def cancel(self) -> None:
        """Stop; the end is not reported then."""


class TimedWork:
    """Work that takes `duration_ns` whatever else is under way, as a redirect-on-write snapshot does."""

    def __init__(self, env: Agenda, duration_ns: int, size: int, on_end: Callable[[], None]) -> None:
        self._env = env
        self._started_ns = int(env.now)
        self._duration_ns = max(1, duration_ns)
        self._size = size
        self._final: int | None = None
        self._timer = env.alarm(self._duration_ns, on_end)

    def moved(self) -> int:
        """Bytes that count as moved by now."""
        if self._final is not None:
            return self._final
        elapsed = min(int(self._env.now) - self._started_ns, self._duration_ns)
        return self._size * elapsed // self._duration_ns

    def cancel(self) -> None:
        """Stop; the end is not reported then."""
        self._final = self.moved()
        self._timer.cancel()


@runtime_checkable
class Pausable(Protocol):
    """A transfer that can stand still and go on where it was. Neither call blocks; pauses nest."""

    def pause(self) -> None:
        """Move nothing more for now."""

    def resume(self) -> None:
        """Take one pause back; go on once there is none left."""


class Obstacle(NamedTuple):
    """Where a transfer is to fail (a position in bytes), why, and what says then whether it still has to; None: yes."""

    position: int
    reason: str
    still: Callable[[], bool] | None
    error: type[TransferFailed] = TransferFailed


class Obstacles:
    """The obstacles ahead of a transfer."""

    def __init__(self) -> None:
        self._ahead: list[Obstacle] = []

    @property
    def next(self) -> int | None:
        """The first position ahead."""
        return self._ahead[0].position if self._ahead else None

    def add(
        self,
        position: int,
        reason: str,
        still: Callable[[], bool] | None,
        error: type[TransferFailed] = TransferFailed,
    ) -> None:
        """Let the transfer fail there, as `error`. Of several reasons at one position the first counts."""
        self._ahead.append(Obstacle(position, reason, still, error))
        self._ahead.sort(key=lambda obstacle: obstacle.position)

    def hit(self, end: int) -> Obstacle | None:
        """What lets a transfer fail that has read the bytes before `end`; None if it goes on."""
        while self._ahead and self._ahead[0].position < end:
            obstacle = self._ahead.pop(0)
            if obstacle.still is None or obstacle.still():
                return obstacle
        return None

    def met(self, end: int) -> str | None:
        """Why a transfer fails that has read the bytes before `end`; None if it goes on."""
        obstacle = self.hit(end)
        return None if obstacle is None else obstacle.reason


class BulkTransfer:
    """A transfer under way; implements `harness.storage.Transfer` and `Pausable`.

    `finish` makes the target whole at the end, `discard` removes it if the transfer is cancelled or fails; one of them
    is called, once, before any `wait` returns or raises.
    """

    def __init__(
        self, runtime: Runtime, name: str, total: int, finish: Callable[[], None], discard: Callable[[], None]
    ) -> None:
        self.total = total
        self._name = name
        self._finish = finish
        self._discard = discard
        self._over = runtime.signal(f"{name} is over")
        self._begin: Callable[[int, Callable[[], None]], Work] | None = None
        self._work: Work | None = None
        self._before = 0
        self._pauses = 0
        self._obstacles = Obstacles()

    def run(self, begin: Callable[[int, Callable[[], None]], Work]) -> BulkTransfer:
        """Begin the work; `begin` is called with the bytes to move and what to call at the work's end.

        Returns the transfer itself.
        """
        self._begin = begin
        self._go_on()
        return self

    def moved(self) -> int:
        """See `harness.storage.Transfer.moved`."""
        return self._before + (self._work.moved() if self._work is not None else 0)

    def fail_at(
        self,
        position: int,
        reason: str,
        still: Callable[[], bool] | None = None,
        error: type[TransferFailed] = TransferFailed,
    ) -> None:
        """Fail once `position` bytes are moved, unless that is past already, or `still` says then that it need not."""
        if self._over.is_over or self.moved() > position:
            return
        before = self._obstacles.next
        self._obstacles.add(position, reason, still, error)
        if self._obstacles.next != before and self._work is not None:
            self._halt()
            self._go_on()

    def pause(self) -> None:
        """See `Pausable.pause`."""
        self._pauses += 1
        self._halt()

    def resume(self) -> None:
        """See `Pausable.resume`."""
        self._pauses -= 1
        if not self._pauses:
            self._go_on()

    def wait(self) -> None:
        """See `harness.storage.Transfer.wait`."""
        self._over.wait()

    def cancel(self, reason: str) -> None:
        """See `harness.storage.Transfer.cancel`."""
        self._stop(TransferCancelled(f"{self._name} was cancelled: {reason}"))

    def fail(self, reason: str, error: type[TransferFailed] = TransferFailed) -> None:
        """See `harness.storage.Transfer.fail`."""
        self._stop(error(f"{self._name} failed: {reason}"))

    def _halt(self) -> None:
        if self._work is not None and not self._over.is_over:
            self._before = self.moved()
            self._work.cancel()
            self._work = None

    def _go_on(self) -> None:
        if self._work is not None or self._begin is None or self._over.is_over:
            return
        obstacle = self._obstacles.next
        if obstacle is None:
            self._work = self._begin(self.total - self._before, self._ended)
        else:
            self._work = self._begin(obstacle - self._before, self._meet)

    def _meet(self) -> None:
        obstacle = self._obstacles.hit(self.moved() + 1)
        if obstacle is not None:
            self.fail(obstacle.reason, obstacle.error)
        else:
            self._halt()
            self._go_on()

    def _ended(self) -> None:
        if not self._over.is_over:
            self._finish()
            self._over.set(None)

    def _stop(self, error: StorageError) -> None:
        if not self._over.is_over:
            if self._work is not None:
                self._work.cancel()
            self._discard()
            self._over.fail(error)


class StreamTransfer:
    """The transfer of a reader: one flow after the other, so that it waits while its consumer is busy."""

    def __init__(self, runtime: Runtime, fabric: Fabric, path: Path, name: str, total: int) -> None:
        self.total = total
        self._runtime = runtime
        self._fabric = fabric
        self._path = path
        self._name = name
        self._over = runtime.signal(f"{name} is over")
        self._error: StorageError | None = None
        self._done = 0
        self._obstacles = Obstacles()
        self._flow: Flow | None = None
        self._arrived = runtime.signal(f"{name}, next bytes")

    def moved(self) -> int:
        """See `harness.storage.Transfer.moved`."""
        return self._done + (self._flow.moved() if self._flow is not None else 0)

    def wait(self) -> None:
        """See `harness.storage.Transfer.wait`."""
        self._over.wait()

    def cancel(self, reason: str) -> None:
        """See `harness.storage.Transfer.cancel`."""
        self._stop(TransferCancelled(f"{self._name} was cancelled: {reason}"))

    def fail(self, reason: str) -> None:
        """See `harness.storage.Transfer.fail`."""
        self._stop(TransferFailed(f"{self._name} failed: {reason}"))

    def fail_at(self, position: int, reason: str, still: Callable[[], bool] | None = None) -> None:
        """Fail with the read that gets to the byte at `position`, unless that is past already, or `still` denies it."""
        if position >= self._done:
            self._obstacles.add(position, reason, still)

    def advance(self, length: int) -> None:
        """Block until the next `length` bytes are read. Raises what the transfer was stopped with."""
        self.check()
        self._arrived = self._runtime.signal(f"{self._name}, next bytes")
        self._flow = self._fabric.start(self._path, length, lambda: self._arrived.set(None))
        self._arrived.wait()
        self._done += length
        self._flow = None
        self._meet(self._done)

    def check(self) -> None:
        """Raise what the transfer was stopped with, if it was."""
        if self._error is not None:
            raise self._error

    def complete(self) -> None:
        """All was read and consumed. Raises what the transfer was stopped with, at its end too."""
        self.check()
        self._meet(self._done + 1)
        self._over.set(None)

    def _meet(self, end: int) -> None:
        reason = self._obstacles.met(end)
        if reason is not None:
            self.fail(reason)
            self.check()

    def _stop(self, error: StorageError) -> None:
        if self._over.is_over:
            return
        self._error = error
        if self._flow is not None:
            self._flow.cancel()
        self._over.fail(error)
        self._arrived.fail(error)


class StreamReader:
    """Reads an object chunk by chunk; implements `harness.storage.ChunkReader`.

    `look` gives what the reader sees of the blocks from a first up to an end, once the transfer has passed them.
    `release` is called, once, when reading ends, however it ends.
    """

    def __init__(
        self,
        transfer: StreamTransfer,
        chunk_bytes: int,
        look: Callable[[int, int], dict[int, int]],
        release: Callable[[], None],
    ) -> None:
        self.transfer: Transfer = transfer
        self._stream = transfer
        self._chunk_blocks = max(1, chunk_bytes // BLOCK)
        self._look = look
        self._release = release
        self._closed = False

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        transfer = self._stream
        stride = max(self._chunk_blocks, transfer.total // _STRIDES // BLOCK)
        end_of_all = transfer.total // BLOCK
        for first in range(0, end_of_all, stride):
            end = min(first + stride, end_of_all)
            transfer.advance((end - first) * BLOCK)
            seen = self._look(first, end)
            for start, length in runs(seen, self._chunk_blocks):
                transfer.check()
                yield start * BLOCK, b"".join(stored_bytes(b, seen[b]) for b in range(start, start + length))
        transfer.complete()
        self.close()

    def close(self) -> None:
        """See `harness.storage.ChunkReader.close`."""
        if not self._closed:
            self._closed = True
            self.transfer.cancel("its reader was closed")
            self._release()
