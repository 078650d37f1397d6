"""A transfer: a pass over the source, by a copying process or otherwise, what follows it, and how it ends."""

from __future__ import annotations

import abc
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harness.runtime import Runtime
from harness.storage import StorageError, TransferCancelled, TransferFailed

COPIER = Path(__file__).with_name("copier.py")
"""The program of the copying process."""


class Plan(Protocol):
    """What a transfer is for."""

    def finish(self, transfer: BackingTransfer) -> None:
        """The pass is made: make the target whole, call `transfer.commit()`, make the target usable.

        Raises what `commit` raises, or another `StorageError` or OSError; the target is still to be removed then.
        """

    def undo(self) -> None:
        """Remove what there is of the target."""

    def release(self) -> None:
        """Let go of the source and of everything that was only needed on the way."""


class BackingTransfer(abc.ABC):
    """Implements `harness.storage.Transfer`: a pass over `total` bytes that is watched by a thread of its own.

    The thread is the backend's, no task of the runtime: no caller's end stops it. `over` is set or failed at the very
    end, when nothing is written any more. `begin` starts the thread.
    """

    def __init__(self, runtime: Runtime, name: str, total: int, plan: Plan) -> None:
        self.total = total
        self.name = name
        self._plan = plan
        self._moved = 0
        self._changed = threading.Condition()
        self._verdict: StorageError | None = None
        self._committed = False
        self._failing: tuple[int, str] | None = None
        self._over = runtime.signal(f"{name} is over")
        self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)

    @abc.abstractmethod
    def make_pass(self) -> None:
        """Carry everything over, and `reach` each position; end soon after `break_off`. Raises what keeps from it."""

    @abc.abstractmethod
    def break_off(self) -> None:
        """Let the pass end where it is. Does not block; no effect once it has ended."""

    def begin(self) -> None:
        """Start the thread that makes the pass."""
        self._watcher.start()

    @property
    def is_over(self) -> bool:
        """Whether the transfer has ended, well or badly."""
        return self._over.is_over

    def moved(self) -> int:
        """See `harness.storage.Transfer.moved`."""
        return self._moved

    def wait(self) -> None:
        """See `harness.storage.Transfer.wait`."""
        self._over.wait()

    def cancel(self, reason: str) -> None:
        """See `harness.storage.Transfer.cancel`."""
        self._stop(TransferCancelled(reason))

    def fail(self, reason: str) -> None:
        """See `harness.storage.Transfer.fail`."""
        self._stop(TransferFailed(reason))

    def fail_at(self, position: int, reason: str) -> None:
        """See `harness.storage.Transfer.fail_at`; judged at each position that the pass reaches."""
        with self._changed:
            self._failing = (position, reason)

    def commit(self) -> None:
        """The point of no return: from here on the transfer can't be stopped. Raises if it has been."""
        with self._changed:
            if self._verdict is not None:
                raise self._verdict
            self._committed = True

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Block until the condition holds; asked anew whenever the transfer moves on, or after `notice`.

        Raises `TransferCancelled` or `TransferFailed` as soon as the transfer was stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._verdict is not None or condition())
            if self._verdict is not None:
                raise self._verdict

    def notice(self) -> None:
        """Let whoever waits in `wait_for` ask again."""
        with self._changed:
            self._changed.notify_all()

    def _stop(self, verdict: StorageError) -> None:
        with self._changed:
            if not self._committed and self._verdict is None:
                self._verdict = verdict
                self._changed.notify_all()
                self.break_off()
        self._watcher.join()

    def _watch(self) -> None:
        error: StorageError | None = None
        try:
            self.make_pass()
            with self._changed:
                if self._verdict is not None:
                    raise self._verdict
            self._plan.finish(self)
        except StorageError as found:
            error = found
        except Exception as found:
            error = TransferFailed(f"{self.name}: {type(found).__name__}: {found}")
        if error is not None:
            with self._changed:  # whoever waits for progress must not wait for ever
                error = self._verdict = self._verdict or error  # what stopped the pass counts, not how it ended
                self._changed.notify_all()
            with contextlib.suppress(OSError):
                self._plan.undo()
        with contextlib.suppress(OSError):
            self._plan.release()
        if error is None:
            self._over.set(None)
        else:
            self._over.fail(error)

    def reach(self, position: int) -> None:
        """Note that everything up to that byte is carried over; a fault that waits for it strikes."""
        with self._changed:
            self._moved = position
            if self._failing is not None and position >= self._failing[0] and self._verdict is None:
                self._verdict = TransferFailed(self._failing[1])
                self.break_off()
            self._changed.notify_all()


class CopyTransfer(BackingTransfer):
    """A transfer whose pass is made by a copying process."""

    def __init__(
        self, runtime: Runtime, name: str, source: Path, target: Path, total: int, pace: tuple[int, int], plan: Plan
    ) -> None:
        """Start the process. `total` bytes, `pace` is (nanoseconds for all of them, steps).

        If the process can't be started the plan is undone and OSError raised.
        """
        super().__init__(runtime, name, total, plan)
        duration_ns, steps = pace
        arguments = [str(source), str(target), str(total), str(duration_ns), str(steps)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(COPIER), *arguments],
                stdin=subprocess.PIPE,  # closes when this process dies, and the copying process ends with it
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except BaseException:
            plan.undo()
            plan.release()
            raise
        self.begin()

    @property
    def pid(self) -> int:
        """The process id of the copying process."""
        return self._process.pid

    def break_off(self) -> None:
        """See `BackingTransfer.break_off`."""
        self._process.kill()  # no effect on a process that was waited for

    def make_pass(self) -> None:
        """Note the positions that the process reports, and wait for its end. Raises `TransferFailed`."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        with process.stdin, process.stdout, process.stderr:
            for line in process.stdout:
                self.reach(int(line))
            complaint = process.stderr.read().decode(errors="replace").strip()
            status = process.wait()
        if status != 0:
            raise TransferFailed(f"the copying process ended with status {status}: {complaint or 'it gave no reason'}")
