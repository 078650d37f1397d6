"""Section 5 of the specification: who compresses a backup, and with what (clauses C)."""

from __future__ import annotations

import pytest

from conformance.checks import check
from conformance.lab import Lab
from harness.backup_store import restore_image
from harness.compression import TECHNIQUES, Limits, canonical
from harness.model import Backup
from harness.point_in_time import compare_images
from harness.recorder import Event
from harness.stamps import DENSE
from harness.storage import Image
from harness.taskflow.errors import TaskflowError

HOOK = "backup_volume"


def back_up(lab: Lab, acceptable: list[str], limits: Limits | None = None) -> Backup:
    """Back an unattached volume up."""
    volume = lab.catalog.volumes.get(lab.identifier("volume")) or lab.volume()
    return lab.taskflow.backups.backup(volume.id, lab.identifier("backup"), acceptable, limits)


def called_with(lab: Lab) -> str | None:
    """The technique that the driver was called with last."""
    calls = lab.recorder.find("method.invoked", method=HOOK)
    return str(calls[-1].fields["technique"]) if calls else None


def judge_content(lab: Lab, backup: Backup, source: Image | None = None) -> bool:
    """C-3, C-5: decoding each chunk once, by its label, gives the source (default: the volume) byte for byte."""
    source = source if source is not None else lab.image("primary", backup.volume_id) or {}
    try:
        restored = restore_image(backup.chunks)
    except ValueError as error:
        lab.expect("C-5", False, str(error), {"chunks": len(backup.chunks)})
        lab.expect("C-3", False, str(error))
        return False
    difference = compare_images(source, restored)
    for clause in ("C-3", "C-5"):
        lab.expect(clause, difference is None, "the backup, decoded by its labels, is not its source", difference)
    return difference is None


@pytest.mark.parametrize("source", ["volume", "snapshot"])
@check("C-1", "C-3", "C-4", "C-5")
def test_first_acceptable_technique_on_offer_is_used(lab: Lab, source: str) -> None:
    """The driver is called with the first technique that the caller accepts and it publishes, and labels it truly."""
    published = list(lab.publication.backup_compression_techniques)
    if not published or not lab.implements(HOOK):
        lab.not_applicable("the driver publishes no technique")
    volume = lab.volume()
    source_id, content = volume.id, dict(lab.image("primary", volume.id) or {})
    if source == "snapshot":
        if not lab.implements("create_snapshot"):
            lab.not_applicable("the driver makes no snapshots")
        source_id = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot")).id
        lab.write_over(volume)
    foreign = [name for name in TECHNIQUES if name not in published]
    for wanted in published:
        rest = [name for name in published if name != wanted]
        backup_id = lab.identifier(f"backup with {wanted}")
        first = len(lab.recorder.events)
        backup = lab.taskflow.backups.backup(source_id, backup_id, [*foreign, wanted, *rest])
        _judge_call(lab, wanted, lab.recorder.events[first:])
        judge_content(lab, backup, content)
        used = {canonical(chunk.label) or chunk.label for chunk in backup.chunks}
        message = f"{wanted} is published, but called with it on data that compresses, the driver used {sorted(used)}"
        lab.expect("C-5", wanted in used or wanted == "none", message, {"labels": sorted(used)})
        other = sorted(used - {wanted, "none"})
        if other:
            lab.note(f"called with {wanted}, the driver also used {', '.join(other)}", "C-5", "use what was asked for")


def _judge_call(lab: Lab, wanted: str, events: list[Event]) -> None:
    decided = [e for e in events if e.kind == "compression.decided"]
    invoked = [e for e in events if e.kind == "method.invoked" and e.fields["method"] == HOOK]
    given = invoked[0].fields["technique"] if invoked else None
    lab.expect("C-1", given == wanted, f"the driver was called with {given}, not with {wanted}")
    lab.expect(
        "C-4",
        bool(decided and invoked) and decided[0].place < invoked[0].place and bool(decided[0].fields["reason"]),
        "the decision was not recorded with its reason before the driver was called",
    )


