"""The record of a run: control-plane events and columns of writes in one total order.

A place in the order is an integer; it is drawn before a write is issued and after it was acknowledged, so that under
the wall clock, too, a smaller place never means a later moment. The checker uses only places, never times.
"""

from __future__ import annotations

import _thread
import hashlib
import itertools
import json
import marshal
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

UNACKNOWLEDGED = -1
"""The acknowledgement place of a write that was not acknowledged."""


class Event(NamedTuple):
    """One control-plane event: its place in the order, its time (ns), its kind (`area.what`) and what belongs to it."""

    place: int
    at_ns: int
    kind: str
    fields: dict[str, Any]


class WriteLog:
    """The writes to one volume, as columns; a row is a write.

    Shapes: all columns have one entry a row. `blocks` in blocks from the volume's start, `stamps` unique in the run,
    `issued` and `acknowledged` places in the total order, `issued_ns` and `acknowledged_ns` times.
    """

    __slots__ = (
        "_guard",
        "_now",
        "_tick",
        "acknowledged",
        "acknowledged_ns",
        "blocks",
        "issued",
        "issued_ns",
        "stamps",
        "volume_id",
    )

    def __init__(self, volume_id: str, tick: Callable[[], int], now: Callable[[], int]) -> None:
        self.volume_id = volume_id
        self._tick = tick
        self._now = now
        self._guard = _thread.allocate_lock()  # a real lock under either clock; never held while switching
        self.blocks = array("q")
        self.stamps = array("q")
        self.issued = array("q")
        self.issued_ns = array("q")
        self.acknowledged = array("q")
        self.acknowledged_ns = array("q")

    def __len__(self) -> int:
        return len(self.stamps)

    def issue(self, block: int, stamp: int) -> int:
        """Note that a write was issued; returns its row. Safe between threads."""
        with self._guard:
            row = len(self.stamps)
            self.blocks.append(block)
            self.stamps.append(stamp)
            self.issued.append(self._tick())
            self.issued_ns.append(self._now())
            self.acknowledged.append(UNACKNOWLEDGED)
            self.acknowledged_ns.append(UNACKNOWLEDGED)
        return row

    def acknowledge(self, row: int) -> None:
        """Note that the write of that row was acknowledged."""
        self.acknowledge_at(row, self._now(), self._tick())

    def acknowledge_at(self, row: int, at_ns: int, place: int) -> None:
        """Note at what time and place the write of that row was acknowledged."""
        self.acknowledged_ns[row] = at_ns
        self.acknowledged[row] = place

    def extend(
        self,
        blocks: memoryview,
        stamps: memoryview,
        issued: memoryview,
        issued_ns: memoryview,
        acknowledged: memoryview,
        acknowledged_ns: memoryview,
    ) -> int:
        """Append many writes at once, columns of 64-bit integers of one length; returns the row of the first.

        Their places and stamps are drawn by `Recorder.draw_places` and `draw_stamps`.
        """
        with self._guard:
            row = len(self.stamps)
            self.blocks.frombytes(blocks.cast("B"))
            self.stamps.frombytes(stamps.cast("B"))
            self.issued.frombytes(issued.cast("B"))
            self.issued_ns.frombytes(issued_ns.cast("B"))
            self.acknowledged.frombytes(acknowledged.cast("B"))
            self.acknowledged_ns.frombytes(acknowledged_ns.cast("B"))
        return row


class Recorder:
    """Events and writes of one run.

    `tick` draws the next place in the total order, `next_stamp` a stamp that no other write of the run has; both are
    safe between threads.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._places = itertools.count(1)
        self._stamps = itertools.count(1)
        self.tick: Callable[[], int] = self._places.__next__
        self.next_stamp: Callable[[], int] = self._stamps.__next__
        self.events: list[Event] = []
        self._logs: dict[str, WriteLog] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def writes(self, volume_id: str) -> WriteLog:
        """The write log of that volume, made on first use."""
        log = self._logs.get(volume_id)
        if log is None:
            log = self._logs[volume_id] = WriteLog(volume_id, self.tick, self._now)
        return log

    def draw_places(self, count: int) -> int:
        """Draw that many places in a row, at least one; returns the first. Not for threads under the wall clock."""
        return _draw(self._places, count)

    def draw_stamps(self, count: int) -> int:
        """Draw that many stamps in a row, at least one; returns the first. Not for threads under the wall clock."""
        return _draw(self._stamps, count)

    def emit(self, kind: str, /, **fields: Any) -> Event:
        """Record an event (`area.what`, JSON-like fields) and tell those who listen; returns it."""
        event = Event(self.tick(), self._now(), kind, fields)
        self.events.append(event)
        if self._listeners:
            for listener in tuple(self._listeners):
                listener(event)
        return event

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with each event from now on, inside the task that emitted it; it must not block.

        Returns a function that ends it.
        """
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def find(self, kind: str, **fields: Any) -> list[Event]:
        """The events of that kind whose fields have these values, in order."""
        return [e for e in self.events if e.kind == kind and all(e.fields.get(k) == v for k, v in fields.items())]

    def digest(self) -> str:
        """SHA-256 over all events and write columns; equal digests mean equal runs. Taken once, at the end."""
        events = [(place, at_ns, kind, fields) for place, at_ns, kind, fields in self.events]
        sha = hashlib.sha256(_bytes_of(events))
        for volume_id in sorted(self._logs):
            log = self._logs[volume_id]
            sha.update(f"{volume_id} {len(log)}\n".encode())
            for column in (log.blocks, log.stamps, log.issued, log.issued_ns, log.acknowledged, log.acknowledged_ns):
                sha.update(column.tobytes())
        return sha.hexdigest()


def _bytes_of(events: list[tuple[int, int, str, dict[str, Any]]]) -> bytes:
    """Events as bytes, equal ones for equal events only; the order in which a dict was filled counts.

    Marshalling them takes a quarter of the time of JSON. Its first version has neither references nor interned texts,
    which would tell equal events apart, and every Python writes it alike. Where an event holds anything but plain data,
    all go through JSON and that thing by its `repr`, which tells a tuple no more from a list.
    """
    try:
        return marshal.dumps(events, 0)
    except ValueError:
        return json.dumps(events, default=repr).encode()


def _draw(source: itertools.count[int], count: int) -> int:
    first = next(source)
    deque(itertools.islice(source, count - 1), maxlen=0)
    return first
