"""Max-min fair rates in thousandths of a byte a second, worked out again only where a change can be felt.

The rule is progressive filling: the link with the least share (free capacity divided by the flows that still wait,
rounded down) fixes its flows, then the next; of equal shares the link counts whose first class is the oldest.

A link with at least a thousandth of a byte a second to spare for each of its flows can't have had the least share, nor
an equal one, at any step: had it, what its flows got afterwards would have left less than that. So such a *slack* link
may be left out, and classes that meet on slack links only don't feel each other. A change is answered by filling the
tight links that hang together with it; afterwards the slack links that it reached are checked, and if one has become
tight it joins and the filling is done again.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace
from typing import Any, Generic, Protocol, TypeVar

FINE = 1000
"""Rates are in this many parts of a byte a second; without them, a thin share would lose too much to rounding."""

_PATIENCE = 3
"""After so many fillings for one change, all links that hang together join, so that there is an end."""


class Ending(Protocol):
    """A flow, as far as its class has to know it."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, so that its end is none to wait for."""


F = TypeVar("F", bound=Ending)


class Link:
    """One direction of a network port, or one side (reading, writing) of a disk; `capacity` in bytes a second.

    Change the capacity through `Fabric.set_capacity`; `whole` is the one that it was made with. `flows` counts the
    flows over the link. `room` is what they leave, less one for each of them, in the unit of rates: the link is slack
    if it is not negative.
    """

    __slots__ = ("capacity", "crossing", "flows", "free", "mark", "name", "room", "tight", "waiting", "whole")

    def __init__(self, name: str, capacity: int) -> None:
        check_capacity(name, capacity)
        self.name = name
        self.capacity = self.whole = capacity
        self.flows = 0
        self.room = capacity * FINE
        self.crossing: dict[FlowClass[Any], None] = {}
        self.tight = False
        self.mark = self.free = self.waiting = 0  # of the filling under way

    @property
    def used(self) -> int:
        """What the flows get together, in bytes a second, rounded up."""
        return -((self.room + self.flows) // FINE - self.capacity)

    def resize(self, capacity: int) -> None:
        """Give the link another capacity."""
        self.room += (capacity - self.capacity) * FINE
        self.capacity = capacity

    def __repr__(self) -> str:
        return f"Link({self.name!r}, {self.capacity})"


class FlowClass(Generic[F]):
    """The flows over one path. They all run at one rate, so they share one service clock (`served`, in ticks).

    `number` orders the classes by age. `ends` is a heap of (service at the end, flow number, flow), `rate` is in the
    fine unit; `due` is the time (ns) of the next end at the present rate, None if none will end. `allotted` is how many
    flows the rate was worked out for.
    """

    __slots__ = ("allotted", "count", "due", "ends", "fixed", "mark", "number", "path", "rate", "served", "since")

    def __init__(self, number: int, path: tuple[Link, ...], now: int) -> None:
        self.number = number
        self.path = path
        self.since = now
        self.served = 0
        self.rate = 0
        self.count = 0
        self.ends: list[tuple[int, int, F]] = []
        self.due: int | None = None
        self.allotted = 0
        self.mark = self.fixed = 0  # of the filling under way
        for link in path:
            link.crossing[self] = None

    def served_at(self, now: int) -> int:
        """The service, in ticks, that each flow of the class has had by `now` since the class began."""
        return self.served + self.rate * (now - self.since)

    def add(self) -> None:
        """Count one more flow."""
        self.count += 1
        for link in self.path:
            link.flows += 1
            link.room -= self.rate + 1

    def drop(self) -> None:
        """Count one flow less. A class that is left without flows may get another at the same instant."""
        self.count -= 1
        for link in self.path:
            link.flows -= 1
            link.room += self.rate + 1

    def leave(self) -> None:
        """Leave the links; for a class that stayed without flows."""
        for link in self.path:
            del link.crossing[self]

    def next_end(self, now: int) -> int | None:
        """The time (ns) of the next flow's end at the present rate, rounded up; None if none will end."""
        ends = self.ends
        while ends and ends[0][2].is_over:
            heappop(ends)
        if not ends:
            return None
        left = ends[0][0] - self.served
        if left <= self.rate * (now - self.since):
            return now
        return self.since + -(-left // self.rate) if self.rate else None


class Allocation:
    """The rates of the classes over all links of one fabric."""

    def __init__(self) -> None:
        self._epoch = 0

    def update(
        self, classes: dict[FlowClass[Any], None], links: dict[Link, None], now: int
    ) -> dict[FlowClass[Any], None]:
        """Give every class its rate after `classes` and the capacities or classes of `links` have changed.

        Returns the classes whose rate changed; their service clocks stand at `now` then.
        """
        changed: dict[FlowClass[Any], None] = {}
        start = list(links)
        for members in classes:
            if members.count and not any(link.tight for link in members.path):
                min(members.path, key=lambda link: link.capacity // link.flows).tight = True
            start += members.path
        start = [link for link in dict.fromkeys(start) if _joins(link)]
        rounds = 0
        while start:
            rounds += 1
            if rounds > _PATIENCE:
                start = _all_that_hang_together(start)
            component, members_of = self._component(start)
            self._fill(component)
            suspects = [link for members in classes for link in members.path] if rounds == 1 else []
            for members in members_of:
                share = members.fixed
                if share != members.rate:
                    gain = (share - members.rate) * members.count
                    for link in members.path:
                        room = link.room = link.room - gain
                        if room < 0 and not link.tight:
                            suspects.append(link)
                    members.served += members.rate * (now - members.since)
                    members.since = now
                    members.rate = share
                    changed[members] = None
            start = [link for link in dict.fromkeys(suspects) if not link.tight and _joins(link)]
            for link in component:
                link.tight = link.room < 0
        return changed

    def _component(self, start: Iterable[Link]) -> tuple[list[Link], list[FlowClass[Any]]]:
        """The tight links that hang together with those of `start`, and the classes over them."""
        self._epoch += 1
        epoch = self._epoch
        links = []
        for link in start:
            link.mark = epoch
            links.append(link)
        classes = []
        for link in links:  # grows while it is gone through
            for members in link.crossing:
                if members.mark != epoch:
                    members.mark = epoch
                    members.fixed = -1
                    classes.append(members)
                    for other in members.path:
                        if other.tight and other.mark != epoch:
                            other.mark = epoch
                            links.append(other)
        return links, classes

    def _fill(self, links: list[Link]) -> None:
        """Set `fixed` of the classes over `links` to their rates.

        Shares never fall while links are filled, so a share in the heap is at most the true one: if it is still true
        when it comes out, it is the least.
        """
        epoch = self._epoch
        if len(links) == 1:
            share = links[0].capacity * FINE // links[0].flows
            for members in links[0].crossing:
                members.fixed = share
            return
        heap = []
        for link in links:
            link.free, link.waiting = link.capacity * FINE, link.flows
            oldest = next(iter(link.crossing))
            heap.append((link.free // link.flows, oldest.number, oldest.path.index(link), link))
        heapify(heap)
        while heap:
            share, age, position, link = heap[0]
            if not link.waiting:
                heappop(heap)
                continue
            true_share = link.free // link.waiting
            if true_share != share:
                heapreplace(heap, (true_share, age, position, link))
                continue
            heappop(heap)
            for members in link.crossing:
                if members.fixed < 0:
                    members.fixed = share
                    count = members.count
                    for other in members.path:
                        if other.mark == epoch:
                            other.free -= share * count
                            other.waiting -= count


def _joins(link: Link) -> bool:
    """Whether the link has to be filled; makes it tight then."""
    if not link.crossing:
        link.tight = False
    elif not link.tight and link.room < 0:
        link.tight = True
    return link.tight


def _all_that_hang_together(start: Iterable[Link]) -> list[Link]:
    """The links that hang together with `start`, over slack links too; they all count as tight from now on."""
    links = dict.fromkeys(start)
    queue = list(links)
    for link in queue:  # grows while it is gone through
        link.tight = True
        for members in link.crossing:
            for other in members.path:
                if other not in links:
                    links[other] = None
                    queue.append(other)
    return queue


def check_capacity(name: str, capacity: int) -> None:
    """Raises ValueError for a negative capacity."""
    if capacity < 0:
        raise ValueError(f"link {name!r} can't have a capacity of {capacity} bytes a second")