@check("C-6", "C-3", "C-5")
def test_data_that_does_not_shrink_may_be_stored_as_it_is(lab: Lab) -> None:
    """Of data that does not compress a true backup is made all the same, and nobody compresses it once more."""
    published = [name for name in lab.publication.backup_compression_techniques if name != "none"]
    if not published or not lab.implements(HOOK):
        lab.not_applicable("the driver publishes no technique")
    volume = lab.taskflow.methods.create_volume(lab.identifier("volume"), lab.profile.volume_gib, "primary")
    attachment = lab.testbed.backend("primary").attach(volume.id, lab.node)
    for block in lab.working_set():
        attachment.write(block, lab.recorder.next_stamp() | DENSE)
    attachment.detach()
    for wanted in published:
        first = len(lab.recorder.events)
        try:
            backup = lab.taskflow.backups.backup(volume.id, lab.identifier(f"backup with {wanted}"), [wanted])
        except TaskflowError as error:
            lab.expect("C-6", False, f"data that does not shrink could not be backed up with {wanted}: {error}")
            return
        lab.expect("C-6", judge_content(lab, backup), f"the backup with {wanted} of such data can't be restored")
        calls = [e for e in lab.recorder.events[first:] if e.kind == "method.invoked" and e.fields["method"] == HOOK]
        labels = sorted({canonical(chunk.label) or chunk.label for chunk in backup.chunks})
        once = len(calls) == 1 and calls[0].fields["technique"] == wanted and set(labels) <= {wanted, "none"}
        told = ", ".join(str(call.fields["technique"]) for call in calls)
        message = f"asked for {wanted}, the driver was called with {told}, and the chunks are labelled {labels}"
        lab.expect("C-6", once, message)


@check("C-1", "C-2")
def test_technique_below_the_limits_is_not_used(lab: Lab) -> None:
    """A technique whose figure misses the caller's limits is not chosen; the taskflow compresses instead."""
    published = list(lab.publication.backup_compression_techniques)
    figures = lab.profile.codecs
    measured = [name for name in published if name in figures]
    if not measured or not lab.implements(HOOK):
        lab.not_applicable("the driver publishes no technique for which the profile has a figure")
    beyond = max(figures[name].ratio for name in measured) * 2
    back_up(lab, measured, Limits(least_ratio=beyond))
    lab.expect("C-1", called_with(lab) not in measured, f"{called_with(lab)} was used although it misses the limits")
    lab.expect("C-2", called_with(lab) == "none", f"the driver was called with {called_with(lab)}, not with none")


@pytest.mark.parametrize("offer", ["nothing acceptable", "nothing published"])
@check("C-2", "C-3", "C-5", "C-7")
def test_taskflow_compresses_where_the_driver_has_nothing_acceptable(lab: Lab, offer: str) -> None:
    """Where nothing acceptable is on offer, the taskflow compresses, once, and one decoding restores the volume."""
    published = lab.publication.backup_compression_techniques
    if (offer == "nothing published") is not (not published):
        lab.not_applicable(f"the driver publishes {', '.join(published) or 'no technique'}")
    lab.ledger.set_aside("C-7" if published else "C-2", "the other half of the rule applies")
    acceptable = [name for name in TECHNIQUES if name not in published and name != "none"]
    if not acceptable:
        lab.not_applicable("the driver publishes every technique there is")
    backup = back_up(lab, acceptable)
    clause = "C-2" if published else "C-7"
    used = called_with(lab)
    lab.expect(
        clause,
        used == "none" if lab.implements(HOOK) else used is None,
        f"the driver was called with {used}, not with none",
    )
    labels = {canonical(chunk.label) or chunk.label for chunk in backup.chunks}
    lab.expect(
        clause,
        labels <= {acceptable[0], "none"} and acceptable[0] in labels,
        f"the taskflow was to compress with {acceptable[0]}, but the chunks are labelled {', '.join(sorted(labels))}",
    )
    if not lab.implements(HOOK):
        lab.ledger.set_aside("C-5", "the driver makes no backups")
    judge_content(lab, backup)
