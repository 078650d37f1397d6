"""Operations as Cinder itself carries them out today, from its practices as data (`harness.cinder.practices`).

Nobody quiesces a volume, and nobody looks at what a driver publishes. The volume's status decides whether a request is
granted, and shuts other requests out while it is `backing-up`. A backup of a volume in use is one of a temporary clone,
or of a temporary snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from harness.cinder.practices import Practice, practices
from harness.compression import Limits
from harness.model import Snapshot, Volume, backend_name
from harness.taskflow.errors import Refused
from harness.taskflow.flow import Flow
from harness.taskflow.journal import Undo
from harness.taskflow.methods import STATUS_WHILE, apply_update
from harness.taskflow.taskflow import Taskflow
from scenarios.model import Do, Operation

PLAYED = (Do.BACKUP, Do.CREATE_SNAPSHOT, Do.MIGRATE, Do.DELETE)
"""What is carried out as Cinder does it today; where Cinder has the hypervisor work, it is refused as not played."""
BUSY = "busy"
"""What practices call every status but available and in-use."""


class RefusedForNow(Refused):
    """Cinder refuses because of what it does with the volume just now; asked again later, it may grant it."""


def practice_for(plan: Operation, volume: Volume, has_snapshots: bool) -> Practice:
    """What Cinder does when it is asked for an operation on a volume as it is.

    A refusal comes before anything else, and what holds under a condition before what holds without one. Raises
    `LookupError` where nothing is written down.
    """
    status = volume.status if volume.status in ("available", "in-use") else BUSY
    holds = {
        "": True,
        "without force": not plan.force,
        "with snapshots": has_snapshots,
        "backup_use_temp_snapshot": plan.temporary == "snapshot",
    }
    found = [p for p in practices() if (p.method, p.volume_is) == (plan.do.value, status) and holds.get(p.given, False)]
    if not found:
        raise LookupError(f"no practice of Cinder's is written down for {plan.do} of a volume that is {volume.status}")
    return min(found, key=lambda practice: (not practice.refuses, not practice.given))


class CinderToday:
    """Carries operations out over a taskflow's drivers, backups and catalog."""

    def __init__(self, taskflow: Taskflow) -> None:
        self._taskflow = taskflow
        self._core = taskflow.core

    def carry_out(self, plan: Operation, volume_id: str, product: str) -> None:
        """Do what Cinder does for one volume; what is made has the id `product`. Raises `Refused`, `RefusedForNow`, and
        what a driver's method comes to."""
        catalog = self._core.catalog
        volume = catalog.volumes[volume_id]
        snapshots = any(snapshot.volume_id == volume_id for snapshot in catalog.snapshots.values())
        practice = practice_for(plan, volume, snapshots)
        if practice.refuses:
            kind = RefusedForNow if practice.volume_is == BUSY else Refused
            self._core.recorder.emit("request.refused", volume=volume_id, method=practice.method, status=volume.status)
            raise kind(f"{practice.method} of {volume_id}, which is {volume.status}: {practice.because}")
        if plan.do is Do.BACKUP:
            self._backup(plan, volume, product, practice)
        elif practice.steps != (plan.do.value,):
            raise Refused(f"{practice.name}: Cinder has others work here, which is not played")
        elif plan.do is Do.CREATE_SNAPSHOT:
            snapshot = Snapshot(product, volume.id, volume.size, volume, status="creating")
            with self._core.flow(plan.do, [volume_id], [product], plan=practice.steps, subject=volume_id) as flow:
                flow.record.completes.append(product)
                self._make(flow, "create_snapshot", snapshot, {"snapshot": snapshot})
        elif plan.do is Do.MIGRATE:
            self._taskflow.methods.migrate(volume_id, plan.to or "")
        else:
            self._taskflow.methods.delete_volume(volume_id)

    def _backup(self, plan: Operation, volume: Volume, backup_id: str, practice: Practice) -> None:
        """Back a volume up as the practice has it: by what is made for the time being, or from the volume itself."""
        core, methods, temporary = self._core, self._taskflow.methods, f"{backup_id}-temporary"
        clone = Volume(temporary, volume.size, volume.host, status="creating", source_volid=volume.id, use_quota=False)
        snapshot = Snapshot(temporary, volume.id, volume.size, volume, status="creating")
        undos: list[Undo] = []
        with core.flow(plan.do, [volume.id], plan=practice.steps, source=volume.id) as flow, ExitStack() as stack:
            stack.callback(flow.drop_undo, flow.undo_with("restore_status", id=volume.id))
            stack.enter_context(core.statuses.working(volume, flow.record.id, STATUS_WHILE[plan.do]))
            steps: dict[str, Callable[[], object]] = {
                "create_cloned_volume": lambda: undos.extend(
                    self._make(flow, "create_cloned_volume", clone, {"volume": clone, "src_vref": volume})
                ),
                "create_snapshot": lambda: undos.extend(
                    self._make(flow, "create_snapshot", snapshot, {"snapshot": snapshot})
                ),
                "host reads the clone": lambda: self._read(plan, temporary, backup_id),
                "host reads the snapshot": lambda: self._read(plan, temporary, backup_id),
                "host reads the volume": lambda: self._read(plan, volume.id, backup_id),
                "delete_volume": lambda: methods.delete_volume(temporary),
                "delete_snapshot": lambda: methods.delete_snapshot(temporary),
            }
            for step in practice.steps:
                if step.startswith("create"):
                    steps[step]()
                else:
                    with flow.step(step):
                        steps[step]()
            for undo in undos:
                flow.drop_undo(undo)

    def _make(self, flow: Flow, method: str, made: Volume | Snapshot, arguments: dict[str, Any]) -> list[Undo]:
        """Call a driver's method that makes something, on a volume that its hosts go on writing to; returns what undoes
        it."""
        core = self._core
        end = core.ends[backend_name((made if isinstance(made, Volume) else made.volume).host)]
        core.catalog.add(made)
        undos = [flow.undo_with("forget", id=made.id)]
        if isinstance(made, Volume):
            undos.append(flow.undo_with("delete_volume", backends=[end.backend], id=made.id))
        else:
            undos.append(flow.undo_with("delete_snapshot", backend=end.backend, id=made.id))
        with flow.step(method):
            apply_update(end, method, made, flow.run(end, method, arguments))
        made.status = "available"
        return undos

    def _read(self, plan: Operation, source_id: str, backup_id: str) -> None:
        """The backup service's host reads what nobody writes to, compresses it, and stores it."""
        limits = Limits(plan.least_ratio, plan.least_throughput)
        self._taskflow.backups.backup(source_id, backup_id, plan.techniques, limits)
