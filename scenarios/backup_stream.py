"""Backups as streams of bytes: what a whole volume takes, without its content.

A volume's blocks are stamps, and a scenario's volumes are hardly written; so a backup that read and compressed what is
really there would cost next to nothing. Here a backup reads the whole volume, all of it data that shrinks by the
codec's ratio, and what is stored is counted, not kept: such a backup can't be restored.

The stages of a backup overlap. Up to the place where it is compressed, and including it, the plain bytes flow; from
there on the stored ones. Both parts are flows over the fabric, in segments: while one segment is on its way from the
compressor, the next one comes to it. A core compresses one stream, at the codec's speed; further streams wait for
theirs by sharing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.activity import Activity
from harness.backend_jobs import JobEngine
from harness.compression import codec
from harness.model import BackupChunk
from harness.runtime import Runtime, Signal
from harness.storage import ObjectBusy, StorageError, TransferCancelled, TransferFailed
from harness.taskflow.backup import CompressingSink
from harness.testbed import CodecFigure, Job
from simulated_backends.fabric import Fabric, Flow, Link, Path
from simulated_backends.host_links import HostLinks
from simulated_backends.nfs.jobs import NfsJobEngine
from simulated_backends.transfers import Obstacles
from simulated_backends.volume_store import SimulatedStore

SEGMENTS = 32
"""A backup is cut into so many segments; the last one's way from the compressor is not overlapped."""


class Compressor:
    """The cores of one machine that compress. `cpu_ns` is the processor time that was spent (ns)."""

    def __init__(self, machine: str, cores: int) -> None:
        self.machine = machine
        self.cpu_ns = 0
        self._cores = cores
        self._links: dict[str, Link] = {}
        self._streams = 0

    def path(self, technique: str, figure: CodecFigure) -> Path:
        """The links that a stream crosses while it is compressed: a core of its own, and all cores together."""
        together = self._links.get(technique)
        speed = max(1, int(figure.throughput))
        if together is None:
            together = self._links[technique] = Link(f"cpu of {self.machine}, {technique}", self._cores * speed)
        self._streams += 1
        return (Link(f"cpu of {self.machine}, {technique}, stream {self._streams}", speed), together)

    def spend(self, plain_bytes: int, figure: CodecFigure) -> None:
        """Count the processor time for so many plain bytes."""
        self.cpu_ns += int(plain_bytes * 1_000_000_000 / figure.throughput)


@dataclass
class BackupPath:
    """What lies behind a backend's port on a backup's way: `between` it and the taskflow's machine, that machine, and
    the link to the store."""

    between: Link
    node: Callable[[], HostLinks]
    store: Link
    compressor: Compressor


class CountingStore:
    """Where one backup goes: counts what is stored; implements `harness.taskflow.backup.BackupStore`."""

    def __init__(self) -> None:
        self.stored = 0

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """See `harness.contract.BackupSink.write`; for drivers that deliver bytes themselves."""
        self.stored += len(payload)

    @property
    def chunks(self) -> tuple[BackupChunk, ...]:
        """None: the content is not kept."""
        return ()


