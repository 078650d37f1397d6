"""One method on one volume or snapshot: quiesced where it is not listed, undone where it fails."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.contract import NotSupported
from harness.model import Backup, Snapshot, Volume, backend_name
from harness.taskflow.answers import kind_of_answer
from harness.taskflow.ends import DriverEnd
from harness.taskflow.errors import DriverError, Refused
from harness.taskflow.flow import Flow, FlowCore
from harness.taskflow.quiesce import Quiesce

STATUS_WHILE = {
    "backup_volume": "backing-up",
    "copy_volume_to_image": "uploading",
    "migrate_volume": "migrating",
    "retype": "retyping",
    "extend_volume": "extending",
    "revert_to_snapshot": "reverting",
}
"""The status that a volume has while a method that is not listed as stateless works on it (Cinder's names)."""


def needs_quiesce(core: FlowCore, end: DriverEnd, method: str, subject: Volume | Snapshot) -> bool:
    """Q-1, Q-11: an attached volume, and a method that the driver does not list."""
    if not isinstance(subject, Volume) or method in end.publication.stateless_activities:
        return False
    return bool(core.catalog.attachments(subject.id))


def run_quiesced(
    core: FlowCore, flow: Flow, end: DriverEnd, method: str, arguments: dict[str, Any], subject: Volume | Snapshot
) -> Any:
    """Carry `method` out in `flow`, quiescing `subject` if the method needs it; status is restored on every exit."""
    with ExitStack() as stack:
        if isinstance(subject, Volume) and method not in end.publication.stateless_activities:
            before = subject.status
            if method in STATUS_WHILE:
                undo = flow.undo_with("restore_status", id=subject.id, status=before)
                subject.status = STATUS_WHILE[method]
                stack.callback(flow.drop_undo, undo)
                stack.callback(core.set_status, subject, before)
        if needs_quiesce(core, end, method, subject):
            undo = flow.undo_with("release", volume=subject.id)
            stack.callback(flow.drop_undo, undo)
            quiesce = Quiesce(
                core.recorder,
                core.catalog.attachments(subject.id),
                flow.record.id,
                core.policy.quiesce_within_ns,
                core.policy.max_hold_ns,
            )
            stack.enter_context(quiesce.held())
        return flow.run(end, method, arguments)


def apply_update(end: DriverEnd, method: str, record: Volume | Snapshot, update: Any) -> None:
    """Apply a driver's model update.

    Raises `DriverError` for anything but None or a dict of known fields, for one that changes what belongs to the
    control plane (id, host, size, owner), and for one that reports an error by its status.
    """
    if update is None:
        return
    if not isinstance(update, dict):
        raise DriverError(end.name, method, f"returned {kind_of_answer(update)}; a model update is a dict or None")
    foreign = [key for key in _CONTROL_PLANE if key in update and update[key] != record.get(key)]
    if foreign:
        raise DriverError(end.name, method, f"its model update changes {foreign[0]}, which is the control plane's")
    if str(update.get("status", "available")).startswith("error"):
        raise DriverError(end.name, method, f"its model update says status {str(update['status'])[:40]!r}")
    try:
        record.update({key: value for key, value in update.items() if key != "status"})
    except KeyError as error:
        raise DriverError(end.name, method, f"its model update names {str(error)[:60]}, which is no field") from error


_CONTROL_PLANE = ("id", "host", "size", "volume_id", "volume_size", "use_quota", "user_id", "project_id")


class Methods:
    """Cinder's methods as flows. Volumes and snapshots are named by id; ends by their backend's name."""

    def __init__(self, core: FlowCore) -> None:
        self._core = core

    def create_volume(self, volume_id: str, size: int, backend: str) -> Volume:
        """Make an empty volume of `size` GiB."""
        end = self._core.ends[backend]
        volume = Volume(volume_id, size, end.host, status="creating")
        with self._core.flow("create_volume", volume=volume_id) as flow:
            self._enter(flow, volume, end)
            with flow.step("create_volume"):
                apply_update(end, "create_volume", volume, flow.run(end, "create_volume", {"volume": volume}))
        return volume

    def create_snapshot(self, volume_id: str, snapshot_id: str) -> Snapshot:
        """Snapshot a volume, attached or not."""
        volume = self._volume(volume_id)
        snapshot = Snapshot(snapshot_id, volume.id, volume.size, volume, status="creating")
        self._making("create_snapshot", volume, {"snapshot": snapshot}, snapshot)
        return snapshot

    def clone(self, volume_id: str, new_id: str) -> Volume:
        """Clone a volume, attached or not."""
        source = self._volume(volume_id)
        clone = Volume(new_id, source.size, source.host, status="creating", source_volid=source.id)
        self._making("create_cloned_volume", source, {"volume": clone, "src_vref": source}, clone)
        return clone

    def create_volume_from_snapshot(self, snapshot_id: str, new_id: str, size: int | None = None) -> Volume:
        """Make a volume from a snapshot, of `size` GiB where it is to be larger."""
        snapshot = self._snapshot(snapshot_id)
        size = size or snapshot.volume_size
        volume = Volume(new_id, size, snapshot.volume.host, status="creating", snapshot_id=snapshot_id)
        arguments = {"volume": volume, "snapshot": snapshot}
        self._making("create_volume_from_snapshot", snapshot, arguments, volume)
        return volume

    def upload(self, volume_id: str, image_service: Any, image_id: str) -> None:
        """Upload a volume as an image."""
        volume = self._volume(volume_id)
        arguments = {"volume": volume, "image_service": image_service, "image_meta": {"id": image_id}}
        with self._core.flow("copy_volume_to_image", volume=volume_id) as flow, flow.step("copy_volume_to_image"):
            run_quiesced(self._core, flow, self._end(volume), "copy_volume_to_image", arguments, volume)

    def extend(self, volume_id: str, new_size: int) -> None:
        """Grow a volume to `new_size` GiB."""
        volume = self._volume(volume_id)
        arguments = {"volume": volume, "new_size": new_size}
        with self._core.flow("extend_volume", volume=volume_id) as flow, flow.step("extend_volume"):
            run_quiesced(self._core, flow, self._end(volume), "extend_volume", arguments, volume)
            volume.size = new_size

    def migrate(self, volume_id: str, backend: str, method: str = "migrate_volume") -> Volume:
        """Move a volume to another backend, by the driver (`migrate_volume` or `retype`) or through a host's copy.

        Returns the volume's record, whose `host` says where it is. A host's copy needs the volume detached.
        """
        core = self._core
        volume = self._volume(volume_id)
        source, destination = self._end(volume), core.ends[backend]
        arguments: dict[str, Any] = {"volume": volume, "host": destination.destination}
        if method == "retype":
            arguments |= {"new_type": {"id": backend, "name": backend}, "diff": {}}
        with core.flow(method, volume=volume_id, backend=backend) as flow:
            with flow.step(method):
                answer: Any = (False, None)
                if source.implements(method):
                    with contextlib.suppress(NotSupported):
                        answer = run_quiesced(core, flow, source, method, arguments, volume)
                moved = took_it(source, method, answer)
            if moved:
                if isinstance(answer, tuple):
                    apply_update(source, method, volume, answer[1])
                volume.host = destination.host
            else:
                self._through_host(flow, volume, source, destination)
        return volume

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume. Raises `Refused` while it is attached or has snapshots that users know."""
        volume = self._volume(volume_id)
        if self._core.catalog.attachments(volume_id):
            raise Refused(f"{volume_id} is attached; detach it first")
        if any(s.volume_id == volume_id for s in self._core.catalog.snapshots.values()):
            raise Refused(f"{volume_id} has snapshots; delete them first")
        with self._core.flow("delete_volume", volume=volume_id) as flow, flow.step("delete_volume"):
            flow.run(self._end(volume), "delete_volume", {"volume": volume})
            self._core.catalog.remove(volume_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot, and the anchor that was kept for it (R-8)."""
        snapshot = self._snapshot(snapshot_id)
        with self._core.flow("delete_snapshot", snapshot=snapshot_id) as flow:
            with flow.step("delete_snapshot"):
                flow.run(self._end(snapshot.volume), "delete_snapshot", {"snapshot": snapshot})
                self._core.catalog.remove(snapshot_id)
            for anchor in self._core.catalog.anchors_of(snapshot_id):
                with flow.step("delete_anchor"):
                    flow.run(self._end(anchor), "delete_volume", {"volume": anchor})
                    self._core.catalog.remove(anchor.id)

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _making(
        self, method: str, subject: Volume | Snapshot, arguments: dict[str, Any], made: Volume | Snapshot
    ) -> None:
        volume = subject if isinstance(subject, Volume) else subject.volume
        end = self._end(volume)
        with self._core.flow(method, subject=subject.id, makes=made.id) as flow:
            self._enter(flow, made, end)
            with flow.step(method):
                update = run_quiesced(self._core, flow, end, method, arguments, subject)
                apply_update(end, method, made, update)

    def _enter(self, flow: Flow, made: Volume | Snapshot | Backup, end: DriverEnd) -> None:
        self._core.catalog.add(made)
        flow.record.completes.append(made.id)
        flow.undo_with("forget", id=made.id)
        if isinstance(made, Volume):
            flow.undo_with("delete_volume", backends=[end.backend], id=made.id)
        elif isinstance(made, Snapshot):
            flow.undo_with("delete_snapshot", backend=end.backend, id=made.id)

    def _through_host(self, flow: Flow, volume: Volume, source: DriverEnd, destination: DriverEnd) -> None:
        """Copy a detached volume through a host; the source goes only after the cut-over (R-12)."""
        if self._core.catalog.attachments(volume.id):
            raise Refused(f"{source.name} can't migrate {volume.id} and it is attached; detach it for a host's copy")
        undo = flow.undo_with("delete_volume", backends=[destination.backend], id=volume.id)
        copy = replace(volume, host=destination.host)
        with flow.step("create_destination"):
            apply_update(destination, "create_volume", copy, flow.run(destination, "create_volume", {"volume": copy}))
        with flow.step("host_copy"):
            self._core.host_copy(volume.id, source.backend, copy.id, destination.backend)
        old = replace(volume)
        volume.host = destination.host  # the cut-over: from here on the copy is the volume, and never deleted
        flow.replace_undo(undo, backends=[source.backend], id=volume.id)
        with flow.step("delete_source"):
            flow.run(source, "delete_volume", {"volume": old})

    def _volume(self, volume_id: str) -> Volume:
        try:
            return self._core.catalog.volumes[volume_id]
        except KeyError:
            raise Refused(f"there is no volume {volume_id}") from None

    def _snapshot(self, snapshot_id: str) -> Snapshot:
        try:
            return self._core.catalog.snapshots[snapshot_id]
        except KeyError:
            raise Refused(f"there is no snapshot {snapshot_id}") from None

    def _end(self, volume: Volume) -> DriverEnd:
        return self._core.ends[backend_name(volume.host)]


def took_it(end: DriverEnd, method: str, answer: Any) -> bool:
    """Whether a moving method says that it moved the volume. Raises `DriverError` for an answer not of Cinder's."""
    if isinstance(answer, bool):
        return answer
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], bool):
        return answer[0]
    raise DriverError(end.name, method, f"returned {kind_of_answer(answer)}; Cinder expects (bool, model update)")
