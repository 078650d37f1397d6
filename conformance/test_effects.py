"""Section 6 of the specification: what each method makes of volumes that nobody has attached (clauses Q-7, Q-10)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.checks import check
from conformance.lab import Lab
from harness.backup_store import ImageService, restore_image
from harness.contract import NotSupported
from harness.model import Backup, Snapshot, Volume
from harness.point_in_time import compare_images, exact_image
from harness.storage import Image

METHODS = (
    "create_volume",
    "create_volume_from_snapshot",
    "revert_to_snapshot",
    "copy_image_to_volume",
    "restore_backup",
    "delete_volume",
    "delete_snapshot",
    "replicate_snapshot",
    "extend_volume",
)
"""The methods that work on unattached volumes and on snapshots, beside the copying and moving ones."""


@pytest.mark.parametrize("method", METHODS)
@check("Q-7", "Q-10")
def test_method_has_its_defined_effect_and_no_other(lab: Lab, method: str) -> None:
    """A method does what the specification defines for it, and leaves every other object and the status alone."""
    if not lab.implements(method):
        lab.not_applicable(f"the driver does not implement {method}")
    clause, other = ("Q-7", "Q-10") if lab.lists(method) else ("Q-10", "Q-7")
    lab.ledger.set_aside(other, f"{method} is {'listed' if clause == 'Q-7' else 'not listed'} as stateless")
    volume = lab.volume()
    content = dict(lab.image("primary", volume.id) or {})
    seen = lab.watch_status(volume)
    try:
        expected, found = _EFFECTS[method](lab, volume, content)
    except NotSupported as error:  # a backend or its configuration decides; before any effect, as the contract has it
        found = lab.image("primary", volume.id)
        written = exact_image(lab.recorder.writes(volume.id), lab.recorder.tick())
        harm = {"missing": True} if found is None else compare_images(written, found)
        if lab.expect(clause, harm is None, f"{method} is not supported, yet it changed the volume", harm):
            lab.not_applicable(f"the driver does not support {method} here: {error}", clause)
        return
    difference = {"missing": True} if found is None else compare_images(expected, found)
    lab.expect(clause, difference is None, f"what {method} made is not what it is to make", difference)
    if method not in ("revert_to_snapshot", "delete_volume", "delete_snapshot"):
        kept = lab.image("primary", volume.id)
        written = exact_image(lab.recorder.writes(volume.id), lab.recorder.tick())
        harm = {"missing": True} if kept is None else compare_images(written, kept)
        lab.expect(clause, harm is None, f"{method} changed the volume beside it", harm)
    others = sorted({status for status in seen if status.startswith("error")})
    lab.expect(clause, not others, f"{method} set the status of the volume to {', '.join(others)}")


Effect = Callable[[Lab, Volume, Image], tuple[Image, Image | None]]
"""Carries a method out; returns the image that is expected and the one that was found (None: nothing there)."""


def _snapshot(lab: Lab, volume: Volume) -> Snapshot:
    if not lab.implements("create_snapshot"):
        lab.not_applicable("the driver makes no snapshots")
    return lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))


def _create(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    new = lab.identifier("new")
    lab.taskflow.methods.create_volume(new, 2, "primary")
    stored = lab.testbed.backend("primary").inspect().find(new)
    return {}, lab.image("primary", new) if stored is not None and stored.size == 2 else None


def _from_snapshot(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    snapshot = _snapshot(lab, volume)
    lab.write_over(volume)
    new, size = lab.identifier("new"), volume.size + 1
    lab.taskflow.methods.create_volume_from_snapshot(snapshot.id, new, size)
    stored = lab.testbed.backend("primary").inspect().find(new)
    return content, lab.image("primary", new) if stored is not None and stored.size == size else None


def _revert(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    snapshot = _snapshot(lab, volume)
    lab.write_over(volume)
    end = lab.taskflow.core.ends["primary"]
    end.call_positional("revert_to_snapshot", {"volume": volume, "snapshot": snapshot})
    return content, lab.image("primary", volume.id)


def _image_to_volume(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    if not lab.implements("copy_volume_to_image"):
        lab.not_applicable("the driver uploads no images that could be downloaded again")
    images, image_id = ImageService(), lab.identifier("image")
    lab.taskflow.methods.upload(volume.id, images, image_id)
    new = lab.taskflow.methods.create_volume(lab.identifier("new"), volume.size, "primary")
    end = lab.taskflow.core.ends["primary"]
    arguments = {"volume": new, "image_service": images, "image_id": image_id}
    end.call_positional("copy_image_to_volume", arguments)
    return content, lab.image("primary", new.id)


def _restore(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    backup: Backup = lab.taskflow.backups.backup(volume.id, lab.identifier("backup"), ["zlib", "none"])
    try:
        content = restore_image(backup.chunks)
    except ValueError as error:
        lab.unverifiable(f"there is no backup to restore: {error}")
    new = lab.taskflow.methods.create_volume(lab.identifier("new"), volume.size, "primary")
    lab.taskflow.core.ends["primary"].call_positional("restore_backup", {"backup": backup, "volume": new})
    return content, lab.image("primary", new.id)


def _delete_volume(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    beside = lab.volume("beside")
    kept = dict(lab.image("primary", beside.id) or {})
    lab.taskflow.methods.delete_volume(volume.id)
    gone = volume.id not in lab.object_ids("primary")
    return kept, lab.image("primary", beside.id) if gone else None


def _delete_snapshot(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    snapshot = _snapshot(lab, volume)
    later = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("later snapshot"))
    lab.write_over(volume)
    lab.attach(volume)
    now = dict(lab.image("primary", volume.id) or {})
    lab.taskflow.methods.delete_snapshot(snapshot.id)
    kept = lab.image("primary", later.id)
    gone = snapshot.id not in lab.object_ids("primary")
    if not gone or kept is None or compare_images(content, kept) is not None:
        return now, None
    return now, lab.image("primary", volume.id)


def _replicate(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    snapshot = _snapshot(lab, volume)
    lab.write_over(volume)
    new = lab.identifier("replica")
    lab.taskflow.replication.replicate(snapshot.id, "sibling", new)
    return content, lab.image("sibling", new)


def _extend(lab: Lab, volume: Volume, content: Image) -> tuple[Image, Image | None]:
    size = volume.size + 2
    lab.taskflow.methods.extend(volume.id, size)
    stored = lab.testbed.backend("primary").inspect().find(volume.id)
    return content, lab.image("primary", volume.id) if stored is not None and stored.size == size else None


_EFFECTS: dict[str, Effect] = {
    "create_volume": _create,
    "create_volume_from_snapshot": _from_snapshot,
    "revert_to_snapshot": _revert,
    "copy_image_to_volume": _image_to_volume,
    "restore_backup": _restore,
    "delete_volume": _delete_volume,
    "delete_snapshot": _delete_snapshot,
    "replicate_snapshot": _replicate,
    "extend_volume": _extend,
}
