"""Section 2 of the specification, two things at once: what is shared, and what is refused (Q-5, Q-11, Q-13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from conformance.checks import check
from conformance.invocations import (
    COPYING,
    LASTING,
    WAYS,
    ImageOf,
    choose_way,
    expect_way,
    first_copying,
    invoke,
    place_of,
    read,
)
from conformance.lab import Lab
from conformance.record import writes_acknowledged_between
from harness.backup_store import ImageService, MemorySink
from harness.model import Volume
from harness.point_in_time import compare_images, exact_image
from harness.recorder import Event
from harness.runtime import Expired, Runtime, Task
from harness.storage import Image
from harness.taskflow.errors import QuiesceLost, TaskflowError

INTRUSIONS = ("delete_volume", "detach", "extend_volume", "migrate_volume", "the same again")
"""What somebody else wants of a volume on which a method works."""


@pytest.mark.parametrize("second", COPYING)
@check("Q-5", "Q-10")
def test_activities_that_overlap_share_one_quiesce(lab: Lab, second: str) -> None:
    """Where two unlisted copying methods overlap, the volume is quiesced once, until the last of them has ended."""
    first = _lasting(lab, listed=False)
    if not lab.implements(second) or lab.lists(second):
        lab.not_applicable(f"{second} is listed as stateless, or not implemented")
    volume = lab.volume()
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    with lab.load_on(attachment):
        task = _begin(lab, first, lambda: invoke(lab, first, volume, lab.identifier("made first")))
        other = invoke(lab, second, volume, lab.identifier("made second"))
        images: list[ImageOf] = [task.wait(), other]
        found = [read(image) for image in images]
    lab.settled()
    lab.ledger.timeline = lab.timeline(f"{first} and {second} at once on a volume in use", volume.id)
    spans = [_span(lab, first, 0), _span(lab, second, 1 if first == second else 0)]
    (_, returned), (invoked, last_returned) = spans
    if not invoked.place < returned.place:
        lab.unverifiable(f"{first} was over before {second} was invoked")
    quiesced = lab.recorder.find("gate.quiesced", volume=volume.id)
    released = lab.recorder.find("gate.release", volume=volume.id)
    ends = max(returned.place, last_returned.place)
    shared = len(quiesced) == 1 and len(released) == 1 and released[0].place > ends
    lab.expect(
        "Q-5",
        shared,
        f"{first} and {second} overlapped, yet {volume.id} was quiesced {len(quiesced)} times and released "
        f"{len(released)} times, or before both had ended",
        {"quiesced": [e.place for e in quiesced], "released": [e.place for e in released], "both ended": ends},
    )
    if not quiesced:
        return
    strays = writes_acknowledged_between(log, quiesced[0].place, ends)
    lab.expect("Q-5", not strays, f"{len(strays)} writes were applied while one of the two still ran")
    expected = exact_image(log, quiesced[0].place)
    for name, image_of, (at_once, flaw) in zip((first, second), images, found, strict=True):
        for image, moment in ((at_once, "at once"), (read(image_of)[0], "after the backends settled")):
            difference = {"missing": flaw} if image is None else compare_images(expected, image)
            message = f"read {moment}, what {name} made is not the content at the quiesce point that both share"
            lab.expect("Q-10", difference is None, message, difference)


class SlowImages(ImageService):
    """An image service that takes a while to accept the first chunk, nanoseconds."""

    def __init__(self, runtime: Runtime, delay_ns: int) -> None:
        super().__init__()
        self._runtime = runtime
        self._delay_ns = delay_ns

    def sink(self, image_id: str) -> MemorySink:
        """See `ImageService.sink`."""
        self._runtime.sleep(self._delay_ns)
        self._delay_ns = 0
        return super().sink(image_id)


@check("Q-3", "Q-5")
def test_shared_quiesce_ends_at_max_hold(lab: Lab) -> None:
    """A quiesce that activities share ends at `max_hold` after the first began, and the later one is no success."""
    method = "copy_volume_to_image"
    if not lab.implements(method) or lab.lists(method):
        lab.not_applicable(f"{method} is listed as stateless, or not implemented")
    volume = lab.volume()
    attachment = lab.attach(volume)
    hold_ns = lab.profile.max_hold_ns

    def upload(name: str, tenths: int) -> None:
        slow = SlowImages(lab.runtime, hold_ns * tenths // 10)
        lab.taskflow.methods.upload(volume.id, slow, lab.identifier(name))

    task = _begin(lab, method, lambda: upload("first image", 6))
    lab.runtime.sleep(hold_ns * 4 // 10)
    outcome = "success"
    try:
        upload("second image", 12)
    except QuiesceLost:
        outcome = "told that the hold was lost"
    except TaskflowError as error:
        outcome = f"{type(error).__name__}: {error}"
    ended = lab.recorder.tick()
    _settle(task)
    holds = lab.recorder.find("gate.hold", volume=volume.id)
    expired = lab.recorder.find("gate.expired", volume=volume.id)
    if not holds or len(lab.recorder.find("method.invoked", method=method)) < 2:
        lab.unverifiable("the two uploads did not overlap")
    over = [e for e in expired if e.place < ended]
    lab.expect("Q-5", bool(over), f"{volume.id} was still held after max_hold ({hold_ns / 1e9:g} s), by the second")
    lab.expect("Q-3", outcome == "told that the hold was lost", f"the second, past its hold, ended with {outcome}")
    lab.expect("Q-3", not attachment.gate.holding, f"the writes to {volume.id} are still held")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("intrusion", INTRUSIONS)
@check("Q-13", "Q-5", "Q-10")
def test_volume_is_safe_while_a_method_works_on_it(lab: Lab, intrusion: str, way: str) -> None:
    """Delete, detach, extend, migrate or a second invocation meanwhile is refused, or harms nothing."""
    # of two at once it is those with a status of their own that could leave the wrong one behind
    order = (*LASTING[1:], LASTING[0]) if intrusion == "the same again" else LASTING
    method = _lasting(lab, None, order)
    if intrusion in ("extend_volume", "migrate_volume") and not lab.implements(intrusion):
        lab.not_applicable(f"the driver does not implement {intrusion}")
    if intrusion not in ("extend_volume", "migrate_volume"):
        lab.ledger.set_aside("Q-5", f"{intrusion} does not change content")
    choose_way(lab, way)
    volume = lab.volume()
    attachments = [lab.attach(volume)] if intrusion in ("detach", "the same again") else []
    content = dict(lab.image("primary", volume.id) or {})
    status, size = volume.status, volume.size
    again: list[ImageOf] = []
    deeds: dict[str, Callable[[], object]] = {
        "delete_volume": lambda: lab.taskflow.methods.delete_volume(volume.id),
        "detach": lambda: lab.taskflow.methods.detach(attachments[0]),
        "extend_volume": lambda: lab.taskflow.methods.extend(volume.id, size + 1),
        "migrate_volume": lambda: lab.taskflow.methods.migrate(volume.id, "sibling"),
        "the same again": lambda: again.append(invoke(lab, method, volume, lab.identifier("made again"))),
    }
    task = _begin(lab, method, lambda: invoke(lab, method, volume, lab.identifier("made")))
    intruded = lab.recorder.tick()
    refusal: BaseException | None = None
    try:
        deeds[intrusion]()
    except Exception as error:
        refusal = error
    image_of = task.wait()
    expect_way(lab, way, method)
    _, returned = _span(lab, method, 0)
    if not intruded < returned.place:
        lab.unverifiable(f"{method} was over before {intrusion} was asked for")
    if refusal is not None:
        clear = isinstance(refusal, TaskflowError) and bool(str(refusal))
        lab.expect("Q-13", clear, f"{intrusion} during {method} was refused with {type(refusal).__name__}: {refusal}")
    for made, name in [(image_of, "what it made"), *((image, "what the second made") for image in again)]:
        image, flaw = read(made)
        difference = {"missing": flaw} if image is None else compare_images(content, image)
        message = f"{intrusion} during {method}: {name} is not what the volume held"
        lab.expect("Q-10", difference is None, message, difference)
    _judge_volume(lab, volume, content, intrusion, refusal)
    if intrusion == "detach" and refusal is None:
        status = "available"
    if intrusion != "delete_volume" or refusal is not None:
        message = f"after {method} and {intrusion} the status is {volume.status!r}, not {status!r}"
        lab.expect("Q-13", volume.status == status, message)
    if intrusion in ("extend_volume", "migrate_volume"):
        changed = [e for e in lab.recorder.find("method.invoked", method=intrusion) if e.place < returned.place]
        lab.expect("Q-5", not changed, f"{intrusion}, which changes content, was invoked while {method} still ran")


@check("Q-11", "Q-10")
def test_attaching_meanwhile_waits_or_joins_held(lab: Lab) -> None:
    """A host that attaches a volume while an unlisted method runs on it writes nothing before the method's end."""
    method = _lasting(lab, listed=False)
    volume = lab.volume()
    content = dict(lab.image("primary", volume.id) or {})
    task = _begin(lab, method, lambda: invoke(lab, method, volume))
    asked = lab.recorder.tick()
    attachment = lab.attach(volume)
    log = lab.recorder.writes(volume.id)
    before = len(log)
    blocks = lab.working_set()
    writing = lab.runtime.spawn("a write of the new host", lambda: attachment.write(blocks[0], _stamp(lab)))
    image_of = task.wait()
    _, returned = _span(lab, method, 0)
    if not asked < returned.place:
        lab.unverifiable(f"{method} was over before the volume was attached")
    writing.wait(2 * lab.profile.max_hold_ns)
    acknowledged = log.acknowledged[before] if len(log) > before else -1
    lab.expect("Q-11", acknowledged > returned.place, f"the new host wrote to {volume.id} while {method} ran on it")
    image: Image | None = read(image_of)[0]
    difference = {"missing": True} if image is None else compare_images(content, image)
    lab.expect("Q-10", difference is None, f"what {method} made holds what the new host wrote", difference)


