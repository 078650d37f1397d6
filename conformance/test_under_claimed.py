"""Section 2 of the specification: methods that could be listed as stateless, but are not (Q-12, advisory)."""

from __future__ import annotations

import pytest

from conformance.checks import check
from conformance.invocations import COPYING, MOVING, ImageOf, invoke, place_of, read
from conformance.lab import WIDE_SET, Lab
from harness.attributes import read_publication
from harness.contract import NotSupported
from harness.model import Volume
from harness.point_in_time import check_image, coverage, lost_writes
from harness.taskflow.errors import Refused

CLAIM = "stateless_activities"


@pytest.mark.parametrize("method", [*COPYING, *MOVING])
@check("Q-12")
def test_method_that_could_be_listed_is(lab: Lab, method: str) -> None:
    """An unlisted method is tried as if it were listed; where nothing comes to harm, the omission's price is told."""
    if not lab.implements(method) or lab.lists(method):
        lab.not_applicable(f"{method} is listed as stateless, or not implemented")
    if method in MOVING:
        lab.working_blocks = WIDE_SET
    volume = lab.volume()
    attachment = lab.attach(volume)
    ends = lab.taskflow.core.ends
    published = {name: end.publication for name, end in ends.items()}
    for name in ("primary", "sibling"):
        raw = dict(published[name].raw)
        raw[CLAIM] = sorted({*published[name].stateless_activities, method})
        ends[name].publication, _ = read_publication(raw, ends[name].implements)
    status = volume.status
    with lab.load_on(attachment):
        try:
            image_of = invoke(lab, method, volume, lab.identifier("tried"))
        except Refused as error:
            lab.not_applicable(f"the driver leaves {method} of an attached volume to others: {error}")
            return
        except NotSupported as error:
            lab.not_applicable(f"the driver does not support {method} of a volume in use: {error}")
            return
        until = lab.recorder.tick()
        harm = _harm(lab, method, volume, image_of, until) or (
            f"the status became {volume.status!r}" if volume.status != status else None
        )
    window = lab.window(method)
    if window is None:
        lab.unverifiable(f"{method} never returned")
        return
    log = lab.recorder.writes(volume.id)
    covered = coverage(log, window[0].place, window[1].place, set(lab.working_set()))
    if harm is None and not covered.sufficient:
        lab.unverifiable(covered.reason)
    lab.expect("Q-12", True, "")
    if harm is not None:
        return
    for name, publication in published.items():
        ends[name].publication = publication
    first = len(lab.recorder.events)
    if method in MOVING:
        lab.taskflow.methods.migrate(volume.id, "primary", method)
    else:
        invoke(lab, method, volume, lab.identifier("quiesced"))
    events = lab.recorder.events[first:]
    held = [event.at_ns for event in events if event.kind == "gate.hold"]
    released = [event.at_ns for event in events if event.kind in ("gate.release", "gate.expired")]
    cost_s = (released[-1] - held[0]) / 1e9 if held and released else 0.0
    lab.note(
        f"{method} is not listed, yet came to no harm on a volume in use in an exploratory run; not listing it held "
        f"the volume's writes for {cost_s:.3g} s",
        "Q-12",
        f"if that holds in general, add {method!r} to {CLAIM}",
    )


def _harm(lab: Lab, method: str, volume: Volume, image_of: ImageOf, until: int) -> str | None:
    """What is wrong with what an unquiesced method made, or None."""
    image, flaw = read(image_of)
    if image is None:
        return flaw
    log = lab.recorder.writes(volume.id)
    if method in MOVING:
        lost = lost_writes(log, image, until)
        return f"{len(lost)} blocks lost an acknowledged write" if lost else None
    window = lab.window(method)
    if window is None:
        return "it never returned"
    verdict = check_image(log, image, window[0].place, window[1].place)
    return None if verdict.ok and place_of(lab, volume) == "primary" else verdict.message
