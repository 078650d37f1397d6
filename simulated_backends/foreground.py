"""Foreground workloads as events without tasks: the same record as `harness.load.StreamLoad`, several times faster.

A stream of writes is a small state machine. The streams of one virtual clock share a heap of their own, in the clock's
order, and one alarm for its first entry. When that goes off, entries are worked off in one loop for as long as nothing
else on the clock is due before them: nobody could look in between, so what does not change (bandwidth left over,
content, gate) is looked up once for each load and loop. Every entry takes its place in the clock's order as the sleep
of a task would, so that the record of a run is the same event for event. This module is the attachment's other half and
knows its parts: what `SimulatedAttachment.write` does, a stream does here, step by step.
"""

from __future__ import annotations

import heapq
import random
from math import log as ln
from typing import TYPE_CHECKING, Any, cast

from simpy.events import NORMAL

from harness.recorder import UNACKNOWLEDGED
from harness.runtime.agenda import Alarm
from harness.runtime.virtual import VirtualRuntime, VirtualSignal
from harness.storage import BLOCK, ObjectUnknown
from harness.testbed import LoadSpec

if TYPE_CHECKING:
    from simulated_backends.attachment import SimulatedAttachment

_NEXT, _HELD, _APPLY, _REPLY, _ACKNOWLEDGE = range(5)
"""What a stream does when its entry is due; `_HELD`: it was held at the gate, which has opened."""


class _Stream:
    """One writer: what it is about to do, and the write that it has outstanding."""

    __slots__ = (
        "back",
        "bits",
        "block",
        "blocks",
        "count",
        "draw",
        "load",
        "over",
        "phase",
        "random",
        "row",
        "sent",
        "stamp",
    )

    def __init__(self, load: EventLoad, blocks: list[int], rng: random.Random, name: str) -> None:
        self.load = load
        self.blocks = blocks
        self.bits = len(blocks).bit_length()
        self.count = len(blocks)
        self.random = rng.random
        self.draw = rng.getrandbits
        self.over = load.lane.runtime.signal(name)
        self.phase = _NEXT
        self.block = self.stamp = self.row = self.sent = self.back = 0

    def __gt__(self, other: object) -> bool:
        """The alarm that stands for a stream's own entry is not due before it."""
        return False

    def wake_soon(self) -> None:
        """The gate has opened: go on at this instant, through the queue."""
        self.load.lane.add(self.load.lane.runtime.now(), self)


_Entry = tuple[int, int, int, _Stream]


class _Lane:
    """The streams of all loads on one virtual clock."""

    def __init__(self, runtime: VirtualRuntime) -> None:
        self.runtime = runtime
        self._env = runtime.env
        self._heap: list[Any] = []  # of _Entry
        self._alarms: dict[int, Alarm] = {}  # by the place of the entry that each stands for
        self._running = False
        self.turn = 0

    def add(self, at: int, stream: _Stream) -> None:
        """Let the stream go on at that time (ns), behind what is due then already."""
        entry: _Entry = (at, NORMAL, next(self._env._eid), stream)
        heapq.heappush(self._heap, entry)
        if not self._running and self._heap[0] is entry:
            self._arm()

    def _arm(self) -> None:
        if self._heap:
            at, priority, place, _ = self._heap[0]
            if place not in self._alarms:
                alarm = self._alarms[place] = Alarm(self._env, self._run)
                heapq.heappush(self._env._queue, (at, priority, place, alarm))

    def _run(self) -> None:
        """Work off the entries up to the next event of anybody else."""
        self._running = True
        self.turn += 1
        try:
            self._work_off()
        finally:
            self._running = False
        self._arm()

    def _work_off(self) -> None:
        turn = self.turn
        env, heap, alarms = self._env, self._heap, self._alarms
        queue = cast(list[Any], env._queue)
        horizon = self.runtime.horizon_ns
        heapreplace, draw_place = heapq.heapreplace, env._eid.__next__
        while heap:
            entry = heap[0]
            if (queue and queue[0] < entry) or entry[0] > horizon:
                return
            if alarms and (alarm := alarms.pop(entry[2], None)) is not None:
                alarm.cancel()
            now = env._now = entry[0]
            stream = entry[3]
            load = stream.load
            if load.turn != turn:
                load.look(turn)
            phase = stream.phase
            if phase == _APPLY:
                try:
                    load.apply(stream.block, stream.stamp)
                except Exception as error:
                    heapq.heappop(heap)
                    load.leave()
                    stream.over.fail(error)
                    continue
                stream.phase = _REPLY
                heapreplace(heap, (now + stream.back, NORMAL, draw_place(), stream))
                continue
            if phase == _REPLY and load.stalled_until and stream.sent <= load.stalled_from:
                stream.phase = _ACKNOWLEDGE
                if load.stalled_until > now:
                    heapreplace(heap, (load.stalled_until, NORMAL, draw_place(), stream))
                    continue
            if phase >= _REPLY:
                row = stream.row
                load.acknowledged_ns[row] = now
                load.acknowledged[row] = load.tick()
                gate, attachment = load.gate, load.attachment
                if gate.under_way > 1 and attachment._outstanding > 1:  # nobody waits for the last one yet
                    gate.under_way -= 1
                    attachment._outstanding -= 1
                else:
                    load.leave()
                if load.think_ns:
                    stream.phase = _NEXT
                    pause = 1 + int(-ln(1.0 - stream.random()) * load.think_ns)
                    heapreplace(heap, (now + pause, NORMAL, draw_place(), stream))
                    continue
            delay = load.go_on(stream, now)
            if delay:
                heapreplace(heap, (now + delay, NORMAL, draw_place(), stream))
            else:
                heapq.heappop(heap)


