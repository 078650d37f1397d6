"""The fabric: bulk transfers as flows over shared links, with max-min fair rates.

Something happens only when a flow starts, ends or is cancelled, or when a link's capacity changes. All arithmetic is
on integers: times in nanoseconds, rates in thousandths of a byte a second, service in ticks (a rate times a time; 10¹²
of them a byte), so that a run repeats exactly. Rounding a share down costs a link less than a thousandth of a byte a
second for each of its flows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush

from harness.runtime import SECOND
from harness.runtime.agenda import Agenda, Alarm
from simulated_backends.max_min import FINE, Allocation, FlowClass, Link, check_capacity

__all__ = ["Fabric", "Flow", "Link", "Path"]

_TICKS_PER_BYTE = SECOND * FINE
"""A rate in its fine unit times nanoseconds gives ticks."""


Path = Sequence[Link]
"""The links that a flow crosses; their order does not matter, but none may occur twice."""


class Flow:
    """A transfer of `size` bytes over `path`; made by `Fabric.start`."""

    __slots__ = ("_fabric", "_final", "_mark", "_members", "number", "on_end", "path", "size")

    def __init__(
        self,
        fabric: Fabric,
        number: int,
        path: tuple[Link, ...],
        size: int,
        on_end: Callable[[], None],
        members: FlowClass[Flow],
    ) -> None:
        self._fabric = fabric
        self._members = members
        self._mark = members.served_at(fabric.now()) + size * _TICKS_PER_BYTE
        self._final: int | None = None
        self.number = number
        self.path = path
        self.size = size
        self.on_end = on_end

    @property
    def is_over(self) -> bool:
        """Whether the flow has ended or was cancelled."""
        return self._final is not None

    def moved(self) -> int:
        """Whole bytes moved so far; never decreases, and stands still once the flow is over."""
        if self._final is not None:
            return self._final
        left = self._mark - self._members.served_at(self._fabric.now())
        return min(self.size, self.size - -(-left // _TICKS_PER_BYTE)) if left > 0 else self.size

    def rate(self) -> int:
        """The flow's present rate in bytes a second."""
        self._fabric.settle()
        return 0 if self._final is not None else self._members.rate // FINE

    def cancel(self) -> None:
        """Stop the flow where it is; `on_end` is not called. Harmless when it is over."""
        self._fabric.cancel(self)


