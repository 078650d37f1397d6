"""The storage of a simulated backend: implements `harness.storage.VolumeStore` with stamps and flows.

In a thin pool `used_bytes` counts blocks, in a thick one whole sizes; in either, what is provisioned may not exceed
the pool, and what snapshots keep for themselves has to fit beside it: no room that volumes were promised is lent to
snapshots. A write that would leave more to them is refused. What takes bulk data along is in `bulk_transfers`.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.recorder import Recorder
from harness.runtime.virtual import VirtualRuntime
from harness.storage import BLOCK, CopyRequest, Image, ObjectBusy, StoredObject, Unsupported, VolumeStore
from harness.testbed import ActivityView
from simulated_backends.bulk_transfers import BulkTransfers
from simulated_backends.content import Rank, ascending, stamps_in
from simulated_backends.fabric import Fabric
from simulated_backends.held_objects import HeldObjects
from simulated_backends.inspection import LazyInspection
from simulated_backends.medium import Medium
from simulated_backends.pool import Pool
from simulated_backends.profiles import Figures
from simulated_backends.stored_object import HeldObject
from simulated_backends.suspension import Suspension
from simulated_backends.transfers import BulkTransfer, StreamReader


class SimulatedStore:
    """The objects of one backend, `held`, in its pool.

    `mint_identity` makes exported identities; `copy_order` is that of `BulkTransfers`. Every check and its effect
    happen at one instant; where an operation takes time, it does so first.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        pool: Pool,
        mint_identity: Callable[[], str],
        copy_order: Callable[[str, int], Rank] = lambda target, blocks: ascending,
    ) -> None:
        self.name = pool.name
        self.family = pool.family
        self.pool = pool
        self.held = HeldObjects(pool, mint_identity)
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._bulk = BulkTransfers(runtime, recorder, fabric, self.held, copy_order)

    @property
    def medium(self) -> Medium:
        """The links of the backend."""
        return self.pool.medium

    @property
    def figures(self) -> Figures:
        """The figures that the backend goes by."""
        return self.pool.figures

    # ---- short operations ------------------------------------------------------------------------------------------

    def create_volume(self, volume_id: str, size: int) -> None:
        """See `harness.storage.VolumeStore.create_volume`."""
        self._runtime.sleep(self.figures.control_ns)
        self.held.check_new(volume_id, size)
        self.held.add(volume_id, "volume", size)

    def extend_volume(self, volume_id: str, size: int) -> None:
        """See `harness.storage.VolumeStore.extend_volume`. Raises `ObjectBusy` while a transfer is under way."""
        self._runtime.sleep(self.figures.control_ns)
        volume = self.usable(volume_id, "volume")
        if size < volume.size:
            raise Unsupported(f"{volume_id} has {volume.size} GiB and can't shrink to {size}")
        volume.check_idle()
        self.held.check_room(size - volume.size)
        volume.size = size
        self.held.provision(volume, size)

    def delete(self, object_id: str) -> None:
        """See `harness.storage.VolumeStore.delete`."""
        self._runtime.sleep(self.figures.control_ns)
        held = self.held.find(object_id)
        if not held.complete:
            raise ObjectBusy(f"{object_id} is still being made")
        self.held.check_removable(held)
        self.held.remove(held)

    def write_bytes(self, volume_id: str, offset: int, data: bytes) -> None:
        """See `harness.storage.VolumeStore.write_bytes`.

        Raises ValueError for parts of blocks or beyond the end, `PoolFull` at the first block without room.
        """
        held = self.usable(volume_id, "volume")
        if offset % BLOCK or len(data) % BLOCK or offset < 0 or offset + len(data) > held.bytes:
            raise ValueError(f"{len(data)} bytes from byte {offset} are not whole blocks within {volume_id}")
        arrived = self._runtime.signal(f"bytes for {volume_id} arrive")
        medium = self.medium
        flow = self._fabric.start((medium.port_in, medium.disk_write), len(data), lambda: arrived.set(None))
        try:
            arrived.wait()
        finally:
            flow.cancel()
        for block, stamp in enumerate(stamps_in(data), offset // BLOCK):
            held.check_room(block)
            held.write(block, stamp)

    def fill(self) -> None:
        """A fault takes what is left of the pool: what would take more of it fails, until `free`."""
        self._settle()
        self.pool.fill()
        for held in tuple(self.held.values()):
            if held.starve is not None:
                held.starve()
            held.tell_followers()

    def free(self) -> None:
        """One such fault is over; what hosts' copies have brought until now found the pool full."""
        self._settle()
        self.pool.free()

    # ---- holding what hosts write ----------------------------------------------------------------------------------

    def suspend_writes(self, volume_id: str) -> None:
        """See `harness.storage.SuspendsWrites.suspend_writes`; for `suspend_limit_ns` at most."""
        self._runtime.sleep(self.figures.control_ns)
        volume = self.usable(volume_id, "volume")
        if volume.suspension is None:
            self._recorder.emit("writes.suspended", backend=self.name, volume=volume_id)
            limit_ns = self.figures.suspend_limit_ns
            volume.suspension = Suspension(
                self._runtime, volume_id, limit_ns, lambda: self._resume(volume, "limit reached")
            )
            volume.tell_followers()

    def resume_writes(self, volume_id: str) -> None:
        """See `harness.storage.SuspendsWrites.resume_writes`."""
        self._runtime.sleep(self.figures.control_ns)
        self._resume(self.usable(volume_id, "volume"), "asked for")

    def resume_all(self, reason: str) -> None:
        """Let all writes go on that are held: what is held is forgotten with the power. Does not block."""
        for held in self.held.by_name():
            self._resume(held, reason)

    def _resume(self, volume: HeldObject, reason: str) -> None:
        if volume.suspension is not None:
            self._recorder.emit("writes.resumed", backend=self.name, volume=volume.id, reason=reason)
            volume.resume()

    # ---- transfers -------------------------------------------------------------------------------------------------

    def begin_copy(self, request: CopyRequest, into: VolumeStore) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_copy`. Raises `ObjectBusy` while the source moves or is reverted."""
        return self._bulk.begin_copy(request, self._within_family(into))

    def begin_move(self, volume_id: str, into: VolumeStore, live: bool) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_move`.

        Raises `ObjectBusy` while a transfer of the volume is under way, or if its snapshots depend on it.
        """
        return self._bulk.begin_move(volume_id, self._within_family(into), live)

    def begin_revert(self, volume_id: str, snapshot_id: str) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_revert`; the content changes at the end, as a whole.

        Raises `ObjectBusy` while a transfer of the volume is under way, `Unsupported` for another volume's snapshot.
        The transfer fails at its end, with no effect, without room for the content, or for what other snapshots would
        have to keep then.
        """
        return self._bulk.begin_revert(volume_id, snapshot_id)

    def begin_read(self, source: str, point_in_time: bool, chunk_bytes: int) -> StreamReader:
        """See `harness.storage.VolumeStore.begin_read`. Raises `ObjectBusy` while the source moves or is reverted."""
        return self._bulk.begin_read(source, point_in_time, chunk_bytes)

    # ---- inspection ------------------------------------------------------------------------------------------------

    def objects(self) -> tuple[StoredObject, ...]:
        """See `harness.storage.VolumeStore.objects`."""
        return tuple([held.described() for held in self.held.by_name()])

    def image(self, object_id: str) -> Image:
        """See `harness.storage.VolumeStore.image`."""
        return self.held.find(object_id).image()

    def used_bytes(self) -> int:
        """See `harness.storage.VolumeStore.used_bytes`."""
        return self.held.used_bytes()

    def inspect(self, activities: tuple[ActivityView, ...], connections: int) -> LazyInspection:
        """The objects as they are now, as an inspection of the backend with those activities and connections."""
        return LazyInspection(self.held.by_name(), self.figures.is_thin, activities, connections)

    def find(self, object_id: str) -> HeldObject | None:
        """The object of that id, complete or not; None if there is none."""
        return self.held.get(object_id)

    def being_read(self) -> HeldObject | None:
        """The oldest object that a job is reading; None while there is none."""
        return next((held for held in self.held.values() if any(reader.is_job for reader in held.reading)), None)

    def usable(self, object_id: str, kind: str | None = None) -> HeldObject:
        """The complete object of that id and kind. Raises `ObjectUnknown` for any other, incomplete ones included."""
        return self.held.usable(object_id, kind)

    def _settle(self) -> None:
        for held in self.held.values():
            held.settle()

    def _within_family(self, into: VolumeStore) -> HeldObjects:
        if not isinstance(into, SimulatedStore) or into.family != self.family:
            raise Unsupported(f"{self.name} ({self.family}) can't reach {into.name} ({into.family})")
        return into.held
