"""Running batches on the cores of this machine: processes that are started anew ("spawn") and inherit no state.

A worker ends when the pool is closed and when the process that made the pool dies, however that comes: each holds the
reading end of a pipe whose writing end only the pool has. When a worker dies, the batches that were under way are begun
again in new workers, each run by itself; with a run that is under way at three deaths the sweep ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection

from scenarios.sweeps.errors import RunFailedError, SweepError
from scenarios.sweeps.work import Done, Failed, Work, run_batch

MAX_DEATHS = 3
"""At how many deaths of workers a run may be under way."""

_work: Work | None = None


def _begin(work: Work, pipe: Connection) -> None:
    global _work
    # Ctrl-C goes to the whole process group; the parent then closes the pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True, name="end with the parent").start()
    _work = work


def _end_with(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        pipe.recv_bytes()
    os._exit(1)


def _run(numbers: tuple[int, ...]) -> Done | Failed:
    assert _work is not None
    return run_batch(_work, numbers)


class ProcessPool:
    """Implements `scenarios.sweeps.executor.Executor` with `jobs` processes."""

    def __init__(self, work: Work, jobs: int) -> None:
        if jobs < 1:
            raise SweepError(f"--jobs is {jobs}; it must be at least 1")
        self._work = work
        self._jobs = jobs
        self._batches: dict[Future[Done | Failed], tuple[int, ...]] = {}
        self._deaths: dict[int, int] = {}
        self._executor: ProcessPoolExecutor | None = None
        self._start()

    @property
    def slots(self) -> int:
        """See `scenarios.sweeps.executor.Executor.slots`."""
        return self._jobs

    @property
    def outstanding(self) -> int:
        """See `scenarios.sweeps.executor.Executor.outstanding`."""
        return len(self._batches)

    def submit(self, numbers: tuple[int, ...]) -> None:
        """See `scenarios.sweeps.executor.Executor.submit`."""
        assert self._executor is not None
        try:
            future = self._executor.submit(_run, numbers)
        except BrokenProcessPool:  # a worker died since the last look
            self._start_again()
            future = self._executor.submit(_run, numbers)
        self._batches[future] = numbers

    def next(self) -> Done | Failed:
        """See `scenarios.sweeps.executor.Executor.next`."""
        while True:
            over = wait(self._batches, return_when=FIRST_COMPLETED).done
            for future in over:
                if future.exception() is None:
                    numbers = self._batches.pop(future)
                    for number in numbers:
                        self._deaths.pop(number, None)
                    return future.result()
            for future in over:
                error = future.exception()
                if error is not None and not isinstance(error, BrokenProcessPool):
                    raise error
            self._start_again()

    def close(self) -> None:
        """See `scenarios.sweeps.executor.Executor.close`."""
        if self._executor is None:
            return
        executor, self._executor = self._executor, None
        self._writer.close()  # all workers end
        executor.shutdown(wait=True, cancel_futures=True)
        self._reader.close()
        self._batches.clear()

    def _start(self) -> None:
        context = get_context("spawn")
        self._reader, self._writer = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            self._jobs, mp_context=context, initializer=_begin, initargs=(self._work, self._reader)
        )

    def _start_again(self) -> None:
        """Replace the broken pool; every run that it had not finished is handed over anew, by itself."""
        lost = [future for future in self._batches if not future.done() or future.exception() is not None]
        batches = [self._batches.pop(future) for future in lost]
        finished = dict(self._batches)
        self.close()
        self._batches = finished
        for numbers in batches[: self._jobs]:  # batches are begun in the order in which they came
            for number in numbers:
                self._deaths[number] = self._deaths.get(number, 0) + 1
        at_fault = [number for number, deaths in self._deaths.items() if deaths >= MAX_DEATHS]
        if at_fault:
            runs = "; or ".join(f"run {number} ({self._work.grid.run(number)})" for number in at_fault)
            raise RunFailedError(
                f"a worker process died {MAX_DEATHS} times, each time in {runs}; perhaps a run needs more memory than "
                "there is: try a smaller --jobs, or run it alone. What is finished is kept"
            )
        self._start()
        for numbers in batches:
            for number in numbers:
                self.submit((number,))