class Fabric:
    """Flows over links, on the event queue of a virtual runtime.

    Changes at one instant are answered by one new allocation at its end, or when somebody asks for what it decides, and
    one wake-up is set, for the next end. So a reader whose flows follow each other without a pause changes no rate.
    """

    def __init__(self, env: Agenda) -> None:
        self._env = env
        self._classes: dict[tuple[Link, ...], FlowClass[Flow]] = {}
        self._allocation = Allocation()
        self._number = 0
        self._stale = False
        self._changed_classes: dict[FlowClass[Flow], None] = {}
        self._changed_links: dict[Link, None] = {}
        self._watchers: list[Callable[[], None]] = []
        # a heap; entries that differ from their class's `due` are old
        self._due: list[tuple[int, int, FlowClass[Flow]]] = []
        self._wake_up: Alarm | None = None
        self._wake_at = 0

    def now(self) -> int:
        """The time in nanoseconds."""
        now: int = self._env._now  # type: ignore[assignment]  # an agenda's is never a float
        return now

    def start(self, path: Path, size: int, on_end: Callable[[], None]) -> Flow:
        """Start a flow of `size` bytes; `on_end` is called, once, at its end, and must not block.

        Raises ValueError for a negative size, an empty path, or a link that occurs twice in it.
        """
        links = tuple(path)
        if size < 0:
            raise ValueError(f"a flow can't have {size} bytes")
        now = self.now()
        members = self._classes.get(links)
        if members is None and (not links or len(frozenset(links)) != len(links)):
            raise ValueError("a path needs at least one link, each of them once")
        self._announce()
        if members is None:
            members = self._classes[links] = FlowClass(self._number, links, now)
        self._number += 1
        flow = Flow(self, self._number, links, size, on_end, members)
        members.add()
        heappush(members.ends, (flow._mark, flow.number, flow))
        if members.ends[0][2] is flow:
            self._expect(members, now)
        self._changed_classes[members] = None
        self._changed()
        return flow

    def cancel(self, flow: Flow) -> None:
        """See `Flow.cancel`."""
        if not flow.is_over:
            self._announce()
            self._close(flow, flow.moved())
            self._changed()

    def set_capacity(self, link: Link, capacity: int) -> None:
        """Give a link another capacity (bytes a second) from now on; 0 lets its flows stand still."""
        check_capacity(link.name, capacity)
        self._announce()
        link.resize(capacity)
        self._changed_links[link] = None
        self._changed()

    def nominal(self, link: Link) -> int:
        """The capacity that the link was given last (bytes a second), whatever else has a part of it."""
        return link.capacity

    def is_narrowed(self, path: Path) -> bool:
        """Whether a link of the path has less than the capacity that it was made with, as by a fault."""
        return any(self.nominal(link) < link.whole for link in path)

    def leftover(self, path: Path) -> int:
        """The bandwidth (bytes a second) that foreground I/O over `path` gets beside the flows.

        What the flows leave free of its nominal capacity, or the share that one more flow would be sure of where that
        is more: capacity that is kept from the flows for foreground I/O is no loss to it. It does not slow the flows by
        itself. 0 only where a link is down.
        """
        if self._stale:
            self._allocate()
        least = -1
        for link in path:
            here = self.nominal(link)
            if link.flows:
                here = max(here - link.used, here // (link.flows + 1))
            if least < 0 or here < least:
                least = here
        return least

    def before_change(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` at each instant at which rates or capacities change, before they do; it must not block."""
        self._watchers.append(watcher)

    def flows(self) -> Iterator[Flow]:
        """The flows under way, class by class."""
        for members in self._classes.values():
            for _, _, flow in sorted(members.ends, key=lambda entry: entry[1]):
                if not flow.is_over:
                    yield flow

    def settle(self) -> None:
        """Bring the rates up to date if something changed at this instant."""
        if self._stale:
            self._allocate()

    # ---- allocation ------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        if not self._stale:
            for watcher in self._watchers:
                watcher()

    def _changed(self) -> None:
        if not self._stale:
            self._stale = True
            self._env.alarm_last(self._replan)

    def _replan(self) -> None:
        self.settle()
        self._arm()

    def _allocate(self) -> None:
        self._stale = False
        now = self.now()
        touched, self._changed_classes = self._changed_classes, {}
        links, self._changed_links = self._changed_links, {}
        classes: dict[FlowClass[Flow], None] = {}
        for members in touched:
            if not members.count:
                del self._classes[members.path]
                members.leave()
                members.due = None
                links.update(dict.fromkeys(members.path))
            elif members.count != members.allotted:
                members.allotted = members.count
                classes[members] = None
        moved = self._allocation.update(classes, links, now) if classes or links else {}
        due = self._due
        for members in moved:  # `_expect`, of classes whose service clocks stand at `now`
            ends = members.ends
            while ends and ends[0][2]._final is not None:
                heappop(ends)
            at = None
            if ends:
                left, rate = ends[0][0] - members.served, members.rate
                if left <= 0:
                    at = now
                elif rate:
                    at = now - -left // rate
            if at != members.due:
                members.due = at
                if at is not None:
                    heappush(due, (at, members.number, members))
        for members in touched:
            if members.count and members not in moved:
                self._expect(members, now)

    def _close(self, flow: Flow, moved: int) -> None:
        flow._final = moved
        members = flow._members
        members.drop()
        self._changed_classes[members] = None

    # ---- ends ------------------------------------------------------------------------------------------------------

    def _expect(self, members: FlowClass[Flow], now: int) -> None:
        """Note when the class's next flow ends."""
        due = members.next_end(now)
        if due != members.due:
            members.due = due
            if due is not None:
                heappush(self._due, (due, members.number, members))

    def _next_due(self) -> int | None:
        """When the next flow of all ends (ns); drops the entries that are old."""
        due = self._due
        if len(due) > 4 * len(self._classes) + 64:
            due[:] = {(at, number, members): None for at, number, members in due if members.due == at}
            heapify(due)
        while due and due[0][0] != due[0][2].due:
            heappop(due)
        return due[0][0] if due else None

    def _arm(self) -> None:
        at = self._next_due()
        if self._wake_up is not None:
            if at == self._wake_at:
                return
            self._wake_up.cancel()
            self._wake_up = None
        if at is not None:
            self._wake_at = at
            self._wake_up = self._env.alarm(at - self.now(), self._wake)

    def _wake(self) -> None:
        self._wake_up = None
        self._announce()
        now = self.now()
        ended: list[Flow] = []
        while (at := self._next_due()) is not None and at <= now:
            members = heappop(self._due)[2]
            members.due = None
            served = members.served_at(now)
            while members.ends and (members.ends[0][2].is_over or members.ends[0][0] <= served):
                flow = heappop(members.ends)[2]
                if not flow.is_over:
                    ended.append(flow)
            self._changed_classes[members] = None
        ended.sort(key=lambda flow: flow.number)
        for flow in ended:
            self._close(flow, flow.size)
        self._changed()
        for flow in ended:
            flow.on_end()
