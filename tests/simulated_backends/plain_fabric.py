"""The fabric worked out the plain way: at every change, every class is advanced and every link is filled anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush

from harness.runtime import SECOND
from harness.runtime.agenda import Agenda, Alarm

FINE = 1000
_TICKS_PER_BYTE = SECOND * FINE
"""A rate in thousandths of a byte a second times nanoseconds gives ticks."""


class Link:
    """One direction of a network port, or one side (reading, writing) of a disk; `capacity` in bytes a second.

    Change the capacity through `Fabric.set_capacity`.
    """

    __slots__ = ("capacity", "flows", "name", "used")

    def __init__(self, name: str, capacity: int) -> None:
        _check_capacity(name, capacity)
        self.name = name
        self.capacity = capacity
        self.flows = 0
        self.used = 0

    def __repr__(self) -> str:
        return f"Link({self.name!r}, {self.capacity})"


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
        members: _FlowClass,
    ) -> None:
        self._fabric = fabric
        self._members = members
        self._mark = members.served + size * _TICKS_PER_BYTE
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


class _FlowClass:
    """The flows over one path. They all run at one rate, so they share one service clock (`served`, in ticks)."""

    __slots__ = ("count", "ends", "path", "rate", "served", "since")

    def __init__(self, path: tuple[Link, ...], now: int) -> None:
        self.path = path
        self.since = now
        self.served = 0
        self.rate = 0
        self.count = 0
        self.ends: list[tuple[int, int, Flow]] = []

    def served_at(self, now: int) -> int:
        return self.served + self.rate * (now - self.since)

    def advance(self, now: int) -> None:
        self.served = self.served_at(now)
        self.since = now

    def next_end(self) -> int | None:
        """The time (ns) of the next flow's end at the present rate, rounded up; None if none will end."""
        while self.ends and self.ends[0][2].is_over:
            heappop(self.ends)
        if not self.ends:
            return None
        left = max(self.ends[0][0] - self.served, 0)
        if left == 0:
            return self.since
        return self.since + -(-left // self.rate) if self.rate else None


class Fabric:
    """Flows over links, on the event queue of a virtual runtime.

    Changes at one instant are answered by one new allocation at its end, or when somebody asks for what it decides, and
    one wake-up is set, for the next end. A class of flows lasts as long as flows over its path follow each other.
    """

    def __init__(self, env: Agenda) -> None:
        self._env = env
        self._classes: dict[tuple[Link, ...], _FlowClass] = {}
        self._number = 0
        self._stale = False
        self._wake_up: Alarm | None = None
        self._wake_at = 0

    def now(self) -> int:
        """The time in nanoseconds."""
        return int(self._env.now)

    def start(self, path: Path, size: int, on_end: Callable[[], None]) -> Flow:
        """Start a flow of `size` bytes; `on_end` is called, once, at its end, and must not block.

        Raises ValueError for a negative size, an empty path, or a link that occurs twice in it.
        """
        links = tuple(path)
        if size < 0:
            raise ValueError(f"a flow can't have {size} bytes")
        if not links or len(frozenset(links)) != len(links):
            raise ValueError("a path needs at least one link, each of them once")
        now = self.now()
        members = self._classes.get(links)
        if members is None:
            members = self._classes[links] = _FlowClass(links, now)
        members.advance(now)
        self._number += 1
        flow = Flow(self, self._number, links, size, on_end, members)
        members.count += 1
        heappush(members.ends, (flow._mark, flow.number, flow))
        self._changed()
        return flow

    def cancel(self, flow: Flow) -> None:
        """See `Flow.cancel`."""
        if not flow.is_over:
            self._close(flow, flow.moved())
            self._changed()

    def set_capacity(self, link: Link, capacity: int) -> None:
        """Give a link another capacity (bytes a second) from now on; 0 lets its flows stand still."""
        _check_capacity(link.name, capacity)
        link.capacity = capacity
        self._changed()

    def leftover(self, path: Path) -> int:
        """The bandwidth (bytes a second) that foreground I/O over `path` gets beside the flows.

        What the flows leave free, or the share that one more flow would be sure of where that is more. Foreground I/O
        is too little to slow the flows. 0 only where a link is down.
        """
        self.settle()
        return min(max(link.capacity - link.used, link.capacity // (link.flows + 1)) for link in path)

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

    def _changed(self) -> None:
        if not self._stale:
            self._stale = True
            self._env.alarm_last(self._replan)

    def _replan(self) -> None:
        self.settle()
        self._arm()

    def _allocate(self) -> None:
        """Max-min fair rates by progressive filling: the link with the least share fixes its flows, then the next."""
        self._stale = False
        now = self.now()
        for members in list(self._classes.values()):
            if members.count == 0:
                del self._classes[members.path]
                for link in members.path:  # those that no class crosses any more are not seen below
                    link.flows = link.used = 0
        free: dict[Link, int] = {}
        waiting: dict[Link, int] = {}
        open_classes = []
        for members in self._classes.values():
            members.advance(now)
            open_classes.append(members)
            for link in members.path:
                free[link] = link.capacity * FINE
                waiting[link] = waiting.get(link, 0) + members.count
        for link, count in waiting.items():
            link.flows = count
        while open_classes:
            share, tightest = min(
                ((free[link] // count, order) for order, (link, count) in enumerate(waiting.items()) if count),
            )
            bottleneck = list(waiting)[tightest]
            rest = []
            for members in open_classes:
                if bottleneck not in members.path:
                    rest.append(members)
                    continue
                members.rate = share
                for link in members.path:
                    free[link] -= share * members.count
                    waiting[link] -= members.count
            open_classes = rest
        for link, left in free.items():
            link.used = link.capacity - left // FINE

    def _close(self, flow: Flow, moved: int) -> None:
        flow._final = moved
        flow._members.count -= 1

    # ---- ends ------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        at = min((end for members in self._classes.values() if (end := members.next_end()) is not None), default=None)
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
        now = self.now()
        ended: list[Flow] = []
        for members in self._classes.values():
            members.advance(now)
            while members.ends and (members.ends[0][2].is_over or members.ends[0][0] <= members.served):
                flow = heappop(members.ends)[2]
                if not flow.is_over:
                    ended.append(flow)
        ended.sort(key=lambda flow: flow.number)
        for flow in ended:
            self._close(flow, flow.size)
        self._changed()
        for flow in ended:
            flow.on_end()


def _check_capacity(name: str, capacity: int) -> None:
    if capacity < 0:
        raise ValueError(f"link {name!r} can't have a capacity of {capacity} bytes a second")
