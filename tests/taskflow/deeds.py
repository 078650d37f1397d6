"""What the tests of the taskflow do inside a cell; each deed returns what it saw, as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.lab import Lab
from conformance.runner import LIMITS, testbed_class
from conformance.verdicts import Ledger
from harness.loading import CandidateSpec
from harness.results import Evidence
from harness.runtime import SECOND
from harness.runtime.patches import seed
from harness.schedule import Schedule
from harness.taskflow.errors import TaskflowError

DEEDS: dict[str, Callable[[Lab], dict[str, Any]]] = {}


def deed(function: Callable[[Lab], dict[str, Any]]) -> Callable[[Lab], dict[str, Any]]:
    """Register a deed under its name."""
    DEEDS[function.__name__] = function
    return function


def do(name: str, testbed: str, publication: dict[str, Any] | None = None) -> dict[str, Any]:
    """Do a deed in a lab of its own, with the reference driver and that publication."""
    return in_lab(DEEDS[name], testbed, name, publication)


def in_lab(
    deed: Callable[[Lab], dict[str, Any]], testbed: str, name: str = "deed", publication: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Do something in a lab of its own, with the reference driver and that publication."""
    schedule = Schedule(1, name)
    seed(1)
    spec = CandidateSpec.for_driver("reference").to_dict() | {"config": {"publication": publication or {}}}
    bed = testbed_class(testbed)(seed=1, options={})
    lab = Lab(bed, CandidateSpec.from_dict(spec).load(), schedule, Ledger((), Evidence.MODELLED))
    try:
        seen: dict[str, Any] = bed.runtime.run(lambda: deed(lab), LIMITS)
    finally:
        bed.close()
    return seen


def refusal(body: Callable[[], object]) -> str | None:
    """The name of the taskflow's error that the body ends with, or None."""
    try:
        body()
    except TaskflowError as error:
        return type(error).__name__
    return None


def content(lab: Lab, backend: str, object_id: str) -> list[list[int]] | None:
    """An image as a sorted list, or None."""
    image = lab.image(backend, object_id)
    return None if image is None else [[block, image[block]] for block in sorted(image)]


@deed
def host_copy(lab: Lab) -> dict[str, Any]:
    """Migrate a detached volume to another family."""
    volume = lab.volume()
    before = content(lab, "primary", volume.id)
    lab.taskflow.methods.migrate(volume.id, "stranger")
    return {
        "same content": content(lab, "stranger", volume.id) == before,
        "source": lab.object_ids("primary"),
        "host": volume.host == lab.cinder_host("stranger"),
    }


@deed
def host_copy_of_attached(lab: Lab) -> dict[str, Any]:
    """Migrate an attached volume to another family."""
    volume = lab.volume()
    lab.attach(volume)
    error = refusal(lambda: lab.taskflow.methods.migrate(volume.id, "stranger"))
    return {"error": error, "stranger": lab.object_ids("stranger"), "status": volume.status}


@deed
def failure_past_the_cut_over(lab: Lab) -> dict[str, Any]:
    """Let the deletion of the source fail after a host's copy has become the volume."""
    volume = lab.volume()
    before = content(lab, "primary", volume.id)
    lab.inject("job.fail", backend="primary", verb="delete")
    error = refusal(lambda: lab.taskflow.methods.migrate(volume.id, "stranger"))
    lab.taskflow.recover()
    return {
        "error": error,
        "copy is whole": content(lab, "stranger", volume.id) == before,
        "the record names it": volume.host == lab.cinder_host("stranger"),
        "source": lab.object_ids("primary"),
    }


@deed
def refusals(lab: Lab) -> dict[str, Any]:
    """Ask for what must not be done."""
    methods = lab.taskflow.methods
    volume = lab.volume()
    snapshot = methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    with_snapshot = refusal(lambda: methods.delete_volume(volume.id))
    methods.delete_snapshot(snapshot.id)
    attachment = lab.attach(volume)
    attached = refusal(lambda: methods.delete_volume(volume.id))
    lab.catalog.detach(attachment)
    unknown = refusal(lambda: methods.delete_volume("no-such-volume"))
    methods.delete_volume(volume.id)
    return {
        "with snapshot": with_snapshot,
        "attached": attached,
        "unknown": unknown,
        "left": lab.object_ids("primary"),
    }


