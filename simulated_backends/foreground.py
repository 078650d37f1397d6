"""Foreground workloads: streams that are tasks while anything happens on their path, and batches while nothing does.

A stream is a task that carries one write after the other, step by step. Between two steps it sleeps in the lane, which
all streams of a testbed share. When the lane wakes a stream and nobody else is due for a while, every stream whose path
is healthy and whose gate is open has its writes worked out up to that moment in one go (`simulated_backends.batch`),
with the same record, places included; nobody could look in between. A stream's task, when it is woken again, goes on
from there with whatever step comes next.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import log

from harness.load import StreamLoad
from harness.recorder import Recorder
from harness.runtime.agenda import Alarm
from harness.runtime.virtual import VirtualRuntime
from harness.storage import BLOCK
from harness.testbed import LoadSpec
from simulated_backends.streams import PacedLoad, Stream
from simulated_backends.write_path import WritePath
from simulated_backends.writes import ARRIVE, OVER, RETURN, Pace, Write

_WORTH = 48
"""A batch is begun where about so many writes or more fit in; for fewer, tasks are cheaper."""

_SKIP_MOST = 1 << 12
"""For so many pauses at most no batch is tried again, after paths were not healthy or others were due too soon."""

_MOST = 1 << 15
"""A batch takes about so many writes at most, so that memory stays small."""

_TIME = "time to pass"


class Lane:
    """Where the streams of one virtual clock sleep. `batched` counts the writes that were issued in batches."""

    def __init__(self, runtime: VirtualRuntime, recorder: Recorder) -> None:
        # only here: batches need NumPy, which takes as long to import as all backends, and whoever only looks at a
        # testbed's class needs neither
        from simulated_backends.batch import Batch

        self._make_batch = Batch
        self.batched = 0
        self._runtime = runtime
        self._recorder = recorder
        self._due: list[tuple[int, int, Stream]] = []  # a heap
        self._armed: dict[int, Alarm] = {}  # by the place of the entry that each stands for
        self._skip = 0  # for so many pauses streams sleep as any task does
        self._skip_next = _WORTH
        self._outside = 0  # so many of them sleep so now

    def pause(self, stream: Stream, ns: int) -> None:
        """Let a stream's own task sleep for `ns` nanoseconds, at least one; a batch may change the stream meanwhile.

        It goes on at the place in the clock's order that a sleep would have given it. Raises `Abandoned`.
        """
        runtime = self._runtime
        runtime.checkpoint()
        if self._skip:
            self._skip -= 1
            self._outside += 1
            try:
                stream.task.park(_TIME, ns)
            finally:
                self._outside -= 1
            return
        stream.place = runtime.env.draw_place()
        heappush(self._due, (runtime.now() + ns, stream.place, stream))
        self._arm()
        try:
            stream.task.park(_TIME, None)
        finally:
            stream.place = 0  # so that an abandoned task is not woken again

    def _arm(self) -> None:
        if self._due:
            at, place, _ = self._due[0]
            if place not in self._armed:
                self._armed[place] = self._runtime.env.alarm_at(at, place, self._wake)

    def _wake(self) -> None:
        due = self._due
        place, stream = due[0][1:]
        del self._armed[place]
        if stream.place != place:
            heappop(due)
        elif self._skip or not self._work_ahead(stream):
            heappop(due)
            self._arm()  # before the stream runs: it may let time pass at once where nothing seems to be due
            stream.task.go_on()
        self._arm()

    def _work_ahead(self, first: Stream) -> bool:
        """Work out what the streams do up to the next event of anybody else; returns whether that was worth it."""
        env, now = self._runtime.env, self._runtime.now()
        for alarm in self._armed.values():
            alarm.cancel()
        self._armed.clear()
        next_at = env.next_at()
        bound = min(self._runtime.horizon_ns + 1, now + _MOST * first.load.cycle_ns // len(self._due))
        if next_at is not None:
            bound = min(bound, next_at)
        least_ns = _WORTH * first.load.cycle_ns
        if (bound - now) * len(self._due) < least_ns:
            if not self._outside:  # else it may be them who are due so soon
                self._put_off()
            return False
        paces: dict[PacedLoad, Pace | None] = {}
        taken, left = [], []
        for entry in self._due:
            stream = entry[2]
            load = stream.load
            if load not in paces:
                paces[load] = load.pace()
            pace = paces[load]
            if pace is not None and stream.place == entry[1] and _fits(pace, stream.write):
                taken.append((*entry, pace))
            else:
                bound = min(bound, entry[0])
                left.append(entry)
        if (bound - now) * len(taken) < least_ns:
            self._put_off()
            return False
        self._skip_next = _WORTH
        batch = self._make_batch(env, self._recorder, bound, taken)
        self.batched += batch.work()
        self._due = left + batch.pending()
        heapify(self._due)
        return True

    def _put_off(self) -> None:
        """Try it again only after some pauses, more of them each time in a row."""
        self._skip, self._skip_next = self._skip_next, min(2 * self._skip_next, _SKIP_MOST)


def _fits(pace: Pace, write: Write) -> bool:
    if write.phase == OVER:
        return True
    return write.phase in (ARRIVE, RETURN) and pace.fits(write)


class ForegroundLoad(StreamLoad):
    """A workload on one attachment of a simulated backend; `XX"""

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        path: WritePath,
        lane: Lane,
        spec: LoadSpec,
        source: random.Random,
        name: str,
    ) -> None:
        self._path = path
        self._lane = lane
        self._virtual = runtime
        self.has_pauses = spec.think_ns > 0
        self._blocks = (min(spec.blocks, default=0), max(spec.blocks, default=0))
        self.cycle_ns = path.cycle_ns + spec.think_ns
        super().__init__(runtime, recorder, path.write, spec, source, name)

    def pace(self) -> Pace | None:
        """What the load's writes take until somebody else does something; None if that takes more than arithmetic."""
        if self._stopping:
            return None
        pace = self._path.pace()
        first, last = self._blocks
        return pace if pace is not None and first >= 0 and (last + 1) * BLOCK <= pace.held.bytes else None

    def _run(self, blocks: list[int], rng: random.Random) -> None:
        path, lane = self._path, self._lane
        stream = Stream(self, self._virtual.blocking_task(self), _draws(blocks, rng, self._think_ns).__next__)
        write = stream.write
        try:
            while True:
                if write.phase == OVER:
                    if self._stopping:
                        return
                    block, stream.think_ns = stream.draw()
                    path.issue(write, block, self._recorder.next_stamp())
                pause_ns = path.advance(write)
                if write.phase == OVER:
                    pause_ns = stream.think_ns
                if pause_ns:
                    lane.pause(stream, pause_ns)
        finally:
            path.drop(write)


def _draws(blocks: list[int], rng: random.Random, think_ns: int) -> Iterator[tuple[int, int]]:
    """The block of each next write and the pause (ns) after it, as `StreamLoad` draws them."""
    count, draw, uniform = len(blocks), rng.getrandbits, rng.random
    bits = count.bit_length()
    while True:
        chosen = draw(bits)  # `choice` and `expovariate`, written out: they would take a third of a batch's time
        while chosen >= count:
            chosen = draw(bits)
        yield blocks[chosen], 1 + int(-log(1.0 - uniform()) * think_ns) if think_ns else 0
