"""A volume as one host has it attached: foreground I/O through the write gate, on the simulated fabric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.load import StreamLoad
from harness.recorder import Recorder
from harness.runtime import Timer
from harness.runtime.virtual import VirtualRuntime
from harness.schedule import Fault, later_source
from harness.storage import BLOCK
from harness.testbed import Attachment, Gate, LoadSpec
from simulated_backends.content import runs, stored_bytes
from simulated_backends.fabric import Fabric, Path
from simulated_backends.foreground import ForegroundLoad, Lane
from simulated_backends.host_copy import HostCopy, MediumError
from simulated_backends.host_links import HostLinks
from simulated_backends.route import HostRoute
from simulated_backends.stored_object import HeldObject
from simulated_backends.write_path import WritePath
from simulated_backends.write_run import write_in_turn


class SimulatedAttachment:
    """Implements `harness.testbed.Attachment`; foreground I/O goes wherever the volume is at that moment.

    `writes` is the way that its writes take, `number` tells the attachments of one backend apart.
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
        call_later: Callable[[int, Callable[[], None]], Timer],
    ) -> None:
        self.volume_id = held.id
        self.host = host
        jitter = later_source(seed, "jitter", held.id, host, str(number))
        self.writes = WritePath(runtime, recorder, fabric, held, host, links, route_of, jitter, call_later)
        self.gate: Gate = self.writes.gate
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._held = held
        self._links = links
        self._lane = lane
        self._is_closed = False
        self._loads = later_source(seed, "load", held.id, host, str(number))

    def write(self, block: int, stamp: int, count: int = 1) -> None:
        """See `harness.testbed.Attachment.write`; one command may write `count` blocks, see `Write`.

        Raises `ObjectUnknown` once the volume is detached or deleted, ValueError for a block beyond its end, `PathLost`
        if the host can't log in or has given up waiting for its session, `PoolFull` if it takes a new block of a full
        pool.
        """
        self.writes.write(block, stamp, count)

    def write_each(self, blocks: Sequence[int]) -> None:
        """See `harness.load.WritesEach`. Raises as `write` does."""
        write_in_turn(self._runtime, self._recorder, self.writes, blocks)

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
        self.writes.check(offset, length)
        first, end = offset // BLOCK, (offset + length) // BLOCK
        while True:
            medium = self._held.pool.medium
            disk, ports = medium.disk_read, (medium.port_out, self._links.port_in)
            half, rest = divmod(self._held.pool.figures.round_trip_ns, 2)
            route = self.route
            session = route.ready()
            in_one = medium.queue is None and not self.writes.is_slow((disk, *ports), length)
            if in_one:
                self._runtime.sleep(half + self.writes.service_ns((disk, *ports), length))
            else:
                self._runtime.sleep(half)
                if not route.carry(session):
                    continue
                self._runtime.sleep(medium.admit(self.writes.service_ns((disk,), length)))
            if not route.carry(session):
                continue
            self._held.settle()
            bad = sorted(block for block in self._held.bad if first <= block < end)
            seen = self._held.content.between(first, end)
            back_ns = half + rest
            if not in_one:
                back_ns += self.writes.cross(route, session, ports, disk, length)
            self._runtime.sleep(back_ns)
            if not route.carry(session):
                continue
            if bad:
                raise MediumError(self._held.medium_error(bad[0]))
            return seen

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `harness.testbed.Attachment.extents`."""
        self.writes.check(0, 0)
        for first, length in runs(self._held.image()):
            yield first * BLOCK, length * BLOCK

    def copy_to(self, destination: Attachment) -> None:
        """See `harness.testbed.Attachment.copy_to`; a live source is read block after block.

        It goes over the host's sessions with both ends. Raises ValueError if the destination is smaller or of another
        testbed, `MediumError` at a block that can't be read when it gets there, `PathLost` as `write` does, `PoolFull`
        at a block that takes a new one of a full pool, or that the destination's snapshots would have to keep without
        room, `ObjectUnknown` once either volume is gone. What had arrived then, or when the copying task was abandoned,
        stays at the destination. Detaching either waits for the copy; the gate of the destination holds it up as it
        holds writes.
        """
        self._runtime.checkpoint()
        self.writes.check(0, 0)
        if not isinstance(destination, SimulatedAttachment):
            raise ValueError(f"{destination.volume_id} is not attached in this testbed")
        destination.writes.check(0, 0)
        source, target = self._held, destination._held
        if target.size < source.size:
            raise ValueError(f"{target.id} has {target.size} GiB, too few for the {source.size} GiB of {source.id}")

        def path() -> Path:
            return (
                source.pool.medium.disk_read,
                source.pool.medium.port_out,
                self._links.port_in,
                *source.pool.lines_to(target.pool.name),
                destination._links.port_out,
                target.pool.medium.port_in,
                target.pool.medium.disk_write,
            )

        HostCopy(self._runtime, self._fabric, self.writes, destination.writes, path).run()

    def load(self, spec: LoadSpec) -> StreamLoad:
        """See `harness.testbed.Attachment.load`."""
        self._runtime.checkpoint()
        name = f"load on {self.volume_id} at {self.host}"
        return ForegroundLoad(self._runtime, self._recorder, self.writes, self._lane, spec, self._loads(), name)

    def detach(self) -> None:
        """See `harness.testbed.Attachment.detach`. Repeating it is harmless, and waits as well.

        Faults of an answer that no write has met are named now, with `writes` 0.
        """
        self._runtime.checkpoint()
        self.writes.close()
        if not self._is_closed:
            self._is_closed = True
            for fault in self.writes.reply_faults:
                self._recorder.emit(
                    "fault", fault=fault.kind, volume=self.volume_id, host=self.host, for_ns=fault.for_ns, writes=0
                )
            self._recorder.emit("attachment.closed", volume=self.volume_id, host=self.host)

    @property
    def is_attached(self) -> bool:
        """Whether `detach` was not called yet."""
        return self.writes.is_attached

    def stall(self, for_ns: int) -> None:
        """Leave the writes that are under way now unacknowledged for `for_ns` nanoseconds (fault injection)."""
        self.writes.stall(for_ns)

    def hit_reply(self, fault: Fault) -> None:
        """Let the acknowledgement of the next write be lost or late (fault injection)."""
        self.writes.hit_reply(fault)

    @property
    def backend(self) -> str:
        """Where the volume is at this moment."""
        return self._held.pool.name

    @property
    def route(self) -> HostRoute:
        """What carries the foreground I/O at this moment."""
        return self.writes.route
