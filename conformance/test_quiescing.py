"""Section 2 of the specification: quiescing and stateless activities (clauses Q)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.checks import check
from conformance.invocations import (
    COPYING,
    MOVING,
    WAYS,
    choose_way,
    expect_claim,
    expect_way,
    first_copying,
    invoke,
    invoke_in_use,
    place_of,
    read,
)
from conformance.lab import WIDE_SET, Lab
from conformance.record import foreground, writes_acknowledged_between
from harness.contract import METHODS, Effect
from harness.model import Volume
from harness.point_in_time import check_image, compare_images, coverage, exact_image, lost_writes
from harness.recorder import Event
from harness.storage import Image
from harness.taskflow.errors import QuiesceTimeout, TaskflowError
from harness.testbed import Attachment, Capability


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", [*COPYING, *MOVING, "extend_volume"])
@check("Q-1", "Q-2", "Q-4", "Q-10")
def test_unlisted_method_works_on_a_quiesced_volume(lab: Lab, method: str, way: str) -> None:
    """A method that is not listed finds the volume quiesced, and makes of it what it held at the quiesce point."""
    expect_claim(lab, method, listed=False)
    choose_way(lab, way)
    volume = lab.volume()
    size = volume.size
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    at_return: list[Image] = []
    end = lab.recorder.listen(lambda event: at_return.extend(_content(lab, volume, method, event)))
    with lab.load_on(attachment):
        image_of = invoke_in_use(lab, method, volume)
        first = read(image_of)
    end()
    lab.settled()
    expect_way(lab, way, method)
    lab.ledger.timeline = lab.timeline(f"{method} on a volume in use, quiesced", volume.id)
    window = lab.window(method)
    quiesced = lab.recorder.find("gate.quiesced", volume=volume.id)
    released = lab.recorder.find("gate.release", volume=volume.id)
    if window is None:
        lab.unverifiable(f"{method} never returned")
        return
    invoked, returned = window
    held = bool(quiesced and released) and quiesced[0].place < invoked.place and returned.place < released[-1].place
    lab.expect("Q-1", held, f"{method} ran on {volume.id} without its attachment being quiesced")
    if not held:
        return
    strays = writes_acknowledged_between(log, quiesced[0].place, released[-1].place)
    lab.expect("Q-2", not strays, f"{len(strays)} writes were applied while {volume.id} was quiesced", _first(strays))
    changed = compare_images(exact_image(log, quiesced[0].place), at_return[-1] if at_return else {})
    lab.expect("Q-2", changed is None, f"{method} changed the content of {volume.id}, which was quiesced", changed)
    settled = (read(image_of), "after the backends settled")
    for (found, flaw), moment in ((first, "at once"), settled) if method in COPYING else ():
        difference = {"missing": flaw} if found is None else compare_images(exact_image(log, quiesced[0].place), found)
        lab.expect(
            "Q-10",
            difference is None,
            f"read {moment}, what {method} made of the quiesced volume is not its content at the quiesce point",
            difference,
        )
    where = place_of(lab, volume)
    lost = lost_writes(log, lab.image(where, volume.id) or {}, lab.recorder.tick())
    unacknowledged = sum(1 for place in log.acknowledged if place < 0)
    lab.expect(
        "Q-4",
        not lost and not unacknowledged,
        f"{unacknowledged} held writes were never acknowledged, {len(lost)} blocks do not show their last write",
        lost[0] if lost else None,
    )
    if method not in COPYING:
        lab.expect("Q-10", not lost, f"after {method} {len(lost)} blocks lost their content", lost[0] if lost else None)
    if method == "extend_volume":
        stored = lab.testbed.backend("primary").inspect().find(volume.id)
        now = stored.size if stored else 0
        lab.expect("Q-10", now == size + 1, f"extended from {size} to {size + 1} GiB, the volume has {now} GiB")
    if not foreground(log, lab.recorder.find("gate.hold", volume=volume.id)[0].place, released[-1].place):
        lab.unverifiable("no write arrived while the volume was held", "Q-2", "Q-4", "Q-10")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", COPYING)
@check("Q-9")
def test_listed_copy_is_a_point_in_time_image(lab: Lab, method: str, way: str) -> None:
    """What a listed copying method makes of a volume that is being written is a point-in-time image."""
    expect_claim(lab, method, listed=True)
    choose_way(lab, way)
    volume = lab.volume()
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    with lab.load_on(attachment):
        image_of = invoke(lab, method, volume)
        first = read(image_of)
    lab.settled()
    expect_way(lab, way, method)
    window = lab.window(method)
    if window is None:
        lab.unverifiable(f"{method} never returned")
        return
    lab.ledger.timeline = lab.timeline(f"{method} on a volume in use, listed as stateless", volume.id)
    invoked, returned = window
    for (image, flaw), moment in ((first, "at once"), (read(image_of), "after the backends settled")):
        if image is None:
            lab.expect("Q-9", False, f"what {method} made can't be read {moment}: {flaw}")
            return
        verdict = check_image(log, image, invoked.place, returned.place)
        if not lab.expect("Q-9", verdict.ok, f"read {moment}: {verdict.message}", verdict.witness):
            return
    covered = coverage(log, invoked.place, returned.place, set(lab.working_set()))
    if not covered.sufficient:
        lab.unverifiable(covered.reason, "Q-9")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", MOVING)
@check("Q-9", needs=(Capability.LIVE_MOVE,))
def test_listed_move_loses_no_acknowledged_write(lab: Lab, method: str, way: str) -> None:
    """A listed moving method loses no write that was acknowledged while it moved the volume."""
    expect_claim(lab, method, listed=True)
    choose_way(lab, way)
    lab.working_blocks = WIDE_SET
    volume = lab.volume()
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    with lab.load_on(attachment):
        image_of = invoke_in_use(lab, method, volume)
        until = lab.recorder.tick()  # read under load: writes to come would hide what the move has lost
        first, _ = read(image_of)
    lab.settled()
    expect_way(lab, way, method)
    window = lab.window(method)
    if window is None:
        lab.unverifiable(f"{method} never returned")
        return
    last, _ = read(image_of)
    for image, before, moment in (
        (first, until, "at once"),
        (last, lab.recorder.tick(), "after the backends settled"),
    ):
        lost = lost_writes(log, image or {}, before)
        lab.expect(
            "Q-9",
            image is not None and not lost,
            f"read {moment}, {len(lost)} blocks lost an acknowledged write in {method}",
            lost[0] if lost else None,
        )
    covered = coverage(log, window[0].place, window[1].place, set(lab.working_set()))
    if not covered.sufficient:
        lab.unverifiable(covered.reason, "Q-9")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", [*COPYING, *MOVING, "extend_volume"])
@check("Q-7")
def test_listed_method_changes_no_volume_state(lab: Lab, method: str, way: str) -> None:
    """A listed method leaves status, attachments, exported identity, size and content of its volume alone."""
    expect_claim(lab, method, listed=True)
    choose_way(lab, way)
    volume = lab.volume()
    attachment = lab.attach(volume)
    before = _state(lab, volume, attachment, "primary")
    seen = lab.watch_status(volume)
    invoke_in_use(lab, method, volume)
    expect_way(lab, way, method)
    after = _state(lab, volume, attachment, place_of(lab, volume))
    if method == "extend_volume":
        before["size"] += 1  # its defined effect
        before["backend size"] += 1
    changed = {key: {"before": before[key], "after": after[key]} for key in before if before[key] != after[key]}
    lab.expect("Q-7", not changed, f"{method} is listed as stateless, yet it changed {', '.join(changed)}", changed)
    others = sorted(set(seen) - {before["status"]})
    lab.expect("Q-7", not others, f"{method} is listed as stateless, yet the status was {', '.join(others)} meanwhile")


@pytest.mark.parametrize("way_out", ["success", "driver error", "lost connection", "taskflow death"])
@check("Q-3", needs=(Capability.JOB_FAULTS, Capability.CONNECTION_BREAK))
def test_volume_is_released_on_every_exit(lab: Lab, way_out: str) -> None:
    """However a quiesced method ends, the volume is released; and a taskflow's death is not taken for success."""
    method = first_copying(lab, listed=False)
    if method is None:
        lab.not_applicable("every copying method is listed, so nothing is quiesced")
        return
    volume = lab.volume()
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    if way_out == "driver error":
        lab.inject("job.fail", backend="primary", verb=_verb(method), fraction=lab.schedule.fraction("at", 0.1, 0.9))
    if way_out == "lost connection":
        lab.inject("connection.break", on="activity.started", caller=lab.node)
    with lab.load_on(attachment, max(lab.profile.think_ns, lab.profile.max_hold_ns // 400)):
        if way_out == "taskflow death":
            task = lab.crash(lambda: invoke(lab, method, volume), lambda event: event.kind == "activity.started")
            lab.runtime.sleep(lab.profile.max_hold_ns + lab.profile.settle_ns)
            if not task.is_abandoned:
                lab.unverifiable("the taskflow did not die while the method ran")
            status = lab.catalog.snapshots.get(lab.identifier("made")) or lab.catalog.volumes.get(
                lab.identifier("made")
            )
            lab.expect("Q-3", status is None or status.status != "available", f"{method} was reported successful")
        else:
            _tolerate(lambda: invoke(lab, method, volume))
        released_at = lab.recorder.tick()
        lab.expect("Q-3", not attachment.gate.holding, f"after {way_out} the writes to {volume.id} are still held")
    later = [row for row in range(len(log)) if log.issued[row] > released_at]
    lab.expect(
        "Q-3",
        bool(later) and all(log.acknowledged[row] > 0 for row in range(len(log))),
        f"after {way_out} writes to {volume.id} do not go on",
    )
    if not lab.recorder.find("gate.quiesced", volume=volume.id):
        lab.unverifiable("the volume was never quiesced", "Q-3")


@check("Q-3", needs=(Capability.CALLER_PAUSE,))
def test_volume_is_released_while_its_caller_stands_still(lab: Lab) -> None:
    """Where the taskflow's machine stands still the hosts release by themselves after max_hold, and the method that
    was running is not reported successful afterwards."""
    method = first_copying(lab, listed=False)
    if method is None:
        lab.not_applicable("every copying method is listed, so nothing is quiesced")
        return
    volume = lab.volume()
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    still_ns = lab.profile.max_hold_ns + lab.profile.whole_copy_ns + lab.profile.settle_ns
    lab.inject("caller.pause", on="activity.started", caller=lab.node, for_ns=still_ns)
    refusal: TaskflowError | None = None
    with lab.load_on(attachment, max(lab.profile.think_ns, lab.profile.max_hold_ns // 400)):
        try:
            invoke(lab, method, volume)
        except TaskflowError as error:
            refusal = error
        holding = attachment.gate.holding
    began = lab.recorder.find("gate.quiesced", volume=volume.id)
    paused = lab.recorder.find("fault", fault="caller.pause")
    over = lab.recorder.find("fault.over", fault="caller.pause")
    if not (began and paused and over) or not began[0].place < paused[0].place:
        lab.unverifiable("the caller did not stand still while the volume was quiesced")
        return
    released = [e for e in lab.recorder.find("gate.expired", volume=volume.id) if e.place < over[0].place]
    if lab.expect("Q-3", bool(released), f"no host released {volume.id} by itself while the caller stood still"):
        went_on = writes_acknowledged_between(log, released[0].place, over[0].place)
        lab.expect("Q-3", bool(went_on), f"the writes to {volume.id} did not go on when its host had released it")
    lab.expect("Q-3", not holding, f"the writes to {volume.id} are still held")
    made = lab.identifier("made")
    record = lab.catalog.snapshots.get(made) or lab.catalog.volumes.get(made) or lab.catalog.backups.get(made)
    lab.expect(
        "Q-3",
        refusal is not None and (record is None or record.status != "available"),
        f"{method} was reported successful although {volume.id} had been released while it ran",
    )


@check("Q-6", needs=(Capability.DRAIN_STALL,))
def test_method_is_not_invoked_where_the_volume_cannot_be_quiesced(lab: Lab) -> None:
    """Where outstanding writes do not drain in time, the method is not invoked and the caller is told so."""
    method = first_copying(lab, listed=False)
    if method is None:
        lab.not_applicable("every copying method is listed, so nothing is quiesced")
        return
    volume = lab.volume()
    attachment = lab.attach(volume)
    lab.inject("drain.stall", volume=volume.id, for_ns=3 * lab.profile.quiesce_timeout_ns)
    refused = False
    with lab.load_on(attachment, max(1, lab.profile.think_ns // 100)):  # so that some write is always under way
        try:
            invoke(lab, method, volume)
        except QuiesceTimeout:
            refused = True
        except TaskflowError:
            refused = False  # an error, but not the one that tells the caller why
        holding = attachment.gate.holding
    if not lab.recorder.find("gate.timeout", volume=volume.id):
        lab.unverifiable("no write was outstanding when the volume was to be quiesced")
    lab.expect("Q-6", refused, "the caller was not told that the volume could not be quiesced")
    lab.expect("Q-6", not lab.recorder.find("method.invoked", method=method), f"{method} was invoked all the same")
    lab.expect("Q-6", not holding, f"the writes to {volume.id} are still held")


@check("Q-11")
def test_unattached_volume_is_not_quiesced(lab: Lab) -> None:
    """A volume that nobody has attached, and a snapshot, are not quiesced: nothing waits at any gate."""
    if not lab.implements("create_snapshot"):
        lab.not_applicable("the driver makes no snapshots")
    volume = lab.volume()
    snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    lab.attach(volume)
    lab.taskflow.methods.create_volume_from_snapshot(snapshot.id, lab.identifier("from snapshot"))
    held = lab.recorder.find("gate.hold")
    lab.expect("Q-11", not held, "a gate was closed for a volume that nobody had attached, or for a snapshot")


def _state(lab: Lab, volume: Volume, attachment: Attachment, backend: str) -> dict[str, Any]:
    stored = lab.testbed.backend(backend).inspect().find(volume.id)
    return {
        "status": volume.status,
        "attach status": volume.attach_status,
        "size": volume.size,
        "exported identity": stored.identity if stored else None,
        "backend size": stored.size if stored else 0,
        "content": dict(lab.image(backend, volume.id) or {}),
        "held": attachment.gate.holding,
    }


def _content(lab: Lab, volume: Volume, method: str, event: Event) -> list[Image]:
    """What a volume holds when a method on it returns, wherever it then is; nothing at other events."""
    if event.kind != "method.returned" or event.fields["method"] != method:
        return []
    images = (lab.image(backend, volume.id) for backend in ("primary", "sibling"))
    return [dict(image) for image in images if image is not None]


def _tolerate(body: Callable[[], object]) -> None:
    try:
        body()
    except TaskflowError:
        return


def _verb(method: str) -> str:
    if METHODS[method].effect is not Effect.COPIES:
        raise LookupError(method)
    return {"create_snapshot": "snapshot", "create_cloned_volume": "copy"}.get(method, "read")


def _first(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return rows[0] if rows else None
