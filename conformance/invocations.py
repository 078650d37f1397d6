"""How checks invoke a driver's methods through the taskflow, and read what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.lab import Lab
from harness.backup_store import ImageService, restore_image
from harness.contract import ACTIVITY_HOOKS, NotSupported
from harness.model import Volume
from harness.storage import Image
from harness.taskflow.errors import Refused

COPYING = ("create_snapshot", "create_cloned_volume", "copy_volume_to_image", "backup_volume")
LASTING = ("create_cloned_volume", "backup_volume", "copy_volume_to_image", "create_snapshot")
"""The copying methods, those that take a while first."""
MOVING = ("migrate_volume", "retype")

WAYS = ("blocking", "as an activity")
"""The two ways in which the taskflow carries a method out; a vendor's code for them differs."""

ImageOf = Callable[[], Image | None]


def expect_claim(lab: Lab, method: str, listed: bool) -> None:
    """End the check as not applicable unless the driver implements a method and lists it as stateless, or does not."""
    if not lab.implements(method):
        lab.not_applicable(f"the driver does not implement {method}")
    if lab.lists(method) is not listed:
        lab.not_applicable(f"{method} is {'not ' if listed else ''}listed as stateless")


def first_copying(lab: Lab, listed: bool | None, order: Sequence[str] = COPYING) -> str | None:
    """The first copying method of `order` that the driver implements and lists (True), does not list (False), or
    either (None); None if there is no such method."""
    return next((m for m in order if lab.implements(m) and listed in (None, lab.lists(m))), None)


def choose_way(lab: Lab, way: str) -> None:
    """Let the taskflow call methods in that way; not applicable where the driver has no activity hooks."""
    if way == "as an activity" and not all(lab.implements(hook) for hook in ACTIVITY_HOOKS):
        lab.not_applicable("the driver has no activity hooks")
    lab.taskflow.core.prefers_activities = way == "as an activity"


def expect_way(lab: Lab, way: str, method: str) -> None:
    """End the check as not applicable if the method was to be started as an activity and the driver did not take it."""
    if way == "as an activity" and not lab.recorder.find("activity.accepted", method=method):
        lab.not_applicable(f"the driver does not start {method} as an activity")


def invoke(lab: Lab, method: str, volume: Volume, new: str = "") -> ImageOf:
    """Invoke a method on a volume, making `new`; returns a function that reads the image that it made.

    Ends the check as not applicable where the driver answers that it does not support a method that it does not list.
    """
    try:
        return _invoke(lab, method, volume, new)
    except NotSupported as error:
        if not lab.lists(method):
            lab.not_applicable(f"the driver does not support {method} here: {error}")
        raise


def _invoke(lab: Lab, method: str, volume: Volume, new: str) -> ImageOf:
    new = new or lab.identifier("made")
    flows = lab.taskflow
    if method == "create_snapshot":
        flows.methods.create_snapshot(volume.id, new)
    elif method == "create_cloned_volume":
        flows.methods.clone(volume.id, new)
    elif method == "copy_volume_to_image":
        images = ImageService()
        flows.methods.upload(volume.id, images, new)
        return lambda: restore_image(images.chunks(new))
    elif method == "backup_volume":
        backup = flows.backups.backup(volume.id, new, ["zlib", "none"])
        return lambda: restore_image(backup.chunks)
    elif method in MOVING:
        flows.methods.migrate(volume.id, "sibling", method)
        return lambda: lab.image(place_of(lab, volume), volume.id)
    elif method == "extend_volume":
        flows.methods.extend(volume.id, volume.size + 1)
        return lambda: lab.image("primary", volume.id)
    else:
        raise LookupError(method)
    return lambda: lab.image("primary", new)


def invoke_in_use(lab: Lab, method: str, volume: Volume) -> ImageOf:
    """Invoke a method on an attached volume, as `invoke` does; not applicable where a driver answers that it can't move
    one (R-2 provides)."""
    try:
        return invoke(lab, method, volume)
    except Refused as error:
        if method in MOVING:
            lab.not_applicable(f"the driver leaves {method} of an attached volume to others: {error}")
        raise


def place_of(lab: Lab, volume: Volume) -> str:
    """The backend on which the control plane has the volume: `primary` or `sibling`."""
    return "sibling" if volume.host == lab.cinder_host("sibling") else "primary"


def read(image_of: ImageOf) -> tuple[Image | None, str]:
    """The image, or None and why there is none."""
    try:
        return image_of(), "it is not there"
    except ValueError as error:
        return None, str(error)
