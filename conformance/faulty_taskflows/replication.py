"""Taskflows that replicate snapshots by the wrong way, or clean up badly (section R)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.faulty_taskflows.registry import flaw, patch
from harness.model import backend_name
from harness.taskflow import flow, replicate
from harness.taskflow.catalog import Catalog


@flaw("R-11")
def quiesces_in_the_fallback() -> None:
    """Quiesces the user's volume while the fallback works on its snapshot."""
    real = replicate.Replication._fall_back

    def fall_back(self: Any, running: Any, source: Any, destination: Any, snapshot: Any, new: Any) -> None:
        core = self._core
        attachments = core.catalog.attachments(snapshot.volume_id)
        for attachment in attachments:
            attachment.gate.hold("fallback", core.policy.quiesce_within_ns, core.policy.max_hold_ns)
        real(self, running, source, destination, snapshot, new)
        for attachment in attachments:
            attachment.gate.release("fallback")

    patch(replicate.Replication, "_fall_back", fall_back)


@flaw("R-1")
def always_falls_back() -> None:
    """Takes the fallback although both ends publish replication."""
    patch(replicate.Replication, "is_native", staticmethod(lambda *_: False))


@flaw("R-6")
def lets_users_pay() -> None:
    """Enters the anonymous volume as one of the user's."""
    real = Catalog.add

    def add(self: Catalog, record: Any) -> None:
        if getattr(record, "use_quota", True) is False:
            record.use_quota = True
        real(self, record)

    patch(Catalog, "add", add)


@flaw("R-8")
def keeps_the_copy() -> None:
    """Forgets to delete the migrated copy."""
    real = flow.Flow.run

    def run(self: flow.Flow, end: Any, method: str, arguments: dict[str, Any]) -> Any:
        volume = arguments.get("volume")
        if method == "delete_volume" and volume is not None and not volume.use_quota:
            return None
        return real(self, end, method, arguments)

    patch(flow.Flow, "run", run)


@flaw("R-9")
def undoes_nothing() -> None:
    """Leaves what a failed flow has made."""

    def undo(self: flow.FlowCore, record: Any) -> bool:
        record.state = "undone"
        return True

    patch(flow.FlowCore, "undo", undo)


@flaw("R-10")
def copies_again() -> None:
    """Replicates again what is at the destination already, under another name."""
    real = replicate.Replication.replicate

    def again(self: Any, snapshot_id: str, backend: str, new_id: str) -> Any:
        if new_id in self._core.catalog.snapshots:
            new_id += "-again"
        return real(self, snapshot_id, backend, new_id)

    patch(replicate.Replication, "replicate", again)


@flaw("R-1")
def takes_a_refusal_for_an_answer() -> None:
    """Takes the native way for done, though the driver refused it as not supported."""
    real = replicate.Replication._natively

    def natively(*arguments: Any) -> bool:
        real(*arguments)
        return True

    patch(replicate.Replication, "_natively", staticmethod(natively))


@flaw("R-2")
def asks_any_family() -> None:
    """Asks the driver to replicate to a backend of another family first."""

    def is_native(source: Any, destination: Any) -> bool:
        return bool(source.publication.snapshot_replication and source.implements(replicate.HOOK))

    patch(replicate.Replication, "is_native", staticmethod(is_native))


@flaw("R-2")
def deletes_the_clone_early() -> None:
    """Deletes the source clone before there is a snapshot of its copy."""
    real = replicate.Replication._move

    def move(self: Any, running: Any, source: Any, destination: Any, clone: Any, undo: Any) -> Any:
        moved, copy = real(self, running, source, destination, clone, undo)
        if not moved:
            running.run(source, "delete_volume", {"volume": clone})
        return moved, copy

    patch(replicate.Replication, "_move", move)


@flaw("R-7")
def deletes_what_was_moved() -> None:
    """Deletes the source clone once more after the driver has moved it."""
    real = replicate.Replication._move

    def move(self: Any, running: Any, source: Any, destination: Any, clone: Any, undo: Any) -> Any:
        moved, copy = real(self, running, source, destination, clone, undo)
        if moved:
            running.run(source, "delete_volume", {"volume": replace(clone, host=source.host)})
        return moved, copy

    patch(replicate.Replication, "_move", move)


@flaw("R-6")
def lists_what_is_anonymous() -> None:
    """Shows users every volume that there is, hidden ones too."""
    patch(Catalog, "visible_volumes", lambda self: list(self.volumes.values()))


@flaw("R-8", testbed="nfs-sim")
def forgets_the_anchor() -> None:
    """Deletes a snapshot without the hidden volume that was kept for it."""
    patch(Catalog, "anchors_of", lambda self, snapshot_id: [])


@flaw("R-9")
def undoes_the_first_step_only() -> None:
    """Undoes what a failed flow did first, and takes the rest for done."""
    real = flow.FlowCore.undo

    def undo(self: flow.FlowCore, record: Any) -> bool:
        record.undo = record.undo[:1]
        return real(self, record)

    patch(flow.FlowCore, "undo", undo)


@flaw("R-12")
def cleans_up_both_ends() -> None:
    """Deletes a volume at both ends where its migration failed, as if it were a temporary one."""

    def locate(self: flow.FlowCore, volume_id: str, backends: Any) -> None:
        for backend in backends:
            end = self.ends[backend]
            self._insist(end, "delete_volume", replace(self.catalog.volumes[volume_id], host=end.host))

    patch(flow.FlowCore, "_locate", locate)


@flaw("R-12")
def believes_its_record() -> None:
    """Leaves the record as it was where nobody knows whether the volume has moved."""
    patch(flow.FlowCore, "_locate", lambda *_: None)


@flaw("R-7")
def takes_a_move_for_a_copy() -> None:
    """Does not listen to the driver's answer that it has moved the clone, and in the end deletes it at the source."""
    real = replicate.Replication._move

    def move(self: Any, running: Any, source: Any, destination: Any, clone: Any, undo: Any) -> Any:
        _, copy = real(self, running, source, destination, clone, undo)
        return False, copy

    patch(replicate.Replication, "_move", move)


@flaw("R-10")
def clones_before_it_looks() -> None:
    """Clones the snapshot before it looks whether the replica is there already, and forgets the clone."""
    real = replicate.Replication.replicate

    def again(self: Any, snapshot_id: str, backend: str, new_id: str) -> Any:
        core = self._core
        if new_id in core.catalog.snapshots:
            snapshot = core.catalog.snapshots[snapshot_id]
            with core.flow("replicate", [snapshot_id], [new_id]) as running:
                self._clone(running, core.ends[backend_name(snapshot.volume.host)], snapshot)
        return real(self, snapshot_id, backend, new_id)

    patch(replicate.Replication, "replicate", again)


@flaw("R-11")
def clones_as_if_from_the_volume() -> None:
    """Takes the clone of a snapshot for one of its volume, and has the volume quiesced while the clone is made."""
    real = replicate.Replication._clone

    def clone(self: Any, running: Any, source: Any, snapshot: Any) -> Any:
        with self._core.quiesces.held(snapshot.volume_id, running.record.id, lambda owner: None):
            return real(self, running, source, snapshot)

    patch(replicate.Replication, "_clone", clone)
