"""Section 3 of the specification: snapshot replication and its fallback (clauses R)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from conformance.checks import check
from conformance.invocations import WAYS as CALLS
from conformance.invocations import choose_way
from conformance.lab import Lab
from conformance.replicas import WAYS, Case, prepare
from harness.point_in_time import compare_images, lost_writes
from harness.recorder import Event
from harness.taskflow.errors import TaskflowError
from harness.testbed import Capability

FALLBACK_STEPS = ("clone", "migrate", "snapshot", "delete_copy")

FAULTS = ("clone fails", "migrate fails", "snapshot fails", "delete fails", "replicate fails", "crash", "break")

VERBS = {
    "clone fails": "copy",
    "migrate fails": "move",
    "snapshot fails": "snapshot",
    "delete fails": "delete",
    "replicate fails": "replicate",
}
"""The verb of the backend job that a fault lets fail."""


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("way", WAYS)
@check("R-1", "R-2", "R-3", "R-4", "R-6", "R-7", "R-8", "R-11")
def test_replica_equals_its_source(lab: Lab, way: str, calls: str) -> None:
    """A snapshot arrives whole at the destination, by the right way, and nothing else has changed."""
    choose_way(lab, calls)
    case = prepare(lab, way)
    quota, listed = lab.catalog.quota_gib(), len(lab.catalog.visible_volumes())
    seen: list[tuple[int, int]] = []
    at_source: dict[str, set[str]] = {}  # what is there beside the user's own, after each step

    def look(event: Event) -> None:
        seen.append((len(lab.catalog.visible_volumes()), _volume_quota(lab)))
        if event.kind == "step.done":
            at_source[event.fields["step"]] = set(lab.object_ids("primary")) - {case.volume.id, case.snapshot.id}

    end = lab.recorder.listen(look)
    volume_quota = _volume_quota(lab)
    first_event = len(lab.recorder.events)
    with lab.load_on(case.attachment):
        lab.taskflow.replication.replicate(case.snapshot.id, case.destination, case.new_id)
    end()
    events = lab.recorder.events[first_event:]
    lab.ledger.timeline = lab.timeline(f"replicating a snapshot: {way}", case.volume.id)

    moved = not at_source.get("clone", set()) & at_source.get("migrate", set())
    _judge_way(lab, way, events, moved)
    for moment in ("at once", "after the backends settled"):
        image = lab.image(case.destination, case.new_id)
        difference = {"missing": True} if image is None else compare_images(case.before, image)
        lab.expect("R-3", difference is None, f"read {moment}, the replica differs from its source", difference)
        _judge_source(lab, case, moment)
        lab.settled()

    strangers = [s for s in seen if s[0] > listed or s[1] > volume_quota]
    lab.expect("R-6", not strangers, "the anonymous volume showed up among the user's volumes or in the quota")
    size = case.snapshot.volume_size
    lab.expect("R-6", lab.catalog.quota_gib() == quota + size, "the quota grew by more than the new snapshot")
    _judge_leftovers(lab, case)


def _volume_quota(lab: Lab) -> int:
    gib = 0
    for volume in lab.catalog.visible_volumes():
        gib += volume.size
    return gib


def _judge_way(lab: Lab, way: str, events: list[Event], moved: bool) -> None:
    """R-1, R-2, R-7, R-11: the steps that were taken; `moved` says that the clone is gone from the source."""
    steps = [e.fields["step"] for e in events if e.kind == "step.started"]
    refused = [e for e in events if e.kind == "method.failed" and e.fields["error"] == "NotSupported"]
    if way == "native":
        lab.ledger.set_aside("R-2", "the native way is taken")
        lab.ledger.set_aside("R-7", "the native way is taken")
        lab.ledger.set_aside("R-11", "the native way is taken")
        native = steps[:1] == ["replicate_snapshot"] and (len(steps) == 1 or bool(refused))
        lab.expect("R-1", native, f"replication is published, yet the taskflow took the steps {', '.join(steps)}")
        return
    lab.ledger.set_aside("R-1", "not both ends publish replication within one family")
    right = FALLBACK_STEPS if moved else (*FALLBACK_STEPS, "delete_clone")
    lab.expect("R-2", tuple(steps) == right, f"the fallback took the steps {', '.join(steps)}, not {', '.join(right)}")
    calls = [e.fields["method"] for e in events if e.kind == "method.invoked"]
    early = "delete_volume" in calls[: calls.index("create_snapshot")] if "create_snapshot" in calls else False
    lab.expect("R-2", not early, "a temporary volume was deleted before there was a snapshot of it at the destination")
    deleted_at_source = [
        e
        for e in events
        if e.kind == "method.invoked" and e.fields["method"] == "delete_volume" and e.fields["backend"] == "primary"
    ]
    if moved:
        lab.expect("R-7", not deleted_at_source, "migrating moved the clone, yet it was deleted again at the source")
    else:
        lab.ledger.set_aside("R-7", "the volume was copied through a host, not moved")
    held = [e for e in events if e.kind == "gate.hold"]
    lab.expect("R-11", not held, "the fallback quiesced the user's volume")


def _judge_source(lab: Lab, case: Case, moment: str) -> None:
    now = lab.image("primary", case.snapshot.id)
    difference = {"missing": True} if now is None else compare_images(case.before, now)
    lab.expect("R-4", difference is None, f"read {moment}, the source snapshot has changed", difference)
    log = lab.recorder.writes(case.volume.id)
    content = lab.image("primary", case.volume.id)
    lost = lost_writes(log, content or {}, max(log.acknowledged) + 1)
    lab.expect(
        "R-4",
        content is not None and not lost,
        f"read {moment}, the source volume has changed other than by its users' writes",
        lost[0] if lost else None,
    )


def _judge_leftovers(lab: Lab, case: Case) -> None:
    """R-8: the anonymous volume is gone, or kept hidden as an anchor that goes with its snapshot."""
    whole = lab.image(case.destination, case.new_id) is not None
    lab.expect("R-8", whole, "the replica did not survive the deletion of the volume that it was taken from")
    anchors = {volume.id for volume in lab.catalog.anchors_of(case.new_id)}
    extra = set(lab.object_ids(case.destination)) - {case.new_id} - anchors
    left = set(lab.object_ids("primary")) - {case.volume.id, case.snapshot.id}
    lab.expect(
        "R-8",
        not extra and not left,
        f"beside the replica there are {', '.join(sorted(extra | left))}",
        {"destination": sorted(extra), "source": sorted(left)},
    )
    if anchors:
        lab.note(
            f"the backend does not delete a volume that has snapshots: {len(anchors)} hidden anchor was kept", "R-8"
        )
    lab.taskflow.methods.delete_snapshot(case.new_id)
    rest = lab.object_ids(case.destination)
    lab.expect("R-8", not rest, f"after the replica was deleted, {', '.join(rest)} is left", {"left": rest})


@check("R-1", "R-3", "R-8", needs=(Capability.JOB_FAULTS,))
def test_refusal_before_any_effect_permits_the_fallback(lab: Lab) -> None:
    """Where the native way is refused as not supported, before any effect, the fallback is taken."""
    case = prepare(lab, "native")
    for _ in range(2):  # as an activity and as a blocking call
        lab.inject("job.unsupported", backend="primary", verb="replicate")
    lab.taskflow.replication.replicate(case.snapshot.id, case.destination, case.new_id)
    steps = [e.fields["step"] for e in lab.recorder.events if e.kind == "step.started"]
    if not lab.recorder.find("fault", fault="job.unsupported"):
        lab.unverifiable("the driver asked its backend for no replication")
    lab.expect("R-1", "clone" in steps, f"replication was refused, yet no fallback was taken: {', '.join(steps)}")
    image = lab.image(case.destination, case.new_id)
    difference = {"missing": True} if image is None else compare_images(case.before, image)
    lab.expect("R-3", difference is None, "after the fallback the replica differs from its source", difference)
    _judge_leftovers(lab, case)  # "before any effect": what it refused has left nothing either


@pytest.mark.parametrize("way", WAYS)
@check("R-10")
def test_replicating_again_makes_no_second_copy(lab: Lab, way: str) -> None:
    """Replicating to the same destination id again, by the taskflow and by the driver, makes no second copy."""
    case = prepare(lab, way)
    lab.taskflow.replication.replicate(case.snapshot.id, case.destination, case.new_id)
    before = {name: lab.object_ids(name) for name in ("primary", case.destination)}
    used = lab.testbed.backend(case.destination).inspect().used_bytes
    new = lab.catalog.snapshots[case.new_id]
    lab.taskflow.replication.replicate(case.snapshot.id, case.destination, case.new_id)
    if way == "native":
        ends = lab.taskflow.core.ends
        arguments = {"snapshot": case.snapshot, "destination": ends[case.destination].destination, "new_snapshot": new}
        ends["primary"].call_positional("replicate_snapshot", arguments)
    after = {name: lab.object_ids(name) for name in ("primary", case.destination)}
    lab.expect("R-10", after == before, "replicating again left something behind", {"before": before, "after": after})
    grown = lab.testbed.backend(case.destination).inspect().used_bytes - used
    lab.expect("R-10", grown <= 0, f"replicating again took {grown} more bytes")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS)
@check("R-9", "R-4", needs=(Capability.JOB_FAULTS, Capability.CONNECTION_BREAK))
def test_nothing_is_left_after_a_fault_and_one_clean_up(lab: Lab, way: str, fault: str) -> None:
    """After a fault at any step and one clean-up both ends hold what they held before; cleaning again is harmless."""
    if (fault == "replicate fails") is not (way == "native") and fault not in ("crash", "break"):
        lab.not_applicable(f"{fault!r} is no step of replicating by {way!r}")
    case = prepare(lab, way)
    before = {name: lab.object_ids(name) for name in lab.taskflow.core.ends}
    quota = lab.catalog.quota_gib()
    reached = _replicate_with_fault(lab, case, fault)
    lab.restart()
    lab.taskflow.recover()
    if not reached and fault in VERBS:
        lab.not_applicable(f"replicating by {way!r} takes no {VERBS[fault]!r} job of the backend here")
    if not reached:
        lab.unverifiable(f"the fault {fault!r} was not reached")
    if lab.catalog.snapshots.get(case.new_id) is not None:
        _expect_whole(lab, case, fault)
        lab.taskflow.methods.delete_snapshot(case.new_id)
    for again in (False, True):
        after = {name: lab.object_ids(name) for name in before}
        left = {name: sorted(set(after[name]) - set(before[name])) for name in before}
        left = {name: ids for name, ids in left.items() if ids}
        what = "cleaning up again" if again else f"after {fault!r} and one clean-up"
        lab.expect("R-9", after == before, f"{what}, the backends do not hold what they held before", {"left": left})
        lab.expect("R-9", lab.catalog.quota_gib() == quota, f"{what}, the quota is {lab.catalog.quota_gib()} GiB")
        hidden = [v.id for v in lab.catalog.volumes.values() if not v.use_quota]
        lab.expect("R-9", not hidden, f"{what}, hidden volumes are still recorded: {', '.join(hidden)}")
        lab.taskflow.recover()
    _judge_source(lab, case, "after the clean-up")


def _replicate_with_fault(lab: Lab, case: Case, fault: str) -> bool:
    """Replicate with one fault on the way; whether the fault was reached."""
    at = lab.schedule.fraction("fault.at", 0.1, 0.9)
    flow = lab.taskflow.replication
    if fault in VERBS:
        backend = case.destination if fault in ("snapshot fails", "delete fails") else "primary"
        lab.inject("job.fail", backend=backend, verb=VERBS[fault], fraction=at)
    if fault == "break":
        nth = lab.schedule.integer("fault.activity", 1, 2 if not _is_native(lab, case) else 1)
        lab.inject("connection.break", on="activity.started", nth=nth, caller=lab.node)
    if fault == "crash":
        nth = lab.schedule.integer("fault.event", 1, 12 if not _is_native(lab, case) else 3)
        kinds = ("step.started", "activity.started", "activity.ended", "step.done")
        counter = iter(range(1, 1_000_000))
        lab.crash(
            lambda: flow.replicate(case.snapshot.id, case.destination, case.new_id),
            lambda event: event.kind in kinds and next(counter) == nth,
        )
    else:
        with contextlib.suppress(TaskflowError):
            flow.replicate(case.snapshot.id, case.destination, case.new_id)
    return bool(lab.recorder.find("fault"))


def _is_native(lab: Lab, case: Case) -> bool:
    ends = lab.taskflow.core.ends
    return lab.taskflow.replication.is_native(ends["primary"], ends[case.destination])


def _expect_whole(lab: Lab, case: Case, fault: str) -> None:
    image = lab.image(case.destination, case.new_id)
    difference: dict[str, Any] | None = {"missing": True} if image is None else compare_images(case.before, image)
    lab.expect("R-9", difference is None, f"after {fault!r} the replica counts as made, but differs", difference)
