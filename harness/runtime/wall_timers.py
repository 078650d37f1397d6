"""The timers of the wall clock: one thread and a heap for all of them."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from harness.runtime.port import SECOND

_COMPACT_FROM = 64
"""From so many cancelled timers on, the heap is swept once they are the larger half of it."""


class WallTimer:
    """See `harness.runtime.Timer`."""

    def __init__(self, action: Callable[[], None], thread: TimerThread) -> None:
        self.action: Callable[[], None] | None = action
        self._thread = thread

    def cancel(self) -> None:
        """Make sure that the call does not happen any more."""
        self._thread.cancel(self)


class TimerThread:
    """Runs the calls of all timers of a runtime, in the order of their times; `failed` gets what an action raised."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._changed = threading.Condition()
        self._heap: list[tuple[int, int, WallTimer]] = []
        self._sequence = itertools.count()
        self._stale = 0
        self._stopped = False
        self.thread: threading.Thread | None = None

    def call_at(self, due_ns: int, action: Callable[[], None]) -> WallTimer:
        """Call `action` at that instant of the monotonic clock (ns)."""
        timer = WallTimer(action, self)
        with self._changed:
            if self._stopped:
                return timer
            heapq.heappush(self._heap, (due_ns, next(self._sequence), timer))
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="runtime timers", daemon=True)
                self.thread.start()
            self._changed.notify()
        return timer

    def cancel(self, timer: WallTimer) -> None:
        """Forget a timer; sweeps the heap once most of it is cancelled."""
        with self._changed:
            if timer.action is None:
                return
            timer.action = None
            self._stale += 1
            if self._stale > _COMPACT_FROM and self._stale * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].action is not None]
                heapq.heapify(self._heap)
                self._stale = 0

    def stop(self) -> None:
        """Drop all timers and end the thread."""
        with self._changed:
            self._stopped = True
            self._heap.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except BaseException as error:
                self._failed(error)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._stopped:
                if not self._heap:
                    self._changed.wait()
                    continue
                due_ns, _, timer = self._heap[0]
                if timer.action is None:
                    heapq.heappop(self._heap)
                    self._stale -= 1
                elif (left_ns := due_ns - time.monotonic_ns()) > 0:
                    self._changed.wait(min(left_ns / SECOND, threading.TIMEOUT_MAX))
                else:
                    heapq.heappop(self._heap)
                    action, timer.action = timer.action, None
                    return action
        return None
