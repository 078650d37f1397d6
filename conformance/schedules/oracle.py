"""What has to be true after any schedule: the specification's invariants, read from the media and the record of writes.

Nothing here asks the taskflow whether it did well. What the backends hold is compared with what users were told that
they have, and images with the history of writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.lab import Lab
from conformance.record import writes_acknowledged_between
from conformance.schedules.callers import backups
from conformance.schedules.stage import Done, Stage
from harness.backup_store import restore_image
from harness.model import Volume, backend_name
from harness.point_in_time import WriteColumns, check_image, compare_images, exact_image, lost_writes
from harness.recorder import Event
from harness.storage import Image
from harness.taskflow.errors import Refused

COPIES = ("create_snapshot", "create_cloned_volume", "backup_volume", "copy_volume_to_image")

CLAUSES = ("Q-1", "Q-2", "Q-3", "Q-4", "Q-9", "Q-10", "Q-13", "R-3", "R-4", "R-6", "R-9", "R-12", "H-2")
"""The clauses that a schedule can break."""


@dataclass(frozen=True)
class Finding:
    """One judgement: the clause, and what is wrong (empty: nothing is)."""

    clause: str
    message: str = ""
    witness: dict[str, Any] | None = None


def judge(stage: Stage) -> Iterator[Finding]:
    """Judge a schedule that was carried out; yields a finding for each thing that was looked at."""
    yield from _volumes(stage)
    yield from _holds(stage)
    for done in stage.done:
        if done.told is not None:
            yield from _disclosure(stage, done)
        elif done.deed.kind in COPIES:
            yield from _copy(stage, done)
        elif done.deed.kind == "replicate":
            yield from _replica(stage, done)
    yield from _leftovers(stage)


def _volumes(stage: Stage) -> Iterator[Finding]:
    """Every volume is where its record says, with all that was written to it, and at rest (Q-4, Q-13, R-12)."""
    lab = stage.lab
    for volume in stage.volumes:
        log = lab.recorder.writes(volume.id)
        where = backend_name(volume.host)
        image = lab.image(where, volume.id)
        lost = _lost(stage, volume, image or {})
        witness: dict[str, Any] = {"missing": image is None, **(dict(lost[0]) if lost else {})}
        message = f"the volume {volume.id} is not whole at {where}, where its record says it is"
        yield Finding(_whose_loss(stage, volume.id), message if image is None or lost else "", witness)
        pending = (log.stamps[row] for row, place in enumerate(log.acknowledged) if place < 0)
        unacknowledged = sum(1 for stamp in pending if stamp not in stage.refused)
        message = f"{unacknowledged} writes to {volume.id} were never acknowledged"
        yield Finding("Q-4", message if unacknowledged else "")
        rest = lab.catalog.resting_status(volume.id)
        message = f"at rest the status of {volume.id} is {volume.status!r}, not {rest!r}"
        yield Finding("Q-13", message if volume.status != rest else "")
        held = [a.host for a in lab.catalog.attachments(volume.id) if a.gate.holding]
        yield Finding("Q-3", f"{volume.id} is still held at {', '.join(held)}" if held else "")


def _lost(stage: Stage, volume: Volume, image: Image) -> list[dict[str, Any]]:
    """The acknowledged writes that a volume does not show.

    Where the hosts released the volume by themselves, what was written from then on to the end of an unlisted move may
    stay behind (see RULINGS.md on Q-3).
    """
    lab = stage.lab
    log = lab.recorder.writes(volume.id)
    windows = []
    for expired in stage.events("gate.expired", volume=volume.id):
        if str(expired.fields["owner"]).startswith("migrate_volume-"):
            ends = [e.place for e in stage.events("activity.ended", verb="move", target=volume.id)]
            windows.append((expired.place, min((end for end in ends if end > expired.place), default=expired.place)))
    found = lost_writes(log, image, lab.recorder.tick())
    return [dict(lost) for lost in found if "row" not in lost or not _is_between(log, lost["row"], windows)]


def _is_between(log: WriteColumns, row: int, windows: list[tuple[int, int]]) -> bool:
    return any(begin < log.acknowledged[row] and log.issued[row] < end for begin, end in windows)


def _whose_loss(stage: Stage, volume_id: str) -> str:
    """The clause that a loss of content breaks: of a volume that stayed where it was, of one that the driver says that
    it has moved, or of one whose move nobody saw to its end."""
    of_it = [done for done in stage.done if done.deed.kind == "migrate_volume" and done.source == volume_id]
    moves = [done for done in of_it if not isinstance(done.error, Refused)]
    if not moves:
        return "Q-2"
    if all(done.went_well for done in moves):
        return "Q-9" if stage.lab.lists("migrate_volume") else "Q-10"
    return "R-12"


def _holds(stage: Stage) -> Iterator[Finding]:
    """Nothing is written to a volume between its quiesce point and its release (Q-2)."""
    lab = stage.lab
    for quiesced in stage.events("gate.quiesced"):
        volume, owner, host = (quiesced.fields[key] for key in ("volume", "owner", "host"))
        ends = [
            e.place
            for kind in ("gate.release", "gate.expired")
            for e in stage.events(kind, volume=volume, owner=owner, host=host)
            if e.place > quiesced.place
        ]
        until = min(ends, default=lab.recorder.tick())
        strays = writes_acknowledged_between(lab.recorder.writes(volume), quiesced.place, until)
        message = f"{len(strays)} writes were applied to {volume} while it was quiesced"
        yield Finding("Q-2", message if strays else "", strays[0] if strays else None)
        expired = [e for e in stage.events("gate.expired", volume=volume, owner=owner, host=host) if e.place == until]
        if expired:
            yield from _expiry(stage, expired[0])


def _expiry(stage: Stage, expired: Event) -> Iterator[Finding]:
    """That a host had to release by itself is right only while one of the flows that asked for it still ran, or if the
    taskflow had died (Q-3)."""
    owner = str(expired.fields["owner"])
    deaths = [e for e in stage.faults if e.fields["fault"] == "caller.crash" and e.place < expired.place]
    members = [owner, *(str(e.fields["member"]) for e in stage.events("quiesce.joined", owner=owner))]
    over = [
        any(e.place < expired.place for kind in ("flow.done", "flow.failed") for e in stage.events(kind, flow=member))
        for member in members
    ]
    message = f"{owner} had ended, yet {expired.fields['volume']} was released by its host only, after max_hold"
    yield Finding("Q-3", message if all(over) and not deaths else "")


def _copy(stage: Stage, done: Done) -> Iterator[Finding]:
    """A copy that counts as made shows the volume at one moment: where unlisted, at the quiesce point."""
    lab, method = stage.lab, done.deed.kind
    if not _is_there(lab, done):
        return  # deleted since, or undone: then it is judged as left over
    window = _window(stage, done)
    if window is None:
        yield Finding("Q-9", f"{method} of {done.source} went well without ever having returned")
        return
    invoked, returned = window
    log = lab.recorder.writes(done.source)
    image, flaw = _image(lab, stage, done)
    attached = bool(lab.catalog.attachments(done.source))
    if lab.lists(method) and attached:
        if image is None:
            yield Finding("Q-9", f"what {method} made of {done.source} can't be read: {flaw}")
            return
        verdict = check_image(log, image, invoked.place, returned.place)
        yield Finding("Q-9", "" if verdict.ok else f"{method} in use: {verdict.message}", verdict.witness)
        return
    at = invoked.place
    if attached:
        before = [e for e in stage.events("gate.quiesced", volume=done.source) if e.place <= invoked.place]
        ends = [e.place for kind in ("gate.release", "gate.expired") for e in stage.events(kind, volume=done.source)]
        held = bool(before) and not any(before[-1].place < place < invoked.place for place in ends)
        yield Finding("Q-1", "" if held else f"{method} ran on {done.source} without its attachment being quiesced")
        if not held:
            return
        lost = any(before[-1].place < place < returned.place for place in ends)
        message = f"{method} counts as successful although {done.source} was released before it returned"
        yield Finding("Q-3", message if lost else "")
        at = before[-1].place
    difference = {"missing": flaw} if image is None else compare_images(exact_image(log, at), image)
    message = f"what {method} made of {done.source} is not what it held when it was quiescent"
    yield Finding("Q-10", message if difference is not None else "", difference)


def _replica(stage: Stage, done: Done) -> Iterator[Finding]:
    """A replica that counts as made equals its source; the source is as it was (R-3, R-4)."""
    lab = stage.lab
    source = lab.catalog.snapshots.get(done.source)
    if done.expected is None:
        return
    if source is not None and source.status == "available":
        now = lab.image("primary", done.source)
        difference = {"missing": True} if now is None else compare_images(done.expected, now)
        yield Finding("R-4", "the source snapshot has changed" if difference is not None else "", difference)
    made = lab.catalog.snapshots.get(done.made)
    if made is None or made.status != "available":
        return
    image = _anywhere(lab, done.made)
    difference = {"missing": True} if image is None else compare_images(done.expected, image)
    yield Finding("R-3", "the replica counts as made, but differs from its source" if difference else "", difference)


def _disclosure(stage: Stage, done: Done) -> Iterator[Finding]:
    """A stranger is told the same of a running activity as of none at all (H-2)."""
    publication = stage.lab.publication
    scope = publication.handle_scope.value
    published = publication.raw.get("handle_scope") == scope  # where it is only the default, wider access is advisory
    if not published or scope == "unrestricted" or done.told is None:
        return
    of_handle, of_none = done.told
    fine = of_handle == of_none and of_handle.startswith("ActivityUnknown")
    message = f"{scope}: a stranger was told {of_handle!r} of a handle, and {of_none!r} of one that does not exist"
    yield Finding("H-2", "" if fine else message)


def _leftovers(stage: Stage) -> Iterator[Finding]:
    """After one clean-up the backends hold what users were told that they have, once, and nothing else (R-6, R-9)."""
    lab = stage.lab
    catalog = lab.catalog
    places: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for name in lab.taskflow.core.ends:
        for stored in lab.testbed.backend(name).inspect().objects:
            places.setdefault(stored.id, []).append(name)
            sizes[stored.id] = stored.size
            if not stored.complete:
                yield Finding("R-9", f"{stored.id} on {name} is half made")
    known = {*catalog.volumes, *catalog.snapshots}
    orphans = sorted(set(places) - known)
    yield Finding("R-9", f"nobody knows of {', '.join(orphans)}" if orphans else "", {"orphans": orphans})
    missing = sorted(known - set(places))
    yield Finding(
        "R-9", f"{', '.join(missing)} is recorded, but on no backend" if missing else "", {"missing": missing}
    )
    twice = sorted(object_id for object_id, names in places.items() if len(names) > 1)
    yield Finding("R-9", f"{', '.join(twice)} is on two backends" if twice else "")
    anchors = [v.id for v in catalog.volumes.values() if v.admin_metadata.get("anchor_for") in catalog.snapshots]
    hidden = [v.id for v in catalog.volumes.values() if not v.use_quota and v.id not in anchors]
    yield Finding("R-9", f"hidden volumes are left: {', '.join(hidden)}" if hidden else "")
    pending = [record.id for record in lab.journal.unfinished()]
    yield Finding("R-9", f"with all backends in reach, {', '.join(pending)} could not be ended" if pending else "")
    records: tuple[Any, ...] = (*catalog.volumes.values(), *catalog.snapshots.values(), *catalog.backups.values())
    halves = [record.id for record in records if record.status == "creating"]
    yield Finding("R-9", f"{', '.join(halves)} is being created for ever" if halves else "")
    gib = 0
    for object_id in places:
        gib += 0 if object_id in anchors else sizes[object_id]
    quota = catalog.quota_gib()
    message = f"users pay for {quota} GiB, but what they have on the backends is {gib} GiB"
    yield Finding("R-6", message if quota != gib and not orphans and not missing else "")


# ---- what the record says --------------------------------------------------------------------------------------------


def _window(stage: Stage, done: Done) -> tuple[Event, Event] | None:
    """The invocation of the method behind a deed, and its return; for an activity that another taskflow found again,
    that is when it saw its end."""
    flow = next(
        (
            f.id
            for f in stage.lab.journal.flows
            if done.made in (f.arguments.get(k) for k in ("makes", "backup", "image"))
        ),
        None,
    )
    method = done.deed.kind
    invoked = stage.events("method.invoked", flow=flow, method=method)
    returned = stage.events("method.returned", flow=flow, method=method) or stage.events("reattached", flow=flow)
    if not invoked and method == "backup_volume":  # the taskflow read the volume itself, quiesced
        invoked = stage.events("step.started", flow=flow, step=method)
        returned = stage.events("step.done", flow=flow, step=method)
        held = stage.events("gate.quiesced", owner=flow)
        invoked = held or invoked
        if returned and held:
            return held[0], stage.events("gate.release", owner=flow)[0]
    return (invoked[0], returned[-1]) if invoked and returned else None


def _is_there(lab: Lab, done: Done) -> bool:
    """Whether users count on what was made: an image if its caller was told so, else what is recorded as available."""
    if done.deed.kind == "copy_volume_to_image":
        return done.went_well
    if done.deed.kind == "backup_volume":
        return done.made in backups(lab)
    record = lab.catalog.volumes.get(done.made) or lab.catalog.snapshots.get(done.made)
    return record is not None and record.status == "available"


def _image(lab: Lab, stage: Stage, done: Done) -> tuple[Image | None, str]:
    try:
        if done.deed.kind == "backup_volume":
            return restore_image(lab.catalog.backups[done.made].chunks), ""
        if done.deed.kind == "copy_volume_to_image":
            return restore_image(stage.images.chunks(done.made)), ""
    except (ValueError, KeyError) as error:
        return None, str(error)
    return _anywhere(lab, done.made), "it is not there"


def _anywhere(lab: Lab, object_id: str) -> Image | None:
    for name in lab.taskflow.core.ends:
        image = lab.image(name, object_id)
        if image is not None:
            return image
    return None