def _lane_of(runtime: VirtualRuntime) -> _Lane:
    lane = runtime.kept.get(_Lane)
    if lane is None:
        lane = runtime.kept[_Lane] = _Lane(runtime)
    return cast(_Lane, lane)


class EventLoad:
    """A workload on one attachment; implements `harness.testbed.Load`. Attributes are for the lane."""

    def __init__(self, attachment: SimulatedAttachment, spec: LoadSpec, source: random.Random, name: str) -> None:
        if not spec.blocks or spec.streams < 1:
            raise ValueError("a load needs at least one block and one stream")
        runtime, recorder, record = attachment._runtime, attachment._recorder, attachment._log
        self.lane = _lane_of(runtime)
        self.think_ns = spec.think_ns
        self.tick = recorder.tick
        self.turn = -1
        self.stalled_from = self.stalled_until = 0
        self.acknowledged, self.acknowledged_ns = record.acknowledged, record.acknowledged_ns
        self.attachment = attachment
        self.gate = attachment._gate
        self._next_stamp = recorder.next_stamp
        self._record = record
        self._columns = (
            record.blocks.append,
            record.stamps.append,
            record.issued.append,
            record.issued_ns.append,
            record.acknowledged.append,
            record.acknowledged_ns.append,
        )
        self._random = attachment._jitter.random
        self._there_ns = self._back_ns = self._jitter_ns = 0
        self._stopping = False
        self._streams: list[_Stream] = []
        streams = min(spec.streams, len(spec.blocks))
        for number in range(streams):
            rng = random.Random(source.getrandbits(64))
            stream = _Stream(self, list(spec.blocks[number::streams]), rng, f"{name} stream {number}")
            self._streams.append(stream)
            self.lane.add(runtime.now(), stream)

    def stop(self, within_ns: int | None = None) -> None:
        """See `harness.testbed.Load.stop`."""
        self._stopping = True
        for stream in self._streams:
            stream.over.wait(within_ns)

    def look(self, turn: int) -> None:
        """Look up what can't change before somebody else's event."""
        self.turn = turn
        attachment = self.attachment
        held = attachment._held
        self._usable = attachment.is_attached and not held.gone
        self._end = held.bytes // BLOCK
        self._opened = attachment._gate.opened
        self.apply = held.write
        self._there_ns = -1
        stall = attachment._stall
        self.stalled_from, self.stalled_until = stall if stall is not None else (0, 0)

    def go_on(self, stream: _Stream, now: int) -> int:
        """Issue the stream's next write and send it, or wait at the gate; nanoseconds until it is applied, or 0."""
        attachment = self.attachment
        if stream.phase == _HELD:
            self.gate.unhold()
        else:
            if self._stopping:
                stream.over.set(None)
                return 0
            count, draw = stream.count, stream.draw  # as Random.choice draws
            chosen = draw(stream.bits)
            while chosen >= count:
                chosen = draw(stream.bits)
            block = stream.block = stream.blocks[chosen]
            stamp = stream.stamp = self._next_stamp()
            if not self._usable or not 0 <= block < self._end:
                try:
                    attachment._check(block * BLOCK, BLOCK)
                except (ObjectUnknown, ValueError) as error:
                    stream.over.fail(error)
                    return 0
            attachment._outstanding += 1
            blocks, stamps, issued, issued_ns, acknowledged, acknowledged_ns = self._columns
            stream.row = len(self.acknowledged)
            blocks(block)
            stamps(stamp)
            issued(self.tick())
            issued_ns(now)
            acknowledged(UNACKNOWLEDGED)
            acknowledged_ns(UNACKNOWLEDGED)
        if self._opened is None:
            self.gate.under_way += 1
        else:
            opened = self.gate.enter_or_hold()
            stream.phase = _HELD
            cast(VirtualSignal[None], opened).add_waiter(stream)
            return 0
        if self._there_ns < 0:
            self._there_ns, self._back_ns, self._jitter_ns = attachment._delays()
        stream.phase = _APPLY
        stream.sent = now
        stream.back = self._back_ns
        return self._there_ns + int(self._random() * self._jitter_ns)

    def leave(self) -> None:
        """The outstanding write is over, acknowledged or not."""
        self.gate.leave()
        self.attachment._finished_one()
