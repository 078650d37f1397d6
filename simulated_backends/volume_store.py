"""The storage of a simulated backend: implements `harness.storage.VolumeStore` with stamps and flows.

A transfer moves the bytes of the whole object, written or not, over the disk of its backend, and over the ports of
both backends where it leaves one. In a thin pool `used_bytes` counts blocks, in a thick one whole sizes; in either,
what is provisioned may not exceed the pool.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from harness.model import GIB
from harness.recorder import Recorder
from harness.runtime.virtual import VirtualRuntime
from harness.storage import (
    BLOCK,
    CopyRequest,
    Image,
    ObjectBusy,
    ObjectExists,
    ObjectUnknown,
    PoolFull,
    StoredObject,
    Unsupported,
    VolumeStore,
)
from harness.testbed import ActivityView
from simulated_backends.content import Crawl, Rank, ascending, stamps_in
from simulated_backends.fabric import Fabric, Link
from simulated_backends.held_objects import HeldObjects
from simulated_backends.inspection import LazyInspection
from simulated_backends.medium import Medium
from simulated_backends.profiles import SHARING_KINDS, Figures
from simulated_backends.stored_object import HeldObject, Part, arrived, room_taken
from simulated_backends.transfers import BulkTransfer, StreamReader, StreamTransfer, TimedWork, Work


class SimulatedStore:
    """The objects of one backend.

    `mint_identity` makes exported identities; `copy_order` gives the order in which a copy or a move takes the blocks,
    from the id of its target and the source's size in blocks. Every check and its effect happen at one instant; where
    an operation takes time, it does so first.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        name: str,
        family: str,
        medium: Medium,
        figures: Figures,
        mint_identity: Callable[[], str],
        copy_order: Callable[[str, int], Rank] = lambda target, blocks: ascending,
    ) -> None:
        self.name = name
        self.family = family
        self.medium = medium
        self.figures = figures
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._mint_identity = mint_identity
        self._copy_order = copy_order
        self.is_full = False
        """Whether a fault has taken what is left of the pool."""
        self._objects = HeldObjects()
        self._lineages = itertools.count(1)

    # ---- short operations ------------------------------------------------------------------------------------------

    def create_volume(self, volume_id: str, size: int) -> None:
        """See `harness.storage.VolumeStore.create_volume`."""
        self._runtime.sleep(self.figures.control_ns)
        self._check_new(volume_id, size)
        self._add(volume_id, "volume", size)

    def extend_volume(self, volume_id: str, size: int) -> None:
        """See `harness.storage.VolumeStore.extend_volume`. Raises `ObjectBusy` while a transfer is under way."""
        self._runtime.sleep(self.figures.control_ns)
        held = self.usable(volume_id, "volume")
        if size < held.size:
            raise Unsupported(f"{volume_id} has {held.size} GiB and can't shrink to {size}")
        self._check_idle(held)
        self._check_room(size - held.size)
        held.size = size
        self._objects.provision(held, size)

    def delete(self, object_id: str) -> None:
        """See `harness.storage.VolumeStore.delete`."""
        self._runtime.sleep(self.figures.control_ns)
        held = self._find(object_id)
        if not held.complete:
            raise ObjectBusy(f"{object_id} is still being made")
        self._check_idle(held)
        dependants = self._objects.snapshots_of(held) if self.figures.snapshots_depend_on_volume else []
        if dependants:
            raise ObjectBusy(f"{object_id} has snapshots: {', '.join(dependants)}")
        self._remove(held)

    def write_bytes(self, volume_id: str, offset: int, data: bytes) -> None:
        """See `harness.storage.VolumeStore.write_bytes`. Raises ValueError for parts of blocks or beyond the end."""
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
            held.write(block, stamp)

    # ---- transfers -------------------------------------------------------------------------------------------------

    def begin_copy(self, request: CopyRequest, into: VolumeStore) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_copy`. Raises `ObjectBusy` while the source moves or is reverted."""
        destination = self._within_family(into)
        source = self.usable(request.source)
        if request.makes not in ("volume", "snapshot"):
            raise Unsupported(f"a copy makes a volume or a snapshot, not {request.makes!r}")
        if source.changing is not None:
            raise ObjectBusy(f"{source.id} is being {source.changing}")
        size = request.size or source.size
        if size < source.size:
            raise Unsupported(f"{source.id} has {source.size} GiB, a copy of it can't have {size}")
        sharing = request.point_in_time and destination is self and self.figures.snapshot_kind in SHARING_KINDS
        if request.linked and not (sharing and request.makes == "volume" and self.figures.is_thin):
            raise Unsupported(f"{self.name} makes no volumes that share the blocks of {request.source}")
        snaps = sharing and request.makes == "snapshot" and source.kind == "volume"
        shares = snaps or request.linked
        destination._check_new(request.target, 0 if snaps else size)
        target = destination._add(request.target, request.makes, size, lineage=source.lineage if shares else None)
        if snaps:
            destination._objects.provision(target, 0)
            if self.figures.snapshot_kind == "copy-on-write":
                source.moved_away = set()
        if request.makes == "snapshot" and source.kind == "volume" and destination is self:
            self._objects.make_snapshot(target, source.id)
        path = self._path_to(destination)
        name = f"copy of {source.id} to {request.target} on {destination.name}"
        transfer = self._fill(source, target, request.point_in_time, name, reads=not shares)
        return self._started(transfer.run(lambda size, ended: self._work(source, path, size, ended, shares)), source)

    def begin_move(self, volume_id: str, into: VolumeStore, live: bool) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_move`.

        Raises `ObjectBusy` while a transfer of the volume is under way, or if its snapshots depend on it.
        """
        destination = self._within_family(into)
        volume = self.usable(volume_id, "volume")
        if destination is self:
            raise Unsupported(f"{volume_id} is on {self.name} already")
        self._check_idle(volume)
        dependants = self._objects.snapshots_of(volume) if self.figures.snapshots_depend_on_volume else []
        if dependants:
            raise ObjectBusy(f"{volume_id} has snapshots: {', '.join(dependants)}")
        destination._check_new(volume_id, volume.size)
        arriving = destination._add(volume_id, "volume", volume.size)
        arriving.complete = False
        volume.changing = "moved"
        rank = self._copy_order(volume_id, volume.bytes // BLOCK)
        crawl = Crawl(lambda: transfer.moved(), rank)
        if not live:
            volume.crawls.append(crawl)

        def seen() -> dict[int, int]:
            return crawl.seen(volume.content.image())

        def let_go() -> None:
            volume.changing = None
            volume.reading = [r for r in volume.reading if r != transfer.fail_at]
            volume.crawls = [c for c in volume.crawls if c is not crawl]
            destination._remove(arriving)

        def cut_over() -> None:
            let_go()
            volume.bad.clear()
            for block, stamp in crawl.kept.items():  # a mover that does not mirror loses what it had passed
                volume.write(block, stamp)
            self._objects.take(volume)
            volume.store, volume.lineage = destination, arriving.lineage
            volume.moved_away = None
            destination._objects.put(volume)
            self._recorder.emit("volume.cutover", volume=volume_id, source=self.name, destination=destination.name)

        name = f"move of {volume_id} from {self.name} to {destination.name}"
        transfer = BulkTransfer(self._runtime, name, volume.bytes, cut_over, let_go)
        arriving.partial = lambda: arrived(seen(), transfer.moved(), rank)
        path = self._path_to(destination)
        volume.reading.append(transfer.fail_at)
        return self._started(transfer.run(lambda size, ended: self._fabric.start(path, size, ended)), volume)

    def begin_revert(self, volume_id: str, snapshot_id: str) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_revert`; the content changes at the end, as a whole.

        Raises `ObjectBusy` while a transfer of the volume is under way, `Unsupported` for another volume's snapshot.
        """
        volume = self.usable(volume_id, "volume")
        snapshot = self.usable(snapshot_id, "snapshot")
        if snapshot.parent != volume_id:
            raise Unsupported(f"{snapshot_id} is no snapshot of {volume_id}")
        self._check_idle(volume)
        volume.changing = "reverted"
        snapshot.readers += 1

        def let_go() -> None:
            volume.changing = None
            snapshot.readers -= 1
            snapshot.reading = [r for r in snapshot.reading if r != transfer.fail_at]

        def finish() -> None:
            let_go()
            volume.bad.clear()
            volume.replace(snapshot.content.freeze())

        transfer = BulkTransfer(
            self._runtime, f"revert of {volume_id} to {snapshot_id}", snapshot.bytes, finish, let_go
        )
        quick = snapshot.lineage == volume.lineage
        if not quick:
            snapshot.reading.append(transfer.fail_at)
        path = self._path_to(self)
        return self._started(transfer.run(lambda size, ended: self._work(snapshot, path, size, ended, quick)), snapshot)

    def begin_read(self, source: str, point_in_time: bool, chunk_bytes: int) -> StreamReader:
        """See `harness.storage.VolumeStore.begin_read`. Raises `ObjectBusy` while the source moves or is reverted."""
        held = self.usable(source)
        if held.changing is not None:
            raise ObjectBusy(f"{source} is being {held.changing}")
        held.readers += 1
        path = (self.medium.disk_read, self.medium.port_out)
        transfer = StreamTransfer(self._runtime, self._fabric, path, f"reading of {source}", held.bytes)
        content = held.content.freeze() if point_in_time else None
        crawl = Crawl(transfer.moved)
        if content is None:
            held.crawls.append(crawl)

        def look(first: int, end: int) -> dict[int, int]:
            if content is not None:
                return content.between(first, end)
            return crawl.seen(held.content.between(first, end), first, end)

        def release() -> None:
            held.readers -= 1
            held.reading = [r for r in held.reading if r != transfer.fail_at]
            held.crawls = [c for c in held.crawls if c is not crawl]

        held.reading.append(transfer.fail_at)
        for block in sorted(held.bad):
            transfer.fail_at(block * BLOCK, held.medium_error(block))
        return StreamReader(transfer, chunk_bytes, look, release)

    # ---- inspection ------------------------------------------------------------------------------------------------

    def objects(self) -> tuple[StoredObject, ...]:
        """See `harness.storage.VolumeStore.objects`."""
        return tuple([held.described() for held in self._objects.by_name()])

    def image(self, object_id: str) -> Image:
        """See `harness.storage.VolumeStore.image`."""
        return self._find(object_id).image()

    def used_bytes(self) -> int:
        """See `harness.storage.VolumeStore.used_bytes`."""
        parts = [Part(held.lineage, held.provisioned, held.image()) for held in self._objects.values()]
        return room_taken(parts, self.figures.is_thin)

    def inspect(self, activities: tuple[ActivityView, ...], connections: int) -> LazyInspection:
        """The objects as they are now, as an inspection of the backend with those activities and connections."""
        return LazyInspection(self._objects.by_name(), self.figures.is_thin, activities, connections)

    def find(self, object_id: str) -> HeldObject | None:
        """The object of that id, complete or not; None if there is none."""
        return self._objects.get(object_id)

    def usable(self, object_id: str, kind: str | None = None) -> HeldObject:
        """The complete object of that id and kind. Raises `ObjectUnknown` for any other, incomplete ones included."""
        held = self._find(object_id)
        if not held.complete or (kind is not None and held.kind != kind):
            raise ObjectUnknown(f"no usable {kind or 'volume or snapshot'} {object_id} on {self.name}")
        return held

    # ---- parts -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _started(transfer: BulkTransfer, source: HeldObject) -> BulkTransfer:
        first_bad = source.first_bad()
        if first_bad is not None and transfer.fail_at in source.reading:
            transfer.fail_at(first_bad * BLOCK, source.medium_error(first_bad))
        return transfer

    def _fill(
        self, source: HeldObject, target: HeldObject, point_in_time: bool, name: str, reads: bool
    ) -> BulkTransfer:
        """A transfer, not begun, that fills `target` from `source`; the target stays incomplete until the end."""
        target.complete = False
        source.readers += 1
        frozen = source.content.freeze() if point_in_time else None
        rank = self._copy_order(target.id, source.bytes // BLOCK)
        crawl = Crawl(lambda: transfer.moved(), rank)
        if frozen is None:
            source.crawls.append(crawl)

        def seen() -> dict[int, int]:
            return frozen.image() if frozen is not None else crawl.seen(source.content.image())

        def let_go() -> None:
            source.readers -= 1
            source.reading = [r for r in source.reading if r != transfer.fail_at]
            source.crawls = [c for c in source.crawls if c is not crawl]

        def finish() -> None:
            let_go()
            if frozen is not None:
                target.content = frozen
            else:
                target.content = source.content.freeze()
                for block, stamp in crawl.kept.items():
                    target.content.write(block, stamp)
            target.partial = None
            target.complete = True

        def discard() -> None:
            let_go()
            target.store._remove(target)

        transfer = BulkTransfer(self._runtime, name, source.bytes, finish, discard)
        target.partial = lambda: arrived(seen(), transfer.moved(), rank)
        if reads:
            source.reading.append(transfer.fail_at)
        return transfer

    def _work(
        self, source: HeldObject, path: tuple[Link, ...], size: int, ended: Callable[[], None], quick: bool
    ) -> Work:
        if quick:
            return TimedWork(self._runtime.env, self.figures.snapshot_ns, size, ended)
        return self._fabric.start(path, size, ended)

    def _path_to(self, destination: SimulatedStore) -> tuple[Link, ...]:
        here, there = self.medium, destination.medium
        if destination is self:
            return (here.disk_read, here.disk_write)
        return (here.disk_read, here.port_out, there.port_in, there.disk_write)

    def _within_family(self, into: VolumeStore) -> SimulatedStore:
        if not isinstance(into, SimulatedStore) or into.family != self.family:
            raise Unsupported(f"{self.name} ({self.family}) can't reach {into.name} ({into.family})")
        return into

    def _add(self, object_id: str, kind: str, size: int, lineage: int | None = None) -> HeldObject:
        held = HeldObject(
            id=object_id,
            kind=kind,
            size=size,
            store=self,
            lineage=next(self._lineages) if lineage is None else lineage,
            identity=self._mint_identity(),
            provisioned=size,
        )
        self._objects.put(held)
        return held

    def _remove(self, held: HeldObject) -> None:
        held.gone = True
        self._objects.take(held)
        parent = self._objects.get(held.parent or "")
        if parent is not None and not self._objects.snapshots_of(parent):
            parent.moved_away = None

    def _find(self, object_id: str) -> HeldObject:
        held = self._objects.get(object_id)
        if held is None:
            raise ObjectUnknown(f"no volume or snapshot {object_id} on {self.name}")
        return held

    def _check_idle(self, held: HeldObject) -> None:
        if held.busy_with is not None:
            raise ObjectBusy(f"{held.id} {held.busy_with}")

    def _check_new(self, object_id: str, size: int) -> None:
        if object_id in self._objects:
            raise ObjectExists(f"{object_id} is in use on {self.name}")
        self._check_room(size)

    def _check_room(self, size: int) -> None:
        if self.is_full and size:
            raise PoolFull(f"the pool of {self.name} is full")
        free = self.figures.pool_bytes - GIB * self._objects.provisioned
        if size * GIB > free:
            raise PoolFull(f"{self.name} has {free} bytes left, which is less than {size} GiB")