def _lasting(lab: Lab, listed: bool | None, order: Sequence[str] = LASTING) -> str:
    """The first copying method of `order` that is (not) listed; not applicable if there is none."""
    method = first_copying(lab, listed, order)
    if method is not None:
        return method
    lab.not_applicable("the driver implements no such copying method" if listed is None else "every one is listed")
    raise LookupError


def _begin(lab: Lab, method: str, body: Callable[[], Any]) -> Task[Any]:
    """Run `body` as a caller of its own; returns once it has invoked `method`, or is over."""
    invoked = lab.runtime.signal(f"{method} is invoked")

    def look(event: Event) -> None:
        if event.kind == "method.invoked" and event.fields["method"] == method:
            invoked.set(None)

    end = lab.recorder.listen(look)

    def run() -> Any:
        try:
            return body()
        finally:
            invoked.set(None)

    task = lab.runtime.spawn(f"caller of {method}", run)
    invoked.wait()
    end()
    return task


def _settle(task: Task[Any]) -> None:
    try:
        task.wait()
    except (TaskflowError, Expired):
        return


def _span(lab: Lab, method: str, number: int) -> tuple[Event, Event]:
    """The `number`-th invocation of a method by a flow, and its return; unverifiable if it never returned."""
    invoked = lab.recorder.find("method.invoked", method=method)
    if len(invoked) > number:
        flow = invoked[number].fields["flow"]
        returned = lab.recorder.find("method.returned", method=method, flow=flow)
        if returned:
            return invoked[number], returned[-1]
    lab.unverifiable(f"{method} never returned")
    raise LookupError


def _judge_volume(lab: Lab, volume: Volume, content: Image, intrusion: str, refusal: BaseException | None) -> None:
    if intrusion == "delete_volume" and refusal is None:
        gone = volume.id not in lab.object_ids("primary") and volume.id not in lab.catalog.volumes
        lab.expect("Q-13", gone, "the deletion went well, yet the volume is still there")
        return
    where = place_of(lab, volume)
    stored = lab.testbed.backend(where).inspect().find(volume.id)
    image = lab.image(where, volume.id)
    difference = {"missing": True} if image is None else compare_images(content, image)
    lab.expect("Q-13", difference is None, f"after {intrusion} the volume itself has changed", difference)
    size = stored.size if stored else 0
    lab.expect("Q-13", size == volume.size, f"the volume has {size} GiB, its record says {volume.size}")


def _stamp(lab: Lab) -> int:
    return lab.recorder.next_stamp()
