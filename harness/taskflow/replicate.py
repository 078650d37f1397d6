"""Replicating a snapshot to another backend: natively, or by the fallback in four steps (specification section 3)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from harness.contract import METHODS, NotSupported, VolumeIsBusy
from harness.model import Snapshot, Volume, backend_name
from harness.taskflow.catalog import ANCHOR_FOR
from harness.taskflow.ends import DriverEnd
from harness.taskflow.errors import Refused
from harness.taskflow.flow import Flow, FlowCore
from harness.taskflow.journal import Undo
from harness.taskflow.methods import apply_update, took_it

HOOK = METHODS["replicate_snapshot"].name
PLAN = (HOOK, "clone", "migrate", "snapshot", "delete_copy", "delete_clone")
"""The native way, then the fallback's steps (R-1, R-2)."""


class Replication:
    """Replicates snapshots between the ends of one taskflow."""

    def __init__(self, core: FlowCore) -> None:
        self._core = core

    def replicate(self, snapshot_id: str, backend: str, new_id: str) -> Snapshot:
        """Make a copy of a snapshot on another backend, as snapshot `new_id`; returns its record.

        Doing it again with the same `new_id` returns what is there (R-10). Raises `Refused` for an unknown snapshot.
        """
        core = self._core
        present = core.catalog.snapshots.get(new_id)
        if present is not None and present.status == "available":
            return present
        try:
            snapshot = core.catalog.snapshots[snapshot_id]
        except KeyError:
            raise Refused(f"there is no snapshot {snapshot_id}") from None
        source = core.ends[backend_name(snapshot.volume.host)]
        destination = core.ends[backend]
        arguments = {"snapshot": snapshot_id, "backend": backend, "new_snapshot": new_id}
        with core.flow("replicate", [snapshot_id], [new_id], plan=PLAN, **arguments) as flow:
            home = replace(snapshot.volume, host=destination.host)
            new = replace(snapshot, id=new_id, status="creating", volume=home)
            core.catalog.add(new)
            flow.record.completes.append(new_id)
            flow.undo_with("forget", id=new_id)
            if not (self.is_native(source, destination) and self._natively(flow, source, destination, snapshot, new)):
                self._fall_back(flow, source, destination, snapshot, new)
        return new

    @staticmethod
    def is_native(source: DriverEnd, destination: DriverEnd) -> bool:
        """R-1: both ends publish snapshot replication and are of one family."""
        both = source.publication.snapshot_replication and destination.publication.snapshot_replication
        return both and source.implements(HOOK) and source.family == destination.family

    @staticmethod
    def _natively(flow: Flow, source: DriverEnd, destination: DriverEnd, snapshot: Snapshot, new: Snapshot) -> bool:
        """The driver's own replication; False if it says, before any effect, that it can't."""
        undo = flow.undo_with("delete_snapshot", backend=destination.backend, id=new.id)
        arguments = {"snapshot": snapshot, "destination": destination.destination, "new_snapshot": new}
        try:
            with flow.step(HOOK):
                apply_update(source, HOOK, new, flow.run(source, HOOK, arguments))
        except NotSupported:
            flow.drop_undo(undo)
            return False
        return True

    def _fall_back(
        self, flow: Flow, source: DriverEnd, destination: DriverEnd, snapshot: Snapshot, new: Snapshot
    ) -> None:
        """R-2: clone an anonymous volume, migrate it, take a snapshot there, delete both."""
        clone, undo_clone = self._clone(flow, source, snapshot)
        moved, copy = self._move(flow, source, destination, clone, undo_clone)

        flow.undo_with("delete_snapshot", backend=destination.backend, id=new.id)
        new.volume_id, new.volume = copy.id, copy
        with flow.step("snapshot"):
            apply_update(
                destination, "create_snapshot", new, flow.run(destination, "create_snapshot", {"snapshot": new})
            )

        with flow.step("delete_copy"):
            try:
                flow.run(destination, "delete_volume", {"volume": copy})
            except VolumeIsBusy:
                # the backend's snapshots need their volume; it stays, hidden, and goes with the snapshot: should
                # this flow still fail, its undo goes after that of the snapshot
                copy.admin_metadata[ANCHOR_FOR] = new.id
                copy.status = "available"
                self._core.recorder.emit("anchor.kept", snapshot=new.id, volume=copy.id, backend=destination.backend)
            else:
                self._core.catalog.remove(copy.id)
        if not moved:
            with flow.step("delete_clone"):
                flow.run(source, "delete_volume", {"volume": clone})
                self._core.catalog.remove(clone.id)

    def _anonymous(self, flow: Flow, end: DriverEnd, snapshot: Snapshot, part: str) -> tuple[Volume, Undo]:
        """A hidden volume that nobody pays for (R-6), entered in the catalog with its undo."""
        volume = Volume(
            id=f"{self._core.run_id}-{flow.record.id}-{part}",
            size=snapshot.volume_size,
            host=end.host,
            status="creating",
            display_name=f"temporary volume for {flow.record.id}",
            snapshot_id=snapshot.id,
            use_quota=False,
            admin_metadata={"temporary": "True"},
        )
        self._core.catalog.add(volume)
        flow.undo_with("forget", id=volume.id)
        return volume, flow.undo_with("delete_volume", backends=[end.backend], id=volume.id)

    def _clone(self, flow: Flow, source: DriverEnd, snapshot: Snapshot) -> tuple[Volume, Undo]:
        clone, undo = self._anonymous(flow, source, snapshot, "clone")
        arguments = {"volume": clone, "snapshot": snapshot}
        with flow.step("clone"):
            update = flow.run(source, "create_volume_from_snapshot", arguments)
            apply_update(source, "create_volume_from_snapshot", clone, update)
            clone.status = "available"  # as of any volume that is made; drivers refuse others
        return clone, undo

    def _move(
        self, flow: Flow, source: DriverEnd, destination: DriverEnd, clone: Volume, undo_clone: Undo
    ) -> tuple[bool, Volume]:
        """Migrate the clone; whether the driver moved it, and the volume at the destination."""
        method = "migrate_volume"
        # from here on a failure may leave it at either end
        undo_clone = flow.replace_undo(undo_clone, backends=[source.backend, destination.backend], id=clone.id)
        with flow.step("migrate"):
            answer: Any = (False, None)
            if source.implements(method):
                with contextlib.suppress(NotSupported):
                    answer = flow.run(source, method, {"volume": clone, "host": destination.destination})
            if took_it(source, method, answer):
                if isinstance(answer, tuple):
                    apply_update(source, method, clone, answer[1])
                clone.host = destination.host  # moving it has deleted the source clone
                return True, clone
            undo_clone = flow.replace_undo(undo_clone, backends=[source.backend], id=clone.id)
            snapshot = self._core.catalog.snapshots[clone.snapshot_id or ""]
            copy, _ = self._anonymous(flow, destination, snapshot, "copy")
            update = flow.run(destination, "create_volume", {"volume": copy})
            apply_update(destination, "create_volume", copy, update)
            copy.status = "available"
            self._core.host.copy(clone.id, source.backend, copy.id, destination.backend)
        return False, copy
