"""The event queue of the virtual clock: SimPy's, in integer nanoseconds, with calls that can be cancelled."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, cast

import simpy
from simpy.events import NORMAL, EventPriority

_COMPACT_FROM = 64
"""From so many cancelled alarms on, the queue is swept once they are the larger half of it."""

_LAST = cast(EventPriority, NORMAL + 1)
"""The priority of what waits for the rest of its instant."""


class Alarm(simpy.Event):
    """A call at an instant, cancellable; the cheapest event that the queue can hold."""

    def __init__(self, env: Agenda, action: Callable[[], None]) -> None:
        # Event.__init__ is left out on purpose: an alarm has one action and no list of callbacks.
        self.env: Agenda = env
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: object) -> bool:
        """Two alarms share a place only if one of them was cancelled and set again: their order does not matter."""
        return False

    def cancel(self) -> None:
        """Make sure that the call does not happen any more."""
        if self.action is not None:
            self.action = None
            self.env.forget_one()


class Agenda(simpy.Environment):
    """The event queue. Cancelled alarms neither pass time nor pile up; errors of events are raised as they are."""

    def __init__(self) -> None:
        super().__init__(0)
        self._stale = 0

    def alarm(self, ns: int, action: Callable[[], None]) -> Alarm:
        """Call `action` in the hub after `ns` nanoseconds, behind what is due then already."""
        alarm = Alarm(self, action)
        heapq.heappush(self._queue, (self._now + ns, NORMAL, next(self._eid), alarm))
        return alarm

    def alarm_last(self, action: Callable[[], None]) -> Alarm:
        """Call `action` in the hub at this instant, behind all that is due at it, even what comes to be due there only
        later."""
        alarm = Alarm(self, action)
        heapq.heappush(self._queue, (self._now, _LAST, next(self._eid), alarm))
        return alarm

    def draw_place(self) -> int:
        """The next place behind everything that is due at the same instant already; for `alarm_at`."""
        return next(self._eid)

    def alarm_at(self, at: int, place: int, action: Callable[[], None]) -> Alarm:
        """Call `action` in the hub at that instant (ns), at a place that was drawn before.

        So one alarm can stand for several pauses, each of which keeps the place that it would have had by itself.
        """
        alarm = Alarm(self, action)
        heapq.heappush(self._queue, (at, NORMAL, place, alarm))
        return alarm

    def pass_to(self, at: int) -> None:
        """Let time pass to an instant (ns) before which nothing is due."""
        self._now = at

    def forget_one(self) -> None:
        """Note that an alarm in the queue was cancelled; sweeps the queue once most of it is."""
        self._stale += 1
        if self._stale > _COMPACT_FROM and self._stale * 2 > len(self._queue):
            self._queue[:] = [entry for entry in self._queue if not _is_stale(entry[3])]
            heapq.heapify(self._queue)
            self._stale = 0

    def due_ns(self, alarm: Alarm) -> int:
        """When a pending alarm is due (ns). Takes time in proportion to the queue. Raises `LookupError` for another."""
        for at, _, _, event in self._queue:
            if event is alarm and alarm.action is not None:
                return cast(int, at)
        raise LookupError(f"{alarm!r} is not pending")

    def next_at(self) -> int | None:
        """When the next event is due (ns), or None if nothing is scheduled.

        Raises `TypeError` for a time that is not a whole number: ties would be broken by rounding.
        """
        queue = self._queue
        while queue:
            at, _, _, event = queue[0]
            if event.__class__ is Alarm and event.action is None:  # `_is_stale`, written out: it is asked at each step
                heapq.heappop(queue)
                self._stale -= 1
                continue
            if type(at) is not int:
                raise TypeError(f"{event!r} is due at {at!r}; times must be integer nanoseconds")
            return at
        return None

    def step(self) -> None:
        """Process the next event. A failed event raises its own error, where SimPy would build a copy of it."""
        self._now, _, _, event = heapq.heappop(self._queue)
        if event.__class__ is Alarm:
            action, event.action = event.action, None
            if action is not None:
                action()
            else:
                self._stale -= 1
            return
        callbacks, event.callbacks = event.callbacks, cast(Any, None)
        for callback in callbacks:
            callback(event)
        if not event.ok and not event.defused:
            raise cast(BaseException, event.value)


def _is_stale(event: simpy.Event) -> bool:
    return event.__class__ is Alarm and event.action is None