@dataclass
class _Stream:
    """The transfer of one backup; implements `harness.storage.Transfer`."""

    runtime: Runtime
    fabric: Fabric
    name: str
    total: int
    plain: tuple[Link, ...]
    stored: tuple[Link, ...]
    ratio: float
    arrived: Callable[[int, int], None]
    _done: int = 0
    _flows: list[Flow] = field(default_factory=list)
    _error: StorageError | None = None
    _obstacles: Obstacles = field(default_factory=Obstacles)
    _waiting: Signal[None] | None = None
    _over: Signal[None] = field(init=False)

    def __post_init__(self) -> None:
        self._over = self.runtime.signal(f"{self.name} is over")

    def moved(self) -> int:
        """Plain bytes read so far."""
        return self._done + (self._flows[0].moved() if self._flows else 0)

    def wait(self) -> None:
        """See `harness.storage.Transfer.wait`."""
        self._over.wait()

    def cancel(self, reason: str) -> None:
        """See `harness.storage.Transfer.cancel`."""
        self._stop(TransferCancelled(f"{self.name} was cancelled: {reason}"))

    def fail(self, reason: str) -> None:
        """See `harness.storage.Transfer.fail`."""
        self._stop(TransferFailed(f"{self.name} failed: {reason}"))

    def fail_at(self, position: int, reason: str, still: Callable[[], bool] | None = None) -> None:
        """Fail with the segment that gets to the byte at `position`, unless it is past already or `still` denies it."""
        if position >= self._done:
            self._obstacles.add(position, reason, still)

    def run(self) -> None:
        """Read it all; blocks until the last byte is stored. Raises what the transfer was stopped with."""
        step = max(1, -(-self.total // SEGMENTS))
        on_the_way = 0
        for first in range(0, self.total, step):
            size = min(step, self.total - first)
            self._move(size, on_the_way)
            self._done = first + size
            self._meet(self._done)
            on_the_way = size
        if self.stored:
            self._move(0, on_the_way)
        self._meet(self.total + 1)
        self._over.set(None)

    def _meet(self, end: int) -> None:
        reason = self._obstacles.met(end)
        if reason is not None:
            self.fail(reason)
            self._check()

    def _move(self, plain: int, stored: int) -> None:
        """Bring `plain` bytes to the compressor, and on from there what it made of `stored` bytes before."""
        self._check()
        parts = [(self.plain, plain)] if plain else []
        shrunk = int(stored / self.ratio)
        if stored and self.stored:
            parts.append((self.stored, shrunk))
        left = len(parts)
        both = self._waiting = self.runtime.signal(f"{self.name}, next bytes")

        def ended() -> None:
            nonlocal left
            left -= 1
            if not left:
                both.set(None)

        self._flows = [self.fabric.start(path, size, ended) for path, size in parts]
        if parts:
            both.wait()
        self._flows = []
        self.arrived(plain, shrunk if self.stored else plain)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _stop(self, error: StorageError) -> None:
        if self._over.is_over:
            return
        self._error = error
        for flow in self._flows:
            flow.cancel()
        self._over.fail(error)
        if self._waiting is not None:
            self._waiting.fail(error)


class _StreamedBackups(JobEngine):
    """An engine whose backups to a `CountingStore` are streams; others are as they were."""

    _store: SimulatedStore
    fabric: Fabric
    way: BackupPath
    cores: Compressor
    replication_setup_ns = 0

    def stream_backups(self, fabric: Fabric, way: BackupPath, cores: Compressor) -> None:
        """Say where backups go, and which cores of the backend's compress them."""
        self.fabric, self.way, self.cores = fabric, way, cores

    def _replicate(self, job: Job, activity: Activity) -> None:
        if self.replication_setup_ns:
            self._runtime.sleep(self.replication_setup_ns)  # an abort takes effect at its end
        super()._replicate(job, activity)

    def _read(self, job: Job, activity: Activity) -> None:
        sink: Any = job.sink
        behind = sink.inner if isinstance(sink, CompressingSink) else sink
        if not isinstance(behind, CountingStore):
            super()._read(job, activity)
            return
        held = self._store.usable(job.source)
        if held.changing is not None:
            raise ObjectBusy(f"{job.source} is being {held.changing}")
        stream = self._stream(job.source, held.bytes, codec(job.technique).name, sink, behind)
        held.readers += 1
        held.read_by(stream.fail_at, frozen=held.content.freeze() if job.point_in_time else None)
        activity.transfer = stream
        self._faults.arm(activity)
        try:
            if activity.cancel_reason is not None:
                raise TransferCancelled(activity.cancel_reason)
            stream.run()
        finally:
            stream.cancel("it is over")
            held.readers -= 1
            held.unread_by(stream.fail_at)

    def _stream(self, source: str, size: int, technique: str, sink: Any, store: CountingStore) -> _Stream:
        medium, node = self._store.medium, self.way.node()
        to_node, to_store = (medium.port_out, node.port_in, self.way.between), (node.port_out, self.way.store)
        where, used, by_taskflow = self.cores, technique, False
        if technique == "none" and isinstance(sink, CompressingSink):
            where, used, by_taskflow = self.way.compressor, sink.technique, True
        figure = self._profile.codecs.get(used)
        plain: tuple[Link, ...] = (medium.disk_read, *to_node, *to_store)
        stored: tuple[Link, ...] = ()
        if used != "none" and figure is not None:
            core = tuple(where.path(used, figure))
            plain, stored = (medium.disk_read, *core), (*to_node, *to_store)
            if by_taskflow:
                plain, stored = (medium.disk_read, *to_node, *core), to_store
        arrived = partial(self._arrived, store, where, figure if stored else None)
        ratio = figure.ratio if figure is not None and stored else 1.0
        return _Stream(self._runtime, self.fabric, f"backup of {source}", size, plain, stored, ratio, arrived)

    @staticmethod
    def _arrived(store: CountingStore, where: Compressor, figure: CodecFigure | None, plain: int, stored: int) -> None:
        if figure is not None:
            where.spend(plain, figure)
        store.stored += stored


class IscsiBackups(_StreamedBackups):
    """The engine of a scenario's iSCSI target."""


class NfsBackups(_StreamedBackups, NfsJobEngine):
    """The engine of a scenario's NFS server."""
