"""A volume as one host has it attached: foreground I/O through the write gate, on the simulated fabric."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from harness.gate import WriteGate
from harness.recorder import Recorder
from harness.runtime import SECOND, Signal
from harness.runtime.virtual import VirtualRuntime
from harness.schedule import random_source
from harness.storage import BLOCK, ObjectUnknown
from harness.testbed import Attachment, Gate, Load, LoadSpec
from simulated_backends.content import Crawl, runs, stored_bytes
from simulated_backends.fabric import Fabric, Link, Path
from simulated_backends.foreground import EventLoad
from simulated_backends.stored_object import HeldObject


@dataclass(frozen=True)
class HostLinks:
    """The two directions of a host's network port."""

    port_in: Link
    port_out: Link

    @classmethod
    def of(cls, host: str, bytes_per_s: int) -> HostLinks:
        """The links of a host, both of one capacity."""
        return cls(Link(f"{host} port in", bytes_per_s), Link(f"{host} port out", bytes_per_s))


class SimulatedAttachment:
    """Implements `harness.testbed.Attachment`; foreground I/O goes wherever the volume is at that moment.

    A write takes a round trip, the disk's service time with jitter, and the block's bytes at the bandwidth that bulk
    transfers leave over; it is applied once it has reached the disk, and acknowledged half a round trip later.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        held: HeldObject,
        host: str,
        links: HostLinks,
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
        self._log = recorder.writes(held.id)
        self._jitter = self._random(seed, number, "jitter")
        self._loads = self._random(seed, number, "load")
        self._attached = True
        self._outstanding = 0
        self._idle: Signal[None] | None = None
        self._stall: tuple[int, int] | None = None

    def write(self, block: int, stamp: int) -> None:
        """See `harness.testbed.Attachment.write`.

        Raises `ObjectUnknown` once the volume is detached or deleted, ValueError for a block beyond its end.
        """
        self._runtime.checkpoint()
        self._check(block * BLOCK, BLOCK)
        self._outstanding += 1
        try:
            row = self._log.issue(block, stamp)
            self._gate.enter()
            try:
                self._send(block, stamp)
                self._log.acknowledge(row)
            finally:
                self._gate.leave()
        finally:
            self._finished_one()

    def read(self, offset: int, length: int) -> bytes:
        """See `harness.testbed.Attachment.read`. Raises ValueError for parts of blocks or beyond the volume's end."""
        self._runtime.checkpoint()
        self._check(offset, length)
        medium = self._held.store.medium
        path = (medium.disk_read, medium.port_out, self._links.port_in)
        half, rest = divmod(self._held.store.figures.round_trip_ns, 2)
        self._runtime.sleep(half + self._service_ns(path, length))
        seen = self._held.content.between(offset // BLOCK, (offset + length) // BLOCK)
        data = b"".join(
            stored_bytes(block, seen.get(block, 0)) for block in range(offset // BLOCK, (offset + length) // BLOCK)
        )
        self._runtime.sleep(half + rest)
        return data

    def extents(self) -> Iterator[tuple[int, int]]:
        """See `harness.testbed.Attachment.extents`."""
        self._check(0, 0)
        for first, length in runs(self._held.content.image()):
            yield first * BLOCK, length * BLOCK

    def copy_to(self, destination: Attachment) -> None:
        """See `harness.testbed.Attachment.copy_to`; a live source is read block after block.

        Raises ValueError if the destination is smaller or of another testbed. If the copying task is abandoned, what
        had arrived stays at the destination.
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
        flow = self._fabric.start(path, source.bytes, lambda: arrived.set(None))
        crawl = Crawl(flow.moved)
        source.crawls.append(crawl)
        try:
            arrived.wait()
        finally:
            flow.cancel()
            source.crawls = [c for c in source.crawls if c is not crawl]
            end = flow.moved() // BLOCK
            seen = crawl.seen(source.content.between(0, end), 0, end)
            for block in sorted({**target.content.between(0, end), **seen}):
                target.write(block, seen.get(block, 0))

    def load(self, spec: LoadSpec) -> Load:
        """See `harness.testbed.Attachment.load`."""
        self._runtime.checkpoint()
        return EventLoad(self, spec, self._loads, f"load on {self.volume_id} at {self.host}")

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

    def _send(self, block: int, stamp: int) -> None:
        runtime = self._runtime
        sent_ns = runtime.now()
        store = self._held.store
        medium = store.medium
        half, rest = divmod(store.figures.round_trip_ns, 2)
        path = (self._links.port_out, medium.port_in, medium.disk_write)
        runtime.sleep(half + self._service_ns(path, BLOCK))
        self._held.write(block, stamp)
        runtime.sleep(half + rest)
        if self._stall is not None and sent_ns <= self._stall[0]:
            runtime.sleep(max(0, self._stall[1] - runtime.now()))

    def _service_ns(self, path: Path, length: int) -> int:
        figures = self._held.store.figures
        bandwidth = max(1, self._fabric.leftover(path))
        jitter = int(self._jitter.random() * figures.service_jitter_ns)
        return figures.service_ns + jitter + length * SECOND // bandwidth

    def _delays(self) -> tuple[int, int, int]:
        """Of a write sent now: ns to its application without jitter, from there to the reply, most jitter."""
        store = self._held.store
        figures, medium = store.figures, store.medium
        half, rest = divmod(figures.round_trip_ns, 2)
        bandwidth = max(1, self._fabric.leftover((self._links.port_out, medium.port_in, medium.disk_write)))
        there = half + figures.service_ns + BLOCK * SECOND // bandwidth
        return there, half + rest, figures.service_jitter_ns

    def _finished_one(self) -> None:
        self._outstanding -= 1
        if self._outstanding == 0 and self._idle is not None:
            self._idle.set(None)

    def _flush(self) -> None:
        self._runtime.sleep(self._held.store.figures.flush_ns)

    def _check(self, offset: int, length: int) -> None:
        if not self._attached:
            raise ObjectUnknown(f"{self.volume_id} is not attached to {self.host} any more")
        if self._held.gone:
            raise ObjectUnknown(f"volume {self.volume_id} is gone")
        if offset % BLOCK or length % BLOCK or offset < 0 or offset + length > self._held.bytes:
            raise ValueError(f"{length} bytes from byte {offset} are not whole blocks within {self.volume_id}")

    def _random(self, seed: int, number: int, name: str) -> random.Random:
        return random_source(seed, name, self.volume_id, self.host, str(number))
