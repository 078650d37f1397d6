"""How the writes of one attachment get to the disk and their answers back: through the gate, step by step."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.gate import WriteGate
from harness.recorder import Recorder
from harness.runtime import SECOND, Signal, Timer
from harness.runtime.virtual import VirtualRuntime
from harness.schedule import Fault
from harness.storage import BLOCK, ObjectUnknown, StorageError
from simulated_backends.cache_flush import CacheFlush
from simulated_backends.fabric import Fabric, Link, Path
from simulated_backends.host_links import HostLinks
from simulated_backends.pool import Pool
from simulated_backends.reply_faults import lateness
from simulated_backends.route import HostRoute
from simulated_backends.stored_object import HeldObject
from simulated_backends.writes import ACKNOWLEDGE, ARRIVE, AT_GATE, OVER, QUEUE, RETURN, SEND, Pace, Write

_BRIEF_NS = SECOND // 100
"""Bytes that take no longer are priced at the bandwidth of the instant at which they are sent."""


class WritePath:
    """The way of writes from one host to wherever the volume is at that moment.

    A write takes a round trip, the disk's service time with jitter, and the block's bytes at the bandwidth that bulk
    transfers leave over; it is applied once the disk has served it, and acknowledged half a round trip later. Where the
    backend's disk has a queue, it waits there for the single I/Os of all hosts that reached the disk before it, and
    keeps it busy no longer than the disk itself takes: what the ports take beyond that comes before. Where a fault
    leaves the ports next to nothing, the bytes are a flow on the fabric, for which the fault is over when it ends.

    A command whose session is lost under it is sent again on the next session; a write that was applied already is then
    applied once more, which changes nothing, since no other write to its block can be under way. While the backend
    suspends the volume's writes they wait where they arrive. What the backend refuses comes back as any answer does.

    `jitter` gives what the jitter of service times is drawn from; `call_later` is the host's clock, for its gate.
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
        jitter: Callable[[], random.Random],
        call_later: Callable[[int, Callable[[], None]], Timer],
    ) -> None:
        self.host = host
        self.held = held
        cache = CacheFlush(runtime, fabric, held, host, lambda: self.route)
        self.gate = WriteGate(runtime, recorder, held.id, host, cache.flush, call_later)
        self.is_attached = True
        """Whether `close` was not called yet."""
        self.outstanding = 0
        """How many writes are under way, those that wait at the gate included."""
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._links = links
        self._route_of = route_of
        self._routed_to: Pool | None = None
        self._last_route: HostRoute | None = None
        self._log = recorder.writes(held.id)
        self._jitter = jitter
        self._idle: Signal[None] | None = None
        self._stalls: list[tuple[int, int]] = []
        self.reply_faults: list[Fault] = []
        """Faults of answers that no write has met yet, in the order in which writes are to meet them."""

    def write(self, block: int, stamp: int, count: int = 1) -> None:
        """Carry one write of `count` blocks to its end. Blocks; raises as `SimulatedAttachment.write` does."""
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

    def close(self) -> None:
        """Take no more writes, and return once those under way are over, whoever else waits for that."""
        self.is_attached = False
        if self.outstanding:
            if self._idle is None:
                self._idle = self._runtime.signal(f"writes to {self.held.id} at {self.host} are acknowledged")
            self._idle.wait()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count the body as a write that is under way; `close` waits for it."""
        other = Write()
        other.phase = AT_GATE
        self.outstanding += 1
        try:
            yield
        finally:
            self.drop(other)

    def check(self, offset: int, length: int) -> None:
        """Raises `ObjectUnknown` once the volume is detached or deleted, ValueError for what is not whole blocks in it.

        `offset` and `length` in bytes.
        """
        if not self.is_attached:
            raise ObjectUnknown(f"{self.held.id} is not attached to {self.host} any more")
        if self.held.gone:
            raise ObjectUnknown(f"volume {self.held.id} is gone")
        if offset % BLOCK or length % BLOCK or offset < 0 or offset + length > self.held.bytes:
            raise ValueError(f"{length} bytes from byte {offset} are not whole blocks within {self.held.id}")

    def service_ns(self, path: Path, length: int) -> int:
        """What the disk takes for so many bytes over that path, drawn anew for each call (ns)."""
        figures = self.held.pool.figures
        bandwidth = max(1, self._fabric.leftover(path))
        jitter = int(self._jitter().random() * figures.service_jitter_ns)
        return figures.service_ns + jitter + length * SECOND // bandwidth

    def is_slow(self, path: Path, length: int) -> bool:
        """Whether a fault leaves so many bytes on that path for so long that it may well end before they are over."""
        bandwidth = max(1, self._fabric.leftover(path))
        return length * SECOND // bandwidth > _BRIEF_NS and self._fabric.is_narrowed(path)

    def cross(self, route: HostRoute, session: int, ports: Path, disk: Link, length: int) -> int:
        """Let bytes over ports; returns how much longer than at the disk behind them they take from now on (ns).

        Where that is slow it blocks, while they go over as a flow, so that they are faster once the ports are; they are
        on their way no more when the session is lost.
        """
        path = (*ports, disk)
        if self.is_slow(path, length):
            over: Signal[None] = self._runtime.signal(f"bytes of {self.held.id} crawl over ports")
            flow = self._fabric.start(ports, length, lambda: over.set(None))
            try:
                route.wait_with(session, over)
            finally:
                flow.cancel()
            return 0
        slowest, own = max(1, self._fabric.leftover(path)), max(1, self._fabric.leftover((disk,)))
        return length * SECOND // slowest - length * SECOND // own

    @property
    def route(self) -> HostRoute:
        """What carries the foreground I/O at this moment."""
        pool = self.held.pool
        if pool is not self._routed_to:
            self._routed_to, self._last_route = pool, self._route_of(self.host, pool.name)
        assert self._last_route is not None
        return self._last_route

    # ---- faults ----------------------------------------------------------------------------------------------------

    def stall(self, for_ns: int) -> None:
        """Leave the writes that are under way now unacknowledged for `for_ns` nanoseconds."""
        now = self._runtime.now()
        self._stalls = [(began_ns, end_ns) for began_ns, end_ns in self._stalls if end_ns > now]
        self._stalls.append((now, now + for_ns))

    def hit_reply(self, fault: Fault) -> None:
        """Let the acknowledgement of the next write be lost or late."""
        self.reply_faults.append(fault)

    # ---- a write, step by step -------------------------------------------------------------------------------------

    def issue(self, write: Write, block: int, stamp: int, count: int = 1) -> None:
        """Record a write and bring it through the gate. Blocks while the gate holds. Raises as `write` does."""
        self.check(block * BLOCK, count * BLOCK)
        write.block, write.stamp, write.count = block, stamp, count
        write.phase = AT_GATE
        self.outstanding += 1
        write.row = self._log.issue(block, stamp)
        for more in range(1, count):
            self._log.issue(block + more, stamp + more)
        self.gate.enter()
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
        if write.phase == QUEUE:
            return self._queue(write)
        return self._answer(write)

    def drop(self, write: Write) -> None:
        """Count a write as over, acknowledged or not. Harmless when it is."""
        phase, write.phase = write.phase, OVER
        if phase == OVER:
            return
        if phase != AT_GATE:
            self.gate.leave()
        self.outstanding -= 1
        if self.outstanding == 0 and self._idle is not None:
            self._idle.set(None)

    def pace(self) -> Pace | None:
        """What writes take from now on, until somebody else does something; None if one might block, fail or tarry."""
        held = self.held
        pool, route = held.pool, self._last_route
        if route is None or pool is not self._routed_to or not route.is_clear or pool.medium.queue is not None:
            return None
        if not self.is_attached or held.gone or self.gate.holding or self.reply_faults:
            return None
        if held.suspension is not None or held.moved_away is not None or pool.is_full or held.kept is not None:
            return None
        if held.watchers:  # a write may let a transfer fail
            return None
        figures = pool.figures
        half, rest = divmod(figures.round_trip_ns, 2)
        path = self._path_to(pool)
        there_ns = half + figures.service_ns + BLOCK * SECOND // max(1, self._fabric.leftover(path))
        if there_ns > _BRIEF_NS and self.is_slow(path, BLOCK):
            return None
        stalled_ns = self._stalls[-1][0] if self._stalls else -1
        if stalled_ns >= self._runtime.now():
            return None
        return Pace(
            there_ns,
            half + rest,
            self._jitter().random,
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
        figures = self.held.pool.figures
        return figures.round_trip_ns + figures.service_ns + figures.service_jitter_ns // 2

    def _passed(self, difference: int) -> None:
        self.outstanding += difference
        self.gate.note_passed(difference)

    def _send(self, write: Write) -> int:
        pool = self.held.pool
        half, rest = divmod(pool.figures.round_trip_ns, 2)
        path = self._path_to(pool)
        length = write.count * BLOCK
        write.route = self.route
        write.session = write.route.ready()
        write.back_ns = half + rest
        if pool.medium.queue is None:
            there_ns = self.service_ns(path, length)
            if there_ns <= _BRIEF_NS or not self.is_slow(path, length):
                write.phase = ARRIVE
                return half + there_ns
        write.phase = QUEUE
        *ports, disk = path
        return half + self.cross(write.route, write.session, ports, disk, length)

    def _queue(self, write: Write) -> int:
        assert write.route is not None
        if not write.route.carry(write.session):
            write.phase = SEND
            return 0
        medium = self.held.pool.medium
        write.phase = ARRIVE
        return medium.admit(self.service_ns((medium.disk_write,), write.count * BLOCK))

    def _arrive(self, write: Write) -> int:
        route = write.route
        assert route is not None
        if not route.carry(write.session):
            write.phase = SEND
            return 0
        if self.held.moved_away is not None:
            for more in range(write.count):
                self._move_away(write.block + more)
            if not route.carry(write.session):  # it may be lost by now, or the power
                write.phase = SEND
                return 0
        if self.held.suspension is not None:  # behind what takes time, so that nothing is applied meanwhile
            route.wait_with(write.session, self.held.suspension.queue())
            return 0  # it arrives anew: the session may be lost by now
        try:
            for more in range(write.count):
                self._apply(write.block + more, write.stamp + more)
        except StorageError as refusal:  # which travels back as any answer does
            write.refusal = refusal
        if self.reply_faults:
            self._suffer(self.reply_faults.pop(0), write, route)
        write.phase = RETURN
        return write.back_ns

    def _return(self, write: Write) -> int:
        assert write.route is not None
        if not write.route.carry(write.session):
            write.phase, write.refusal = SEND, None
            return 0
        return self._answer(write)

    def _answer(self, write: Write) -> int:
        if self._stalls and write.sent_ns <= self._stalls[-1][0]:
            stalled_ns = max(end_ns for began_ns, end_ns in self._stalls if write.sent_ns <= began_ns)
            if stalled_ns > self._runtime.now():
                write.phase = ACKNOWLEDGE
                return stalled_ns - self._runtime.now()
        if write.refusal is not None:
            raise write.refusal
        for more in range(write.count):
            self._log.acknowledge(write.row + more)
        self.drop(write)
        return 0

    def _suffer(self, fault: Fault, write: Write, route: HostRoute) -> None:
        self._recorder.emit("fault", fault=fault.kind, volume=self.held.id, host=self.host, for_ns=fault.for_ns)
        if fault.kind == "reply.lost":
            route.drop("an answer was lost", backend_knows=False)
        else:
            route.wait_with(write.session, lateness(self._runtime, fault))

    def _path_to(self, pool: Pool) -> Path:
        return (self._links.port_out, pool.medium.port_in, pool.medium.disk_write)

    def _apply(self, block: int, stamp: int) -> None:
        """Put an arrived block into the volume and its write cache; raises `PoolFull` without room."""
        held = self.held
        pool = held.pool
        if pool.is_full or held.kept is not None:
            held.check_room(block)
        held.write(block, stamp)
        if len(held.dirty) * BLOCK < pool.figures.write_cache_bytes:  # else the cache destages as fast as it is filled
            held.dirty.add(block)

    def _move_away(self, block: int) -> None:
        """The extra disk operation of the first write to a block after a copy-on-write snapshot.

        It has no effect where the power goes meanwhile.
        """
        held, pool = self.held, self.held.pool
        moved_away, outages = held.moved_away, pool.outages  # another snapshot or revert may come, or none be left
        if moved_away is None or block in moved_away or not held.is_in_snapshot(block):
            return
        medium = pool.medium
        self._runtime.sleep(medium.admit(self.service_ns((medium.disk_read, medium.disk_write), BLOCK)))
        if pool.outages == outages:
            moved_away.add(block)
