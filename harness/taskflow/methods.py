"""One method on one volume or snapshot: quiesced where it is not listed, undone where it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.contract import NotSupported
from harness.model import Backup, Snapshot, Volume, backend_name
from harness.taskflow.answers import kind_of_answer
from harness.taskflow.ends import DriverEnd
from harness.taskflow.errors import DriverError, OutcomeUnknown, QuiesceLost, Refused
from harness.taskflow.flow import Flow, FlowCore
from harness.taskflow.journal import Undo
from harness.testbed import Attachment

STATUS_WHILE = {
    "backup_volume": "backing-up",
    "copy_volume_to_image": "uploading",
    "migrate_volume": "migrating",
    "retype": "retyping",
    "extend_volume": "extending",
    "revert_to_snapshot": "reverting",
}
"""The status that a volume has while a method that is not listed as stateless works on it (Cinder's names)."""

THROUGH_HOST = ("create_destination", "host_copy", "delete_source")
"""The steps that follow a migration that the driver did not carry out."""


def needs_quiesce(end: DriverEnd, method: str, subject: Volume | Snapshot) -> bool:
    """Q-1, Q-11: a volume, and a method that the driver does not list; a snapshot is quiescent already."""
    return isinstance(subject, Volume) and method not in end.publication.stateless_activities


def run_quiesced(
    core: FlowCore, flow: Flow, end: DriverEnd, method: str, arguments: dict[str, Any], subject: Volume | Snapshot
) -> Any:
    """Carry `method` out in `flow`, quiescing `subject` if the method needs it; status is restored on every exit."""
    if not isinstance(subject, Volume) or not needs_quiesce(end, method, subject):
        return flow.run(end, method, arguments)
    with quiesced(core, flow, subject, STATUS_WHILE.get(method)):
        return flow.run(end, method, arguments)


@contextlib.contextmanager
def quiesced(core: FlowCore, flow: Flow, volume: Volume, status: str | None) -> Iterator[None]:
    """Hold a volume for the body, its status being `status` meanwhile; raises as `Quiesces.held` does."""
    catalog = core.catalog
    with ExitStack() as stack:
        stack.callback(flow.drop_undo, flow.undo_with("restore_status", id=volume.id))
        stack.enter_context(core.statuses.working(volume, flow.record.id, status))

        def announce(owner: str) -> None:  # written down before the first gate is held
            before = None if catalog.attachments(volume.id) else catalog.attachments_made(volume.id)
            undo = flow.undo_with("release", volume=volume.id, owner=owner, attached_before=before)
            stack.callback(flow.drop_undo, undo)

        with core.quiesces.held(volume.id, flow.record.id, announce) as flow.hold:
            yield
        flow.hold = None


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

    def attach(self, attachment: Attachment) -> None:
        """Enter a host's new attachment, before the host writes; while the volume is quiesced it joins held (Q-11)."""
        self._volume(attachment.volume_id)
        self._core.quiesces.admit(attachment)
        self._core.catalog.attach(attachment)

    def detach(self, attachment: Attachment) -> None:
        """Detach a volume from a host. Raises `Refused` while a method works on it that needs it as it is (Q-13)."""
        busy = self._core.quiesces.held_for(attachment.volume_id)
        if busy:
            raise Refused(f"{attachment.volume_id} is quiesced for {busy}; wait for its end before it is detached")
        attachment.detach()
        self._core.catalog.detach(attachment)

    def create_volume(self, volume_id: str, size: int, backend: str) -> Volume:
        """Make an empty volume of `size` GiB."""
        end = self._core.ends[backend]
        volume = Volume(volume_id, size, end.host, status="creating")
        with self._core.flow("create_volume", changes=[volume_id], plan=["create_volume"], volume=volume_id) as flow:
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
        plan = ("copy_volume_to_image",)
        running = self._core.flow("copy_volume_to_image", [volume_id], plan=plan, volume=volume_id, image=image_id)
        with running as flow, flow.step("copy_volume_to_image"):
            run_quiesced(self._core, flow, self._end(volume), "copy_volume_to_image", arguments, volume)

    def extend(self, volume_id: str, new_size: int) -> None:
        """Grow a volume to `new_size` GiB."""
        volume = self._volume(volume_id)
        arguments = {"volume": volume, "new_size": new_size}
        running = self._core.flow("extend_volume", changes=[volume_id], plan=["extend_volume"], volume=volume_id)
        with running as flow, flow.step("extend_volume"):
            try:
                with self._forward(flow, flow.undo_with("extend", id=volume_id, size=new_size)):
                    run_quiesced(self._core, flow, self._end(volume), "extend_volume", arguments, volume)
            except QuiesceLost:
                volume.size = new_size  # it has grown all the same, and can't be made to shrink
                raise
            volume.size = new_size

    def migrate(self, volume_id: str, backend: str, method: str = "migrate_volume") -> Volume:
        """Move a volume to another backend, by the driver (`migrate_volume` or `retype`) or through a host's copy.

        Returns the volume's record, whose `host` says where it is. A host's copy needs the volume detached.
        """
        core = self._core
        volume = self._volume(volume_id)
        if any(s.volume_id == volume_id for s in core.catalog.snapshots.values()):
            raise Refused(f"{volume_id} has snapshots, which would stay behind; delete them before it is moved")
        source, destination = self._end(volume), core.ends[backend]
        arguments: dict[str, Any] = {"volume": volume, "host": destination.destination}
        if method == "retype":
            arguments |= {"new_type": {"id": backend, "name": backend}, "diff": {}}
        plan = (method, *THROUGH_HOST)
        with core.flow(method, changes=[volume_id], plan=plan, volume=volume_id, backend=backend) as flow:
            with flow.step(method):
                answer: Any = (False, None)
                # whatever goes wrong from here on, the volume may be at either end
                undo = flow.undo_with("locate", id=volume.id, backends=[source.backend, destination.backend])
                if source.implements(method):
                    with contextlib.suppress(NotSupported):
                        answer = self._move(flow, source, method, arguments, volume)
                moved = took_it(source, method, answer)
            if moved:
                if isinstance(answer, tuple):
                    apply_update(source, method, volume, answer[1])
                volume.host = destination.host
                flow.drop_undo(undo)
            else:
                flow.drop_undo(undo)
                self._through_host(flow, volume, source, destination)
        return volume

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume. Raises `Refused` while it is attached or has snapshots that users know."""
        volume = self._volume(volume_id)
        if self._core.catalog.attachments(volume_id):
            raise Refused(f"{volume_id} is attached; detach it first")
        if any(s.volume_id == volume_id for s in self._core.catalog.snapshots.values()):
            raise Refused(f"{volume_id} has snapshots; delete them first")
        running = self._core.flow("delete_volume", changes=[volume_id], plan=["delete_volume"], volume=volume_id)
        with running as flow, flow.step("delete_volume"):
            end = self._end(volume)
            undos = (
                flow.undo_with("forget", id=volume_id),
                flow.undo_with("delete_volume", backends=[end.backend], id=volume_id),
            )
            with self._forward(flow, *undos):
                flow.run(end, "delete_volume", {"volume": volume})
            self._core.catalog.remove(volume_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot, and the anchor that was kept for it (R-8)."""
        snapshot = self._snapshot(snapshot_id)
        plan = ("delete_snapshot", "delete_anchor")
        with self._core.flow("delete_snapshot", changes=[snapshot_id], plan=plan, snapshot=snapshot_id) as flow:
            end = self._end(snapshot.volume)
            anchors = self._core.catalog.anchors_of(snapshot_id)
            for anchor in anchors:
                flow.undo_with("forget", id=anchor.id)
                flow.undo_with("delete_volume", backends=[self._end(anchor).backend], id=anchor.id)
            undos = list(flow.record.undo)
            undos.append(flow.undo_with("forget", id=snapshot_id))
            undos.append(flow.undo_with("delete_snapshot", backend=end.backend, id=snapshot_id))
            with flow.step("delete_snapshot"):
                with self._forward(flow, *undos):
                    flow.run(end, "delete_snapshot", {"snapshot": snapshot})
                self._core.catalog.remove(snapshot_id)
            if anchors:
                with flow.step("delete_anchor"):
                    for anchor in anchors:
                        flow.run(self._end(anchor), "delete_volume", {"volume": anchor})
                        self._core.catalog.remove(anchor.id)

    @staticmethod
    @contextlib.contextmanager
    def _forward(flow: Flow, *undos: Undo) -> Iterator[None]:
        """For what can't be undone: `undos` finish it where nobody knows how it ended; none is needed where the driver
        says that it failed."""
        try:
            yield
        except OutcomeUnknown:
            raise
        except Exception:
            for undo in undos:
                flow.drop_undo(undo)
            raise

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _making(
        self, method: str, subject: Volume | Snapshot, arguments: dict[str, Any], made: Volume | Snapshot
    ) -> None:
        volume = subject if isinstance(subject, Volume) else subject.volume
        end = self._end(volume)
        with self._core.flow(method, [subject.id], [made.id], plan=[method], subject=subject.id, makes=made.id) as flow:
            self._enter(flow, made, end)
            with flow.step(method):
                update = run_quiesced(self._core, flow, end, method, arguments, subject)
                apply_update(end, method, made, update)

    def _move(self, flow: Flow, end: DriverEnd, method: str, arguments: dict[str, Any], volume: Volume) -> Any:
        """Let the driver move a volume, quiesced if need be.

        If nobody knows whether it did, the volume stays held until it surely moves no more, or for as long as hosts
        hold it: what is written meanwhile would stay behind.
        """
        if not needs_quiesce(end, method, volume):
            return flow.run(end, method, arguments)
        with quiesced(self._core, flow, volume, STATUS_WHILE.get(method)):
            try:
                return flow.run(end, method, arguments)
            except OutcomeUnknown as lost:
                self._core.wait_out(lost)
                raise

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
            self._core.host.copy(volume.id, source.backend, copy.id, destination.backend)
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