@deed
def undo_waits_for_the_backend(lab: Lab) -> dict[str, Any]:
    """Let a replication fail, and its undoing too, as often as the taskflow insists."""
    volume = lab.volume()
    snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    lab.inject("job.fail", backend="stranger", verb="snapshot", fraction=0.5)
    for _ in range(4):
        lab.inject("job.fail", backend="stranger", verb="delete")
    error = refusal(lambda: lab.taskflow.replication.replicate(snapshot.id, "stranger", lab.identifier("new")))
    pending = [flow.state for flow in lab.journal.unfinished()]
    left = len(lab.object_ids("stranger"))
    hows = [recovered.how for recovered in lab.taskflow.recover()]
    return {
        "error": error,
        "pending": pending,
        "left meanwhile": left,
        "recovered": hows,
        "left": lab.object_ids("stranger"),
        "hidden records": [v.id for v in lab.catalog.volumes.values() if not v.use_quota],
    }


@deed
def crash_in_a_quiesced_snapshot(lab: Lab) -> dict[str, Any]:
    """Let the taskflow die while a snapshot of a quiesced volume is made, and another come soon."""
    volume = lab.volume()
    attachment = lab.attach(volume)
    new = lab.identifier("snapshot")
    lab.crash(lambda: lab.taskflow.methods.create_snapshot(volume.id, new), lambda e: e.kind == "activity.started")
    holding, status = attachment.gate.holding, lab.catalog.snapshots[new].status
    lab.restart()
    hows = [recovered.how for recovered in lab.taskflow.recover()]
    return {
        "held by the dead": holding,
        "status": status,
        "recovered": hows,
        "held": attachment.gate.holding,
        "record": new in lab.catalog.snapshots,
        "left": [i for i in lab.object_ids("primary") if i != volume.id],
    }


@deed
def anchor(lab: Lab) -> dict[str, Any]:
    """Replicate by the fallback to a backend whose snapshots need their volume, then delete the replica."""
    volume = lab.volume()
    snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    new = lab.identifier("new")
    lab.taskflow.replication.replicate(snapshot.id, "sibling", new)
    anchors = [v.id for v in lab.catalog.anchors_of(new)]
    kept = [i for i in lab.object_ids("sibling") if i != new]
    visible = [v.id for v in lab.catalog.visible_volumes()]
    lab.taskflow.methods.delete_snapshot(new)
    return {
        "anchors": len(anchors),
        "kept": kept == anchors,
        "hidden": not set(anchors) & set(visible),
        "left": lab.object_ids("sibling"),
    }


@deed
def start_repeated_too_late(lab: Lab) -> dict[str, Any]:
    """Lose a start, and let the taskflow's machine stand still until the hosts have released the volume."""
    volume = lab.volume()
    lab.attach(volume)
    new = lab.identifier("snapshot")
    lab.inject("partition", on="gate.quiesced", caller=lab.node, backend="primary", for_ns=12 * SECOND)
    lab.inject("caller.pause", on="connection.broken", caller=lab.node, for_ns=2 * lab.profile.max_hold_ns)
    error = refusal(lambda: lab.taskflow.methods.create_snapshot(volume.id, new))
    return {
        "error": error,
        "released by the hosts": len(lab.recorder.find("gate.expired")),
        "begun": len(lab.recorder.find("activity.started", verb="snapshot")),
        "record": new in lab.catalog.snapshots,
        "left": [i for i in lab.object_ids("primary") if i != volume.id],
    }


@deed
def attach_when_a_hold_is_nearly_over(lab: Lab) -> dict[str, Any]:
    """Attach a held volume so late that its quiesce is over before the new host has flushed its cache."""
    volume = lab.volume()
    lab.attach(volume)
    late = lab.testbed.backend("primary").attach(volume.id, "late-host")
    errors: list[str | None] = []

    def hold() -> None:
        with lab.taskflow.methods._core.quiesces.held(volume.id, "flow", lambda owner: None):
            (held,) = lab.recorder.find("gate.hold")
            lab.runtime.sleep(held.at_ns + lab.profile.max_hold_ns - 1 - lab.runtime.now())
            errors.append(refusal(lambda: lab.taskflow.methods.attach(late)))

    errors.append(refusal(hold))
    return {"errors": errors, "attached": len(lab.catalog.attachments(volume.id)), "held": late.gate.holding}
