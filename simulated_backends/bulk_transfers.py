"""Copies, moves and reverts of whole objects, and reading them: each begun at one instant, each over a flow.

A transfer moves the bytes of the whole object, written or not, over the disk of its backend, and over the ports of
both backends where it leaves one. What it works on is checked when it begins, and its effect comes at its end.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.recorder import Recorder
from harness.runtime.virtual import VirtualRuntime
from harness.storage import BLOCK, CopyRequest, ObjectBusy, Unsupported
from simulated_backends.content import Crawl, Rank, ascending
from simulated_backends.fabric import Fabric, Path
from simulated_backends.held_objects import HeldObjects
from simulated_backends.profiles import SHARING_KINDS
from simulated_backends.starvation import Starvation
from simulated_backends.stored_object import Arrival, HeldObject, arrived
from simulated_backends.transfers import BulkTransfer, StreamReader, StreamTransfer, TimedWork, Work


class BulkTransfers:
    """Begins the transfers whose source is one of `objects`; destinations are objects of backends of one family.

    `copy_order` gives the order in which a copy or a move takes the blocks, from the id of its target and the source's
    size in blocks.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        fabric: Fabric,
        objects: HeldObjects,
        copy_order: Callable[[str, int], Rank] = lambda target, blocks: ascending,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._fabric = fabric
        self._objects = objects
        self._copy_order = copy_order

    def begin_copy(self, request: CopyRequest, into: HeldObjects) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_copy`. Raises `ObjectBusy` while the source moves or is reverted."""
        objects, figures = self._objects, self._objects.pool.figures
        source = objects.usable(request.source)
        if request.makes not in ("volume", "snapshot"):
            raise Unsupported(f"a copy makes a volume or a snapshot, not {request.makes!r}")
        if source.changing is not None:
            raise ObjectBusy(f"{source.id} is being {source.changing}")
        size = request.size or source.size
        if size < source.size:
            raise Unsupported(f"{source.id} has {source.size} GiB, a copy of it can't have {size}")
        sharing = request.point_in_time and into is objects and figures.snapshot_kind in SHARING_KINDS
        if request.linked and not (sharing and request.makes == "volume" and figures.is_thin):
            raise Unsupported(f"{objects.pool.name} makes no volumes that share the blocks of {request.source}")
        snaps = sharing and request.makes == "snapshot" and source.kind == "volume"
        shares = snaps or request.linked
        into.check_new(request.target, 0 if snaps else size)
        target = into.add(request.target, request.makes, size, source if shares else None, 0 if snaps else size)
        if snaps and figures.snapshot_kind == "copy-on-write":
            source.moved_away = set()
        if request.makes == "snapshot" and source.kind == "volume" and into is objects:
            objects.make_snapshot(target, source)
        path = self._path_to(into)
        name = f"copy of {source.id} to {request.target} on {into.pool.name}"
        transfer = self._fill(source, target, into, request.point_in_time, name, reads=not shares)
        return transfer.run(lambda size, ended: self._work(path, size, transfer.total, ended, shares))

    def begin_move(self, volume_id: str, into: HeldObjects, live: bool) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_move`.

        Raises `ObjectBusy` while a transfer of the volume is under way, or if its snapshots depend on it.
        """
        objects, here, there = self._objects, self._objects.pool.name, into.pool.name
        volume = objects.usable(volume_id, "volume")
        if into is objects:
            raise Unsupported(f"{volume_id} is on {here} already")
        objects.check_removable(volume)
        into.check_new(volume_id, volume.size)
        volume.settle()
        arriving = into.add(volume_id, "volume", volume.size)
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
            _unread(volume, transfer, crawl)
            starvation.end()
            into.remove(arriving)

        def cut_over() -> None:
            let_go()
            for block, stamp in crawl.kept.items():  # a mover that does not mirror loses what it had passed
                volume.write(block, stamp)
            volume.bad = arrival.bad()
            objects.take(volume)
            volume.pool, volume.lineage = into.pool, arriving.lineage
            volume.moved_away = None
            into.put(volume)
            self._recorder.emit("volume.cutover", volume=volume_id, source=here, destination=there)

        name = f"move of {volume_id} from {here} to {there}"
        transfer = BulkTransfer(self._runtime, name, volume.bytes, cut_over, let_go)
        carried = volume.content.stamp if live else None
        arrival = arriving.arrival = Arrival(transfer.moved, rank, volume.bytes // BLOCK, carried)
        arriving.partial = lambda: arrived(seen(), transfer.moved(), rank)
        starvation = Starvation(transfer, into.pool, rank, seen, volume, mirrors=live)
        arriving.starve = starvation.begin
        path = self._path_to(into)
        volume.read_by(transfer.fail_at, rank)
        return transfer.run(lambda size, ended: self._fabric.start(path, size, ended))

    def begin_revert(self, volume_id: str, snapshot_id: str) -> BulkTransfer:
        """See `harness.storage.VolumeStore.begin_revert`; the content changes at the end, as a whole.

        Raises `ObjectBusy` while a transfer of the volume is under way, `Unsupported` for another volume's snapshot.
        The transfer fails at its end, with no effect, without room for the content, or for what other snapshots would
        have to keep then.
        """
        volume = self._objects.usable(volume_id, "volume")
        snapshot = self._objects.usable(snapshot_id, "snapshot")
        if snapshot.origin is not volume:
            raise Unsupported(f"{snapshot_id} is no snapshot of {volume_id}")
        volume.check_idle()
        volume.changing = "reverted"
        snapshot.readers += 1

        def let_go() -> None:
            volume.changing = None
            snapshot.readers -= 1
            _unread(snapshot, transfer)

        def finish() -> None:
            self._objects.replace(volume, snapshot.content.freeze())
            let_go()
            volume.bad = set(snapshot.bad) if quick else set()

        name = f"revert of {volume_id} to {snapshot_id}"
        transfer = BulkTransfer(self._runtime, name, snapshot.bytes, finish, let_go)
        quick = snapshot.lineage == volume.lineage
        if not quick:
            snapshot.read_by(transfer.fail_at)
        path = self._path_to(self._objects)
        return transfer.run(lambda size, ended: self._work(path, size, transfer.total, ended, quick))

    def begin_read(self, source: str, point_in_time: bool, chunk_bytes: int) -> StreamReader:
        """See `harness.storage.VolumeStore.begin_read`. Raises `ObjectBusy` while the source moves or is reverted."""
        held = self._objects.usable(source)
        if held.changing is not None:
            raise ObjectBusy(f"{source} is being {held.changing}")
        held.readers += 1
        medium = self._objects.pool.medium
        path = (medium.disk_read, medium.port_out)
        transfer = StreamTransfer(self._runtime, self._fabric, path, f"reading of {source}", held.bytes)
        held.settle()
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
            _unread(held, transfer, crawl)

        held.read_by(transfer.fail_at, frozen=content)
        return StreamReader(transfer, chunk_bytes, look, release)

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _fill(
        self,
        source: HeldObject,
        target: HeldObject,
        into: HeldObjects,
        point_in_time: bool,
        name: str,
        reads: bool,
    ) -> BulkTransfer:
        """A transfer, not begun, that fills `target` from `source`; the target stays incomplete until the end."""
        target.complete = False
        source.readers += 1
        source.settle()
        frozen = source.content.freeze() if point_in_time else None
        if frozen is not None:
            target.content = frozen  # what it shares, it shares from now on
            if target.provisioned:
                into.recount(target)
        rank = self._copy_order(target.id, source.bytes // BLOCK)
        crawl = Crawl(lambda: transfer.moved(), rank)
        if frozen is None:
            source.crawls.append(crawl)

        def seen() -> dict[int, int]:
            return frozen.image() if frozen is not None else crawl.seen(source.content.image())

        def let_go() -> None:
            source.readers -= 1
            _unread(source, transfer, crawl)
            starvation.end()

        def finish() -> None:
            let_go()
            if frozen is None:
                target.content = source.content.freeze()
                for block, stamp in crawl.kept.items():
                    target.content.write(block, stamp)
            if target.arrival is not None:
                target.bad = target.arrival.bad()
            target.partial = target.starve = target.arrival = None
            target.complete = True

        def discard() -> None:
            let_go()
            into.remove(target)

        transfer = BulkTransfer(self._runtime, name, source.bytes, finish, discard)
        target.partial = lambda: arrived(seen(), transfer.moved(), rank)
        starvation = Starvation(transfer, into.pool, rank, seen, source if frozen is None else None)
        if reads:
            target.starve = starvation.begin
            target.arrival = Arrival(transfer.moved, rank, source.bytes // BLOCK)
            source.read_by(transfer.fail_at, rank, frozen)
        else:
            target.bad.update(source.bad)
        return transfer

    def _work(self, path: Path, size: int, total: int, ended: Callable[[], None], quick: bool) -> Work:
        """What moves `size` bytes of a transfer of `total`; a `quick` one takes its fixed time for all of them."""
        if quick:
            whole_ns = self._objects.pool.figures.snapshot_ns
            return TimedWork(self._runtime.env, whole_ns * size // total if total else whole_ns, size, ended)
        return self._fabric.start(path, size, ended)

    def _path_to(self, destination: HeldObjects) -> Path:
        here, there = self._objects.pool.medium, destination.pool.medium
        if destination is self._objects:
            return (here.disk_read, here.disk_write)
        lines = self._objects.pool.lines_to(destination.pool.name)
        return (here.disk_read, here.port_out, *lines, there.port_in, there.disk_write)


def _unread(held: HeldObject, transfer: BulkTransfer | StreamTransfer, crawl: Crawl | None = None) -> None:
    """The transfer does not read the object any more, nor crawl over it."""
    held.unread_by(transfer.fail_at)
    held.crawls = [c for c in held.crawls if c is not crawl]
