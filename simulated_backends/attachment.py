"""A volume as one host has it attached: foreground I/O through the write gate, on the simulated fabric."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.gate import WriteGate
from harness.load import StreamLoad
from harness.recorder import Recorder
from harness.runtime import SECOND, Expired, Signal
from harness.runtime.virtual import VirtualRuntime
from harness.schedule import Fault, random_source
from harness.storage import BLOCK, ObjectUnknown, PoolFull, StorageError
from harness.testbed import Attachment, Gate, LoadSpec
from simulated_backends.content import Crawl, runs, stored_bytes
from simulated_backends.fabric import Fabric, Link, Path
from simulated_backends.foreground import ForegroundLoad, Lane
from simulated_backends.route import HostRoute, PathLost
from simulated_backends.stored_object import HeldObject
from simulated_backends.writes import ACKNOWLEDGE, ARRIVE, AT_GATE, OVER, RETURN, SEND, Pace, Write

if TYPE_CHECKING:
    from simulated_backends.volume_store import SimulatedStore


@dataclass(frozen=True)
class HostLinks:
    """The two directions of a host's network port."""

    port_in: Link
    port_out: Link

    @classmethod
    def of(cls, host: str, bytes_per_s: int) -> HostLinks:
        """The links of a host, both of one capacity."""
        return cls(Link(f"{host} port in", bytes_per_s), Link(f"{host} port out", bytes_per_s))


class MediumError(StorageError):
    """A block can't be read."""

    code = "medium-error"


