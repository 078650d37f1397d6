"""The bulk transfer of a host's own copy, which reads and writes over the host's sessions."""

from __future__ import annotations

from collections.abc import Callable

from harness.runtime import Signal
from harness.runtime.virtual import VirtualRuntime
from harness.storage import BLOCK, ObjectUnknown, PoolFull, StorageError
from simulated_backends.content import Crawl
from simulated_backends.fabric import Fabric, Flow, Path
from simulated_backends.route import HostRoute
from simulated_backends.transfers import Obstacles
from simulated_backends.write_path import WritePath

_FEW_BLOCKS = 64
"""So many blocks are looked through first for the next that is stored."""


class MediumError(StorageError):
    """A block can't be read."""

    code = "medium-error"


class HostCopy:
    """The content of one volume on its way to another, between the ends of `source` and `target` over `path()`.

    It moves as one flow for as long as both sessions let everything through, the gate of the destination is open, and
    its backend does not suspend writes to it. Else what is under way is sent again once they do (see
    `HostRoute`), so that another flow goes on where the last one was. The same goes for volumes that come to another
    pool: the next flow takes the way to there.

    A live source is read block after block; what a host writes to the destination is overwritten only by what arrives
    later. What has arrived is put there when the copy stops, and when somebody is to read it (see `HeldObject.settle`);
    while somebody goes on reading the destination, or there may be no room for it, block after block. At a block
    without room the copy stops.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        fabric: Fabric,
        source: WritePath,
        target: WritePath,
        path: Callable[[], Path],
    ) -> None:
        self._runtime = runtime
        self._fabric = fabric
        self._ends = (source, target)
        self._source, self._target = source.held, target.held
        self._gate = target.gate
        self._path = path
        self._size = source.held.bytes
        self._name = f"host copy of {source.held.id} to {target.held.id} is over"
        self._before = 0
        self._landed = 0
        self._refusal: PoolFull | None = None
        self._read = Crawl(self.moved)
        self._overtaken = Crawl(self.moved)
        self._flow: Flow | None = None
        self._over: Signal[None] | None = None
        self._obstacles = Obstacles()

    def moved(self) -> int:
        """Whole bytes moved so far; never decreases."""
        return self._before if self._flow is None else self._before + self._flow.moved()

    def fail_at(self, position: int, reason: str, still: Callable[[], bool] | None = None) -> None:
        """Fail once `position` bytes are moved, unless that is past already, or `still` says then that it need not."""
        if self.moved() > position:
            return
        before = self._obstacles.next
        self._obstacles.add(position, reason, still)
        if self._obstacles.next != before:
            self._halt()

    def run(self) -> None:
        """Block until all bytes have arrived.

        Raises `MediumError` where it is to fail, `PathLost` once a route fails, `ObjectUnknown` once either volume is
        gone, `PoolFull` at a block that the destination has no room for. What had arrived then stays there.
        """
        source, target = self._source, self._target
        for held in (source, target):
            held.settle()  # other hosts' copies into them show from now on when a block arrives
        source.crawls.append(self._read)
        source.read_by(self.fail_at, is_job=False)
        target.crawls.append(self._overtaken)
        target.arriving.append(self)
        followed = (source.followers, target.followers)
        for followers in followed:
            followers.append(self._halt)
        try:
            with self._ends[0].busy(), self._ends[1].busy():
                while self.moved() < self._size:
                    self._check()
                    self._run_while_clear()
                self._check()
        finally:
            self._halt()
            for followers in followed:
                followers.remove(self._halt)
            target.arriving.remove(self)
            source.unread_by(self.fail_at)
            source.crawls = [crawl for crawl in source.crawls if crawl is not self._read]
            target.crawls = [crawl for crawl in target.crawls if crawl is not self._overtaken]

    def arrived(self) -> dict[int, int]:
        """See `Arriving.arrived`."""
        first, end = self._landed, self.moved() // BLOCK
        seen = self._read.seen(self._source.content.between(first, end), first, end)
        blocks = sorted({**self._target.content.between(first, end), **seen})
        return {block: seen.get(block, 0) for block in blocks if block not in self._overtaken.kept}

    def land(self) -> None:
        """See `Arriving.land`. The copy stops at a block without room.

        Another flow begins, since whoever asked may go on reading the destination.
        """
        if self._target.gone or self._refusal is not None:
            return
        arrived, self._landed = self.arrived(), self.moved() // BLOCK
        for block, stamp in arrived.items():
            try:
                self._target.check_room(block)
            except PoolFull as refusal:
                self._refusal = refusal
                break
            self._target.write(block, stamp)
        self._halt()

    def _check(self) -> None:
        for held in (self._source, self._target):
            if held.gone:
                raise ObjectUnknown(f"volume {held.id} is gone")
        if self._refusal is not None:
            raise self._refusal
        reason = self._obstacles.met(self.moved() + 1)
        if reason is not None:
            raise MediumError(reason)

    def _run_while_clear(self) -> None:
        sessions = [end.route.ready() for end in self._ends]
        routes = [end.route for end in self._ends]
        if self._target.suspension is not None:
            self._over = self._target.suspension.queue()  # a volume may go meanwhile
            routes[1].wait_with(sessions[1], self._over)
            return
        self._gate.enter()
        try:
            is_held = self._gate.holding or self._target.suspension is not None
            if not is_held and all(route.is_clear for route in routes):
                self._flow_until_halted(routes)
        finally:
            self._halt()
            self.land()
            self._gate.leave()

    def _flow_until_halted(self, routes: list[HostRoute]) -> None:
        over = self._over = self._runtime.signal(self._name)
        self._before, self._flow = self.moved(), None
        is_followed = self._is_followed
        ends_at = (self._obstacles.next, self._next_stored() if is_followed else None, self._size)
        end = min(end for end in ends_at if end is not None)
        self._flow = self._fabric.start(self._path(), end - self._before, lambda: over.set(None))

        def look() -> None:
            if not all(route.is_clear for route in routes):
                self._halt()

        def before_write(block: int, stamp: int) -> None:
            if not stamp:  # it may be the next that is stored
                self._halt()

        watched = (self._source, self._target) if is_followed else ()
        for held in watched:
            held.watchers.append(before_write)
        ends = [*(route.watch(look) for route in routes), self._gate.watch(self._halt)]
        try:
            over.wait()
        finally:
            for stop in ends:
                stop()
            for held in watched:
                held.watchers.remove(before_write)

    @property
    def _is_followed(self) -> bool:
        """Whether it matters at which instant each block arrives."""
        target = self._target
        if target.pool.is_full or target.kept is not None or target.changing is not None:
            return True
        return any(crawl is not self._overtaken for crawl in target.crawls)

    def _next_stored(self) -> int | None:
        """The end of the next block that either volume stores (bytes); None if there is none."""
        first, last, width = self.moved() // BLOCK, self._size // BLOCK, _FEW_BLOCKS
        while first < last:
            end = min(first + width, last)
            ahead = {**self._target.content.between(first, end), **self._source.content.between(first, end)}
            if ahead:
                return (min(ahead) + 1) * BLOCK
            first, width = end, 2 * width
        return None

    def _halt(self) -> None:
        """Let the flow that is under way end where it is."""
        if self._flow is not None:
            self._flow.cancel()
        if self._over is not None:
            self._over.set(None)
