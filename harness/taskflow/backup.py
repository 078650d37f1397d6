"""Backups: who compresses, and with what (specification section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.backup_store import MemorySink
from harness.compression import Decision, Limits, canonical, codec, negotiate
from harness.contract import BackupSink
from harness.model import GIB, Backup, BackupChunk, Snapshot, Volume, backend_name
from harness.runtime import SECOND, Runtime
from harness.taskflow.ends import DriverEnd
from harness.taskflow.errors import Refused
from harness.taskflow.flow import Flow, FlowCore
from harness.taskflow.methods import STATUS_WHILE, quiesced, run_quiesced
from harness.testbed import Profile

CHUNK_BYTES = 256 * 1024
METHOD = "backup_volume"


class CompressingSink:
    """Compresses what a driver delivers uncompressed; chunks that a driver compressed all the same pass as they are,
    so that data is never compressed twice (C-3)."""

    def __init__(self, inner: BackupSink, technique: str, runtime: Runtime, throughput: float | None) -> None:
        self.inner = inner
        self._codec = codec(technique)
        self._runtime = runtime
        self._throughput = throughput

    @property
    def technique(self) -> str:
        """What it compresses with."""
        return self._codec.name

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """See `harness.contract.BackupSink.write`."""
        if canonical(label) != "none" or self._codec.name == "none":
            self.inner.write(offset, length, label, payload)
            return
        compressed = self._codec.compress(payload)
        if self._throughput and self._runtime.virtual:
            self._runtime.sleep(int(length / self._throughput * SECOND))
        if len(compressed) < len(payload):
            self.inner.write(offset, length, self._codec.name, compressed)
        else:
            self.inner.write(offset, length, "none", payload)


class BackupStore(BackupSink, Protocol):
    """Where a backup goes, and what is there."""

    @property
    def chunks(self) -> tuple[BackupChunk, ...]:
        """The chunks so far, in the order of writing."""


class Backups:
    """Takes backups by the ends of one taskflow. `open_store(backup id, bytes)` says where each of them goes."""

    def __init__(
        self,
        core: FlowCore,
        profile: Profile,
        open_store: Callable[[str, int], BackupStore] = lambda backup_id, size: MemorySink(size),
    ) -> None:
        self._core = core
        self._profile = profile
        self.open_store = open_store

    def backup(self, source_id: str, backup_id: str, acceptable: Sequence[str], limits: Limits | None = None) -> Backup:
        """Back a volume or snapshot up, compressed with one of the `acceptable` techniques, best first.

        Raises `Refused` for an unknown source, `ValueError` for an empty list.
        """
        core = self._core
        source: Volume | Snapshot | None = core.catalog.volumes.get(source_id) or core.catalog.snapshots.get(source_id)
        if source is None:
            raise Refused(f"there is no volume or snapshot {source_id}")
        volume = source if isinstance(source, Volume) else source.volume
        end = core.ends[backend_name(volume.host)]
        decision = negotiate(
            acceptable,
            end.publication.backup_compression_techniques,
            self._profile.codecs,
            limits,
            has_hook=end.implements(METHOD),
        )
        size = volume.size if isinstance(source, Volume) else source.volume_size
        technique = decision.taskflow_technique or decision.technique or "none"
        backup = Backup(backup_id, volume.id, size, technique=technique)
        with core.flow("backup", [source_id], [backup_id], plan=[METHOD], source=source_id, backup=backup_id) as flow:
            core.catalog.add(backup)
            flow.record.completes.append(backup_id)
            flow.undo_with("forget", id=backup_id)
            # C-4: before the method is invoked
            core.recorder.emit(
                "compression.decided",
                flow=flow.record.id,
                where=decision.where,
                driver_technique=decision.technique,
                taskflow_technique=decision.taskflow_technique,
                reason=decision.reason,
            )
            store = self.open_store(backup_id, size * GIB)
            with flow.step(METHOD):
                self._take(flow, end, source, store, decision)
            backup.chunks = list(store.chunks)
        return backup

    def _take(
        self, flow: Flow, end: DriverEnd, source: Volume | Snapshot, store: BackupStore, decision: Decision
    ) -> None:
        if decision.where == "driver":
            given: dict[str, Any] = {"source": source, "technique": decision.technique, "sink": store}
            run_quiesced(self._core, flow, end, METHOD, given, source)
            return
        technique = decision.taskflow_technique or "none"
        figure = self._profile.codecs.get(technique)
        sink = CompressingSink(store, technique, self._core.runtime, figure.throughput if figure else None)
        if decision.technique is not None:
            given = {"source": source, "technique": decision.technique, "sink": sink}
            run_quiesced(self._core, flow, end, METHOD, given, source)
        else:
            self._read_through_host(flow, end, source, sink)

    def _read_through_host(self, flow: Flow, end: DriverEnd, source: Volume | Snapshot, sink: BackupSink) -> None:
        """C-2: without the hook the taskflow reads the volume itself, quiesced where hosts write to it."""
        core = self._core
        if isinstance(source, Snapshot):
            raise Refused(f"{end.name} has no {METHOD}; a snapshot of it can't be read through a host")
        with quiesced(core, flow, source, STATUS_WHILE[METHOD]):
            self._read(end, source, sink)

    def _read(self, end: DriverEnd, source: Volume, sink: BackupSink) -> None:
        with self._core.host.reading(end.backend, source.id) as attachment:
            for start, length in attachment.extents():
                for offset in range(start, start + length, CHUNK_BYTES):
                    data = attachment.read(offset, min(CHUNK_BYTES, start + length - offset))
                    sink.write(offset, len(data), "none", data)
