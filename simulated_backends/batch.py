"""Many foreground writes worked out at once, with the record that they would have got one by one.

While nothing else happens, a write is three events: issue, arrival at the disk, and return of the answer, which is
followed by the stream's pause and its next issue. Streams share nothing but the order of their events: it decides who
draws which jitter, stamp and place. So issues are worked out in their order, one entry of a heap for each stream, and
the order of all events is found afterwards by sorting.

Events at one instant keep the order in which they were scheduled, as on the agenda. Each event is scheduled by the one
before it in its stream, so the earlier scheduled is the one whose predecessor came first, and so on back to the events
that were on the agenda at the beginning of the batch, which have places there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cmp_to_key
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from harness.recorder import UNACKNOWLEDGED, Recorder
from harness.runtime.agenda import Agenda
from harness.storage import BLOCK
from simulated_backends.streams import Stream
from simulated_backends.writes import ARRIVE, OVER, RETURN, Pace, Write

Column = NDArray[np.int64]

_ARRIVE, _RETURN, _ISSUE = range(3)
_PHASES = {_ARRIVE: ARRIVE, _RETURN: RETURN, _ISSUE: OVER}
"""The phase of a write while that event is the next one of its stream."""

_Event = tuple[int, int, int]
"""What happens, to which write (its row in the batch), of which run."""


class _Run:
    """What one stream does in a batch. `root` is what was due first, `place` its place on the agenda."""

    __slots__ = ("_before", "course", "number", "pace", "place", "root", "stream")

    def __init__(
        self, number: int, stream: Stream, pace: Pace, place: int, before: Callable[[_Event, _Event], bool]
    ) -> None:
        self.number = number
        self.stream = stream
        self.pace = pace
        self.place = place
        self.root = {ARRIVE: _ARRIVE, RETURN: _RETURN}.get(stream.write.phase, _ISSUE)
        self.course = (number, stream.draw, pace.there_ns, pace.jitter, pace.jitter_ns, pace.back_ns)
        self._before = before

    def __lt__(self, other: _Run) -> bool:
        """Of two streams that issue at one instant: whether this one is first."""
        return self._before((_ISSUE, -1, self.number), (_ISSUE, -1, other.number))


class Batch:
    """The writes of several streams up to, and without, the instant `bound`.

    `entries` are the streams with the time (ns) and the place at which each is due, and the pace of its writes.
    """

    def __init__(
        self, env: Agenda, recorder: Recorder, bound: int, entries: Iterable[tuple[int, int, Stream, Pace]]
    ) -> None:
        self._env = env
        self._recorder = recorder
        self._bound = bound
        # a row is a write; those that were under way already come first
        self._issued: list[int] = []
        self._arrived: list[int] = []
        self._blocks: list[int] = []
        self._by: list[int] = []
        self._rows_before: list[int] = []  # of each row the one before it in its stream, once all are issued
        self._runs: list[_Run] = []
        self._heap: list[tuple[int, _Run]] = []
        self._pending: list[tuple[int, int, Stream]] = []
        under_way: list[Write] = []
        for number, (at, place, stream, pace) in enumerate(entries):
            run = _Run(number, stream, pace, place, self._before)
            self._runs.append(run)
            if run.root == _ISSUE:
                self._heap.append((at, run))
                continue
            arrived = at if run.root == _ARRIVE else at - pace.back_ns
            self._heap.append((arrived + pace.back_ns + stream.think_ns, run))
            self._issued.append(stream.write.sent_ns)
            self._arrived.append(arrived)
            self._blocks.append(stream.write.block)
            self._by.append(number)
            under_way.append(stream.write)
        self._old = len(under_way)
        self._old_rows = np.array([write.row for write in under_way], np.int64)
        self._old_stamps = np.array([write.stamp for write in under_way], np.int64)
        heapify(self._heap)

    def work(self) -> int:
        """Work it all out; returns how many writes were issued."""
        self._issue()
        count = len(self._issued)
        by = np.array(self._by, np.int64)
        issued, arrived = np.array(self._issued, np.int64), np.array(self._arrived, np.int64)
        returned = arrived + np.array([run.pace.back_ns for run in self._runs], np.int64)[by]
        times = np.concatenate((arrived, returned, issued))  # in the order of the events' numbers
        happened = times < self._bound
        happened[2 * count : 2 * count + self._old] = False
        for row in range(self._old):
            if self._runs[self._by[row]].root == _RETURN:
                happened[row] = False
        order = self._in_order(times, np.flatnonzero(happened))
        self._env.pass_to(int(times[order[-1]]))

        places = np.full(3 * count, UNACKNOWLEDGED, np.int64)
        recorded = order[order >= count]
        if len(recorded):
            first = self._recorder.draw_places(len(recorded))
            places[recorded] = np.arange(first, first + len(recorded))
        stamps = self._old_stamps
        if count > self._old:
            first = self._recorder.draw_stamps(count - self._old)
            stamps = np.concatenate((stamps, np.arange(first, first + count - self._old)))
        blocks = np.array(self._blocks, np.int64)
        acknowledged = happened[count : 2 * count]
        paces = list(dict.fromkeys(run.pace for run in self._runs))
        whose = np.array([paces.index(run.pace) for run in self._runs], np.int64)[by]

        self._apply(paces, whose, order[order < count], arrived, blocks, stamps)
        rows = self._record(
            paces,
            whose,
            blocks,
            stamps,
            places[2 * count :],
            issued,
            places[count : 2 * count],
            np.where(acknowledged, returned, UNACKNOWLEDGED),
        )
        self._tell(paces, whose, times, happened)
        self._leave(rows, stamps, times, happened)
        return count - self._old

    def pending(self) -> list[tuple[int, int, Stream]]:
        """When and at which place each stream is due after the batch."""
        return self._pending

    # ---- the order of events ---------------------------------------------------------------------------------------

    def _issue(self) -> None:
        """Work out who issues when, and when the writes arrive."""
        heap, bound = self._heap, self._bound
        issued, arrived, blocks, by = (c.append for c in (self._issued, self._arrived, self._blocks, self._by))
        while True:
            now, run = heap[0]
            if now >= bound:
                return
            number, draw, there_ns, jitter, jitter_ns, back_ns = run.course
            block, think_ns = draw()
            at = now + there_ns + int(jitter() * jitter_ns)
            issued(now)
            arrived(at)
            blocks(block)
            by(number)
            heapreplace(heap, (at + back_ns + think_ns, run))

    def _in_order(self, times: Column, events: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those events in their order; an event's number is its kind times the number of writes plus its row."""
        order = events[np.argsort(times[events], kind="stable")]
        sorted_times = times[order]
        ties = np.flatnonzero(sorted_times[1:] == sorted_times[:-1]).tolist()
        if not ties:
            return order
        count = len(self._issued)
        self._rows_before = _rows_before(np.array(self._by, np.int64)).tolist()
        done = -1
        for tie in ties:
            if tie <= done:
                continue
            end = tie + 1
            while end < len(order) and sorted_times[end] == sorted_times[tie]:
                end += 1
            done = end - 1
            tied: list[_Event] = [(int(e) // count, int(e) % count, self._by[int(e) % count]) for e in order[tie:end]]
            tied.sort(key=cmp_to_key(self._compare_tied))
            order[tie:end] = [kind * count + row for kind, row, _ in tied]
        return order

    def _compare_tied(self, one: _Event, other: _Event) -> int:
        return -1 if self._before(one, other) else 1

    def _before(self, one: _Event, other: _Event) -> bool:
        """Of two different events at one instant: whether the first came first."""
        while True:
            if one[0] == other[0] == _ISSUE and one[1] >= 0 and other[1] >= 0:
                return one[1] < other[1]
            first, second = self._scheduled(one), self._scheduled(other)
            if first == second:
                return one[0] == _RETURN
            one, other = first, second
            if self._is_root(one) or self._is_root(other):
                if self._is_root(one) and self._is_root(other):
                    return self._runs[one[2]].place < self._runs[other[2]].place
                return self._is_root(one)
            one, other = self._cause(one), self._cause(other)
            if self._time(one) != self._time(other):
                return self._time(one) < self._time(other)

    def _scheduled(self, event: _Event) -> _Event:
        """The event as it was scheduled: an issue without a pause is part of the return before it."""
        kind, row, number = event
        if kind == _ISSUE and not self._runs[number].stream.pauses:
            before = self._row_before(row, number)
            return event if before < 0 else (_RETURN, before, number)
        return event

    def _is_root(self, event: _Event) -> bool:
        kind, row, number = event
        if kind == _ISSUE:
            return self._row_before(row, number) < 0
        return row < self._old and kind == self._runs[number].root

    def _cause(self, event: _Event) -> _Event:
        """The event before it in its stream, which scheduled it."""
        kind, row, number = event
        if kind == _ISSUE:
            return _RETURN, self._row_before(row, number), number
        return (_ISSUE if kind == _ARRIVE else _ARRIVE), row, number

    def _row_before(self, row: int, number: int) -> int:
        """The row of the run's write before that row, or before its issue to come (-1); -1 if there is none."""
        if self._rows_before and row >= 0:
            return self._rows_before[row]
        by = self._by
        row = len(by) - 1 if row < 0 else row - 1
        while row >= 0 and by[row] != number:
            row -= 1
        return row

    def _time(self, event: _Event) -> int:
        kind, row, number = event
        if kind == _ISSUE:
            return self._issued[row]
        return self._arrived[row] + (self._runs[number].pace.back_ns if kind == _RETURN else 0)

    # ---- effects ---------------------------------------------------------------------------------------------------

    def _apply(
        self,
        paces: list[Pace],
        whose: Column,
        order: NDArray[np.intp],
        arrived: Column,
        blocks: Column,
        stamps: Column,
    ) -> None:
        """Put what arrived, rows in their order, into the volumes and their write caches."""
        for held in dict.fromkeys(pace.held for pace in paces):
            mine = np.array([pace.held is held for pace in paces])
            rows = order if mine.all() else order[mine[whose[order]]]
            changed, by = blocks[rows].tolist(), stamps[rows].tolist()
            if held.crawls:
                end = int(self._env.now)
                for at, block, stamp in zip(arrived[rows].tolist(), changed, by, strict=True):
                    self._env.pass_to(at)  # those who crawl over the volume are where they are at that instant
                    held.write(block, stamp)
                self._env.pass_to(end)
            else:
                held.write_all(changed, by)
            room = -(-held.pool.figures.write_cache_bytes // BLOCK)
            if len(held.dirty) + len(changed) <= room:
                held.dirty.update(changed)
                continue
            for block in changed:
                if len(held.dirty) >= room:
                    break
                held.dirty.add(block)

    def _record(self, paces: list[Pace], whose: Column, blocks: Column, *columns: Column) -> Column:
        """Enter the writes into their volumes' records; returns each write's row there."""
        stamps, issued, issued_ns, acknowledged, acknowledged_ns = columns
        rows = np.concatenate((self._old_rows, np.zeros(len(blocks) - self._old, np.int64)))
        new = np.arange(len(blocks)) >= self._old
        for log in dict.fromkeys(pace.log for pace in paces):
            mine = new & np.array([pace.log is log for pace in paces])[whose]
            first = log.extend(
                *(
                    memoryview(column[mine])
                    for column in (blocks, stamps, issued, issued_ns, acknowledged, acknowledged_ns)
                )
            )
            rows[mine] = np.arange(first, first + np.count_nonzero(mine))
        for row in range(self._old):
            if acknowledged_ns[row] != UNACKNOWLEDGED:
                log = self._runs[self._by[row]].pace.log
                log.acknowledge_at(int(rows[row]), int(acknowledged_ns[row]), int(acknowledged[row]))
        return rows

    def _tell(self, paces: list[Pace], whose: Column, times: Column, happened: NDArray[np.bool_]) -> None:
        """Tell attachments how many writes are under way, and routes when they last heard of their backend."""
        count = len(whose)
        for number, pace in enumerate(paces):
            mine = whose == number
            returns = mine & happened[count : 2 * count]
            pace.passed(int(np.count_nonzero(mine[self._old :])) - int(np.count_nonzero(returns)))
            for heard in (times[:count][mine & happened[:count]], times[count : 2 * count][returns]):
                if len(heard):
                    pace.route.heard_at(int(heard.max()))

    def _leave(self, rows: Column, stamps: Column, times: Column, happened: NDArray[np.bool_]) -> None:
        """Leave each stream with what is due of it next, at a place on the agenda in the order of what scheduled it."""
        count = len(rows)
        last = dict(zip(self._by, range(count), strict=True))
        scheduled: list[tuple[_Event, int, Stream]] = []
        for issues_at, run in self._heap:
            row, stream = last.get(run.number, -1), run.stream
            if row < 0:
                self._pending.append((issues_at, run.place, stream))
                continue
            returned = int(times[count + row])
            if happened[count + row]:
                due, event = issues_at, _ISSUE
            elif happened[row] or (row < self._old and run.root == _RETURN):
                due, event = returned, _RETURN
            else:
                due, event = int(times[row]), _ARRIVE
            write = stream.write
            if row >= self._old:
                pace = run.pace
                write.block, write.stamp = self._blocks[row], int(stamps[row])
                write.row, write.sent_ns = int(rows[row]), self._issued[row]
                write.route, write.session, write.back_ns = pace.route, pace.route.session, pace.back_ns
                stream.think_ns = issues_at - returned
            elif event == run.root:
                self._pending.append((due, run.place, stream))
                continue
            write.phase = _PHASES[event]
            scheduled.append((self._cause((event, row if event != _ISSUE else -1, run.number)), due, stream))
        scheduled.sort(key=cmp_to_key(self._compare))
        for _, due, stream in scheduled:
            stream.place = self._env.draw_place()
            self._pending.append((due, stream.place, stream))

    def _compare(self, one: tuple[_Event, int, Stream], other: tuple[_Event, int, Stream]) -> int:
        early, late = self._time(one[0]), self._time(other[0])
        if early != late:
            return early - late
        return self._compare_tied(one[0], other[0])


def _rows_before(by: Column) -> Column:
    """Of each row the last one before it that is by the same run; -1 if there is none."""
    order = np.argsort(by, kind="stable")
    same = by[order[1:]] == by[order[:-1]]
    found = np.full(len(by), -1, np.int64)
    found[order[1:][same]] = order[:-1][same]
    return found