class SimulatedAttachment:
    """Implements `harness.testbed.Attachment`; foreground I/O goes wherever the volume is at that moment.

    A write takes a round trip, the disk's service time with jitter, and the block's bytes at the bandwidth that bulk
    transfers leave over; it is applied once it has reached the disk, and acknowledged half a round trip later. A
    command whose session is lost under it is sent again on the next session; a write that was applied already is then
    applied once more, which changes nothing, since no other write to its block can be under way.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        held: HeldObject,
        host: str,
        links: HostLinks,
        route_of: Callable[[str, str], HostRoute],
        lane: Lane,
        seed: int,
        number: int,
    ) -> None:
        self.volume_id = held.id
        self.host = host
        self._gate = WriteGate(runtime, recorder, held.id, host, self._flush)
        self.gate: Gate = self._gate
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._held = held
        self._links = links
        self._route_of = route_of
        self._lane = lane
        self._routed_to: SimulatedStore | None = None
        self._last_route: HostRoute | None = None
        self._log = recorder.writes(held.id)
        self._jitter = self._random(seed, number, "jitter")
        self._loads = self._random(seed, number, "load")
        self._attached = True
        self._outstanding = 0
        self._idle: Signal[None] | None = None
        self._stall: tuple[int, int] | None = None
        self._reply_faults: list[Fault] = []

    def write(self, block: int, stamp: int, count: int = 1) -> None:
        """See `harness.testbed.Attachment.write`; one command may write `count` blocks, see `Write`.

        Raises `ObjectUnknown` once the volume is detached or deleted, ValueError for a block beyond its end, `PathLost`
        once the host has given up waiting for its session, `PoolFull` in a thin pool without room for a new block.
        """
        self._runtime.checkpoint()
        write = Write()
        try:
            self.issue(write, block, stamp, count)
            while write.phase != OVER:
                pause_ns = self.advance(write)
                if pause_ns:
                    self._runtime.sleep(pause_ns)
        finally:
            self.drop(write)

    def read(self, offset: int, length: int) -> bytes:
        """See `harness.testbed.Attachment.read`. Raises ValueError for parts of blocks or beyond the volume's end,
        `MediumError` for a block that the medium has lost, `PathLost` as `write` does.
        """
        first, end = offset // BLOCK, (offset + length) // BLOCK
        seen = self.look(offset, length)
        return b"".join(stored_bytes(block, seen.get(block, 0)) for block in range(first, end))

    def look(self, offset: int, length: int) -> dict[int, int]:
        """As `read`, but shows the stamps of the blocks that are not zeros instead of making bytes of them."""
        self._runtime.checkpoint()
        self._check(offset, length)
        first, end = offset // BLOCK, (offset + length) // BLOCK
        while True:
            medium = self._held.store.medium
            path = (medium.disk_read, medium.port_out, self._links.port_in)
            half, rest = divmod(self._held.store.figures.round_trip_ns, 2)
            route = self.route
            session = route.ready()
            self._runtime.sleep(half + self._service_ns(path, length))
            if not route.carry(session):
                continue
            bad = sorted(block for block in self._held.bad if first <= block < end)
            if bad:
                raise MediumError(self._held.medium_error(bad[0]))
            seen = self._held.content.between(first, end)
            self._runtime.sleep(half + rest)
            if route.carry(session):
                return seen

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `harness.testbed.Attachment.extents`."""
        self._check(0, 0)
        for first, length in runs(self._held.content.image()):
            yield first * BLOCK, length * BLOCK

    def copy_to(self, destination: Attachment) -> None:
        """See `harness.testbed.Attachment.copy_to`; a live source is read block after block.

        Raises ValueError if the destination is smaller or of another testbed, `MediumError` at a block that could not
        be read. What had arrived then, or when the copying task was abandoned, stays at the destination.
        """
        self._runtime.checkpoint()
        self._check(0, 0)
        if not isinstance(destination, SimulatedAttachment):
            raise ValueError(f"{destination.volume_id} is not attached in this testbed")
        source, target = self._held, destination._held
        if target.size < source.size:
            raise ValueError(f"{target.id} has {target.size} GiB, too few for the {source.size} GiB of {source.id}")
        here, there = source.store.medium, target.store.medium
        path = (
            here.disk_read,
            here.port_out,
            self._links.port_in,
            destination._links.port_out,
            there.port_in,
            there.disk_write,
        )
        arrived = self._runtime.signal(f"host copy of {source.id} to {target.id} is over")
        bad = source.first_bad()
        length = source.bytes if bad is None else bad * BLOCK
        flow = self._fabric.start(path, length, lambda: arrived.set(None))
        crawl = Crawl(flow.moved)
        source.crawls.append(crawl)
        try:
            arrived.wait()
            if bad is not None:
                raise MediumError(source.medium_error(bad))
        finally:
            flow.cancel()
            source.crawls = [c for c in source.crawls if c is not crawl]
            end = flow.moved() // BLOCK
            seen = crawl.seen(source.content.between(0, end), 0, end)
            for block in sorted({**target.content.between(0, end), **seen}):
                target.write(block, seen.get(block, 0))

    def load(self, spec: LoadSpec) -> StreamLoad:
        """See `harness.testbed.Attachment.load`."""
        self._runtime.checkpoint()
        name = f"load on {self.volume_id} at {self.host}"
        return ForegroundLoad(self._runtime, self._recorder, self, self._lane, spec, self._loads, name)

    def detach(self) -> None:
        """See `harness.testbed.Attachment.detach`. Repeating it is harmless."""
        self._runtime.checkpoint()
        if not self._attached:
            return
        self._attached = False
        if self._outstanding:
            self._idle = self._runtime.signal(f"writes to {self.volume_id} at {self.host} are acknowledged")
            self._idle.wait()
        self._recorder.emit("attachment.closed", volume=self.volume_id, host=self.host)

    @property
    def is_attached(self) -> bool:
        """Whether `detach` was not called yet."""
        return self._attached

    def stall(self, for_ns: int) -> None:
        """Leave the writes that are under way now unacknowledged for `for_ns` nanoseconds (fault injection)."""
        now = self._runtime.now()
        self._stall = (now, now + for_ns)

    def hit_reply(self, fault: Fault) -> None:
        """Let the acknowledgement of the next write be lost or late (fault injection)."""
        self._reply_faults.append(fault)

    @property
    def route(self) -> HostRoute:
        """What carries the foreground I/O at this moment."""
        store = self._held.store
        if store is not self._routed_to:
            self._routed_to, self._last_route = store, self._route_of(self.host, store.name)
        assert self._last_route is not None
        return self._last_route

    # ---- a write, step by step -------------------------------------------------------------------------------------

    def issue(self, write: Write, block: int, stamp: int, count: int = 1) -> None:
        """Record a write and bring it through the gate. Blocks while the gate holds. Raises as `write` does."""
        self._check(block * BLOCK, count * BLOCK)
        write.block, write.stamp, write.count = block, stamp, count
        write.phase = AT_GATE
        self._outstanding += 1
        write.row = self._log.issue(block, stamp)
        for more in range(1, count):
            self._log.issue(block + more, stamp + more)
        self._gate.enter()
        write.phase = SEND
        write.sent_ns = self._runtime.now()

    def advance(self, write: Write) -> int:
        """Do what is due of a write that has passed the gate; returns the time to its next step (ns).

        Blocks only where the path is not healthy. Raises as `write` does.
        """
        if write.phase == SEND:  # once more for each session that is lost under the command
            return self._send(write)
        if write.phase == ARRIVE:
            return self._arrive(write)
        if write.phase == RETURN:
            return self._return(write)
        return self._acknowledge(write)

    def drop(self, write: Write) -> None:
        """Count a write as over, acknowledged or not. Harmless when it is."""
        phase, write.phase = write.phase, OVER
        if phase == OVER:
            return
        if phase != AT_GATE:
            self._gate.leave()
        self._outstanding -= 1
        if self._outstanding == 0 and self._idle is not None:
            self._idle.set(None)

    def pace(self) -> Pace | None:
        """What writes take from now on, until somebody else does something; None if one might block, fail or tarry."""
        held = self._held
        store, route = held.store, self._last_route
        if route is None or store is not self._routed_to or not route.is_clear:
            return None
        if not self._attached or held.gone or self._gate.holding or self._reply_faults:
            return None
        if held.moved_away is not None or (store.is_full and store.figures.is_thin):
            return None
        figures = store.figures
        half, rest = divmod(figures.round_trip_ns, 2)
        bandwidth = max(1, self._fabric.leftover(self._path_to(store)))
        there_ns = half + figures.service_ns + BLOCK * SECOND // bandwidth
        stalled_ns = -1 if self._stall is None else self._stall[0]
        if stalled_ns >= self._runtime.now():
            return None
        return Pace(
            there_ns,
            half + rest,
            self._jitter.random,
            figures.service_jitter_ns,
            stalled_ns,
            self._log,
            held,
            route,
            self._passed,
        )

    @property
    def cycle_ns(self) -> int:
        """About what a write takes (ns)."""
        figures = self._held.store.figures
        return figures.round_trip_ns + figures.service_ns + figures.service_jitter_ns // 2

    def _passed(self, difference: int) -> None:
        self._outstanding += difference
        self._gate.note_passed(difference)

    def _send(self, write: Write) -> int:
        store = self._held.store
        half, rest = divmod(store.figures.round_trip_ns, 2)
        path = self._path_to(store)
        write.route = self.route
        write.session = write.route.ready()
        write.back_ns = half + rest
        write.phase = ARRIVE
        return half + self._service_ns(path, write.count * BLOCK)

    def _arrive(self, write: Write) -> int:
        route = write.route
        assert route is not None
        if not route.carry(write.session):
            write.phase = SEND
            return 0
        if self._held.moved_away is not None:
            for more in range(write.count):
                self._move_away(write.block + more, self._held.moved_away)
        for more in range(write.count):
            self._apply(write.block + more, write.stamp + more)
        if self._reply_faults:
            self._suffer(self._reply_faults.pop(0), route)
        write.phase = RETURN
        return write.back_ns

    def _return(self, write: Write) -> int:
        assert write.route is not None
        if not write.route.carry(write.session):
            write.phase = SEND
            return 0
        if self._stall is not None and write.sent_ns <= self._stall[0]:
            write.phase = ACKNOWLEDGE
            return max(0, self._stall[1] - self._runtime.now())
        return self._acknowledge(write)

    def _acknowledge(self, write: Write) -> int:
        for more in range(write.count):
            self._log.acknowledge(write.row + more)
        self.drop(write)
        return 0

    def _suffer(self, fault: Fault, route: HostRoute) -> None:
        self._recorder.emit("fault", fault=fault.kind, volume=self.volume_id, host=self.host, for_ns=fault.for_ns)
        if fault.kind == "reply.lost":
            route.drop("an answer was lost", backend_knows=False)
        else:
            self._runtime.sleep(fault.for_ns)

    def _path_to(self, store: SimulatedStore) -> Path:
        return (self._links.port_out, store.medium.port_in, store.medium.disk_write)

    def _service_ns(self, path: Path, length: int) -> int:
        figures = self._held.store.figures
        bandwidth = max(1, self._fabric.leftover(path))
        jitter = int(self._jitter.random() * figures.service_jitter_ns)
        return figures.service_ns + jitter + length * SECOND // bandwidth

    def _apply(self, block: int, stamp: int) -> None:
        """Put an arrived block into the volume and its write cache; raises `PoolFull` in a thin pool without room."""
        held = self._held
        store = held.store
        if store.is_full and store.figures.is_thin and not held.content.stamp(block):
            raise PoolFull(f"the pool of {store.name} is full: no room for block {block} of {self.volume_id}")
        held.write(block, stamp)
        if len(held.dirty) * BLOCK < store.figures.write_cache_bytes:  # else the cache destages as fast as it is filled
            held.dirty.add(block)

    def _move_away(self, block: int, moved_away: set[int]) -> None:
        """The extra disk operation of the first write to a block after a copy-on-write snapshot."""
        if block not in moved_away:
            moved_away.add(block)
            medium = self._held.store.medium
            self._runtime.sleep(self._service_ns((medium.disk_read, medium.disk_write), BLOCK))

    def _flush(self) -> None:
        """SYNCHRONIZE CACHE, or COMMIT: what is in the volume's write cache goes to the disk at the disk's rate.

        Raises `Expired` if the host has lost its session for good.
        """
        while True:
            held = self._held
            figures, disk = held.store.figures, (held.store.medium.disk_write,)
            route = self.route
            try:
                session = route.ready()
            except PathLost as error:
                raise Expired(str(error)) from None
            bandwidth = max(1, self._fabric.leftover(disk))
            dirty = len(held.dirty)
            self._runtime.sleep(figures.round_trip_ns + figures.service_ns + dirty * BLOCK * SECOND // bandwidth)
            if route.carry(session):
                held.dirty.clear()
                return

    def _check(self, offset: int, length: int) -> None:
        if not self._attached:
            raise ObjectUnknown(f"{self.volume_id} is not attached to {self.host} any more")
        if self._held.gone:
            raise ObjectUnknown(f"volume {self.volume_id} is gone")
        if offset % BLOCK or length % BLOCK or offset < 0 or offset + length > self._held.bytes:
            raise ValueError(f"{length} bytes from byte {offset} are not whole blocks within {self.volume_id}")

    def _random(self, seed: int, number: int, name: str) -> random.Random:
        return random_source(seed, name, self.volume_id, self.host, str(number))
