"""Section 3 of the specification: nothing is used before it is whole, and the only good copy stays (R-5, R-12)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from conformance.checks import check
from conformance.invocations import WAYS as CALLS
from conformance.invocations import choose_way
from conformance.lab import Lab
from conformance.replicas import WAYS, Case, prepare
from harness.contract import BackendActivityError
from harness.model import Volume, backend_name
from harness.point_in_time import compare_images
from harness.recorder import Event
from harness.storage import Image
from harness.taskflow.errors import Refused, TaskflowError
from harness.testbed import Capability

PROBES = 3
"""How often the unfinished replica is tried."""


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("way", WAYS)
@check("R-5")
def test_replica_is_not_usable_before_it_is_complete(lab: Lab, way: str, calls: str) -> None:
    """Until the replica is whole, nobody gets a volume from it; and the driver says that it is done no sooner."""
    choose_way(lab, calls)
    case = prepare(lab, way)
    making = "replicate_snapshot" if way == "native" else "create_snapshot"
    began, made = (lab.runtime.signal(f"{making} is {what}") for what in ("invoked", "over"))
    over: list[Event] = []

    def look(event: Event) -> None:
        if event.fields.get("method") != making:
            return
        if event.kind == "method.invoked":
            began.set(None)
        elif event.kind in ("method.returned", "method.failed", "method.lost"):
            over.append(event)
            made.set(None)

    end = lab.recorder.listen(look)

    def replicate() -> None:
        try:
            lab.taskflow.replication.replicate(case.snapshot.id, case.destination, case.new_id)
        finally:
            began.set(None)
            made.set(None)

    task = lab.runtime.spawn("replication", replicate)
    began.wait()
    probes = []
    for number in range(PROBES):
        if over:
            break
        name = f"probe {number}"
        probes.append(lab.runtime.spawn(name, lambda name=name: _probe(lab, case, name)))  # type: ignore[misc]
        lab.runtime.sleep(int(lab.profile.whole_copy_ns * lab.schedule.fraction(name, 0.02, 0.3)))
    made.wait()
    whole_at_return = not over or over[0].kind != "method.returned" or _replica(lab, case) is not None
    # the first look after the driver said that it was done; no virtual time has passed. What it holds is R-3's matter
    lab.expect("R-5", whole_at_return, f"{making} is over, but the replica is not there or not complete yet")
    end()
    for probe in probes:
        probe.wait()
    task.wait()
    final = _replica(lab, case)
    for number in range(len(probes)):
        for name in (f"probe {number}", f"probe {number}, control plane"):
            image = lab.image(case.destination, lab.identifier(name))
            if image is None or final is None:
                continue
            difference = compare_images(final, image)
            message = (
                "a volume was made from the replica before it was complete, and does not hold what it came to hold"
            )
            lab.expect("R-5", difference is None, message, difference)


def _replica(lab: Lab, case: Case) -> Image | None:
    return lab.image(case.destination, case.new_id)


def _probe(lab: Lab, case: Case, name: str) -> None:
    """Try to get a volume from the unfinished replica, through the control plane and past it."""
    with contextlib.suppress(Refused):
        lab.taskflow.methods.create_volume_from_snapshot(case.new_id, lab.identifier(f"{name}, control plane"))
    record = lab.catalog.snapshots.get(case.new_id)
    if record is None:
        return
    home = lab.cinder_host(case.destination)
    volume = Volume(lab.identifier(name), record.volume_size, home, status="creating", snapshot_id=record.id)
    driver = lab.open_driver(case.destination)
    with contextlib.suppress(BackendActivityError, TaskflowError):
        lab.call(driver, "create_volume_from_snapshot", volume, record)


FAULTS = ("failure", "break", "death")
"""What goes wrong once the copy is the volume: deleting the source fails, the connection breaks, the taskflow dies."""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mover", ["driver", "host"])
@check("R-12", needs=(Capability.JOB_FAULTS, Capability.CONNECTION_BREAK))
def test_migration_that_fails_past_its_cut_over_keeps_the_copy(lab: Lab, mover: str, fault: str) -> None:
    """Whatever goes wrong once the volume has moved, a whole copy stays where the control plane looks for it."""
    volume = lab.volume()
    content = dict(lab.image("primary", volume.id) or {})
    destination = "sibling" if mover == "driver" else "stranger"
    if destination not in lab.taskflow.core.ends:
        lab.unverifiable(f"the testbed has no backend of another family ({Capability.SECOND_FAMILY.value})")
    if fault == "failure":
        verb = "delete" if mover == "host" else "move"
        lab.inject("job.fail", backend="primary", verb=verb, fraction=1.0)
    past = _moments_past_the_cut_over(lab, destination, fault)
    if fault == "break":
        struck: list[Event] = []

        def look(event: Event) -> None:
            if not struck and past(event):
                struck.append(event)
                lab.runtime.call_later(0, lambda: lab.inject("connection.break", caller=lab.node))

        end = lab.recorder.listen(look)
        with contextlib.suppress(TaskflowError):
            lab.taskflow.methods.migrate(volume.id, destination)
        end()
    elif fault == "death":
        lab.crash(lambda: lab.taskflow.methods.migrate(volume.id, destination), past)
    else:
        with contextlib.suppress(TaskflowError):
            lab.taskflow.methods.migrate(volume.id, destination)
    by_host = bool(lab.recorder.find("step.started", step="host_copy"))
    if by_host is not (mover == "host"):
        lab.not_applicable(f"the volume was not moved by the {mover}")
    if not lab.recorder.find("fault"):
        if fault == "failure":
            lab.not_applicable("the driver asked its backend for no such job")
        lab.unverifiable("nothing went wrong past the cut-over")
    lab.restart()
    lab.taskflow.recover()
    lab.taskflow.recover()
    record = lab.catalog.volumes.get(volume.id)
    lab.expect("R-12", record is not None, f"after {fault} the control plane has lost {volume.id}")
    where = backend_name(volume.host)
    whole = {
        name: compare_images(content, image) is None
        for name in ("primary", destination)
        if (image := lab.image(name, volume.id)) is not None
    }
    message = f"after {fault} past the cut-over {volume.id} is not whole at {where}, where its record says it is"
    lab.expect("R-12", whole.get(where, False), message, {"copies": whole})


def _moments_past_the_cut_over(lab: Lab, destination: str, fault: str) -> Callable[[Event], bool]:
    """Accepts one event, drawn from the seed, of those that come once the volume has moved."""
    kinds: tuple[tuple[str, str], ...]
    if destination == "sibling":
        kinds = (("activity.ended", "move"), ("method.returned", "migrate_volume"), ("step.done", "migrate_volume"))
    else:
        kinds = (("step.started", "delete_source"), ("activity.started", "delete"), ("activity.ended", "delete"))
    if destination == "sibling" and fault == "break":
        kinds = kinds[:1]  # after the others no time passes before the flow has ended
    kind, what = lab.schedule.pick("moment", kinds)

    def accepts(event: Event) -> bool:
        return event.kind == kind and what in (event.fields.get(key) for key in ("step", "verb", "method"))

    return accepts
