"""Section 5 of the specification: who compresses a backup, and with what (clauses C)."""

from __future__ import annotations

import pytest

from conformance.checks import check
from conformance.lab import Lab
from harness.backup_store import restore_image
from harness.compression import TECHNIQUES, Limits, canonical
from harness.model import Backup
from harness.point_in_time import compare_images

HOOK = "backup_volume"


def back_up(lab: Lab, acceptable: list[str], limits: Limits | None = None) -> Backup:
    """Back an unattached volume up."""
    volume = lab.catalog.volumes.get(lab.identifier("volume")) or lab.volume()
    return lab.taskflow.backups.backup(volume.id, lab.identifier("backup"), acceptable, limits)


def called_with(lab: Lab) -> str | None:
    """The technique that the driver was called with last."""
    calls = lab.recorder.find("method.invoked", method=HOOK)
    return str(calls[-1].fields["technique"]) if calls else None


def judge_content(lab: Lab, backup: Backup) -> None:
    """C-3, C-5: decoding each chunk once, by its label, gives the volume byte for byte."""
    source = lab.image("primary", backup.volume_id) or {}
    try:
        restored = restore_image(backup.chunks)
    except ValueError as error:
        lab.expect("C-5", False, str(error), {"chunks": len(backup.chunks)})
        lab.expect("C-3", False, str(error))
        return
    difference = compare_images(source, restored)
    for clause in ("C-3", "C-5"):
        lab.expect(clause, difference is None, "the backup, decoded by its labels, is not the volume", difference)


@check("C-1", "C-3", "C-4", "C-5")
def test_first_acceptable_technique_on_offer_is_used(lab: Lab) -> None:
    """The driver is called with the first technique that the caller accepts and it publishes, and labels it truly."""
    published = list(lab.publication.backup_compression_techniques)
    if not published or not lab.implements(HOOK):
        lab.not_applicable("the driver publishes no technique")
    wanted = lab.schedule.pick("technique", published)
    foreign = [name for name in TECHNIQUES if name not in published]
    rest = [name for name in published if name != wanted]
    backup = back_up(lab, [*foreign, wanted, *rest])
    lab.expect("C-1", called_with(lab) == wanted, f"the driver was called with {called_with(lab)}, not with {wanted}")
    decided = lab.recorder.find("compression.decided")
    invoked = lab.recorder.find("method.invoked", method=HOOK)
    lab.expect(
        "C-4",
        bool(decided and invoked) and decided[0].place < invoked[0].place and bool(decided[0].fields["reason"]),
        "the decision was not recorded with its reason before the driver was called",
    )
    judge_content(lab, backup)
    other = {chunk.label for chunk in backup.chunks} - {wanted, "none"}
    if other:
        lab.note(f"called with {wanted}, the driver used {', '.join(sorted(other))}", "C-5", "use what was asked for")
    if not any(canonical(chunk.label) == wanted for chunk in backup.chunks):
        lab.note(f"no chunk was compressed with {wanted}, although the data compresses", "C-5")


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
    labels = {chunk.label for chunk in backup.chunks}
    lab.expect(
        clause,
        labels <= {acceptable[0], "none"} and acceptable[0] in labels,
        f"the taskflow was to compress with {acceptable[0]}, but the chunks are labelled {', '.join(sorted(labels))}",
    )
    judge_content(lab, backup)
    if not lab.implements(HOOK):
        lab.ledger.set_aside("C-5", "the driver makes no backups")
