"""What the tests of hosted drivers do inside a cell; each deed returns what it saw, as JSON."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conformance.lab import Lab
from conformance.runner import LIMITS, testbed_class
from conformance.verdicts import Ledger
from harness.cinder.machine import disk_of
from harness.contract import NotSupported
from harness.loading import CandidateSpec
from harness.model import Volume
from harness.results import Evidence
from harness.runtime.patches import seed
from harness.schedule import Schedule
from harness.taskflow.errors import TaskflowError

CONFIGURATIONS = Path(__file__).parents[2] / "harness" / "cinder" / "configurations"
LVM = "cinder.volume.drivers.lvm.LVMVolumeDriver"

DEEDS: dict[str, Callable[..., Any]] = {}


def deed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register a deed under its name."""
    DEEDS[function.__name__] = function
    return function


def do(deed: str, driver: str = LVM, configuration: str = "lvm_thin", number: int = 1, **more: Any) -> Any:
    """Do a deed in a lab of its own, with that driver and that configuration."""
    seed(number)
    spec = CandidateSpec.for_driver(driver, CONFIGURATIONS / f"{configuration}.toml")
    testbed = "nfs-sim" if configuration == "nfs" else "iscsi-sim"
    candidate = spec.load()
    bed = testbed_class(testbed)(seed=number, options=dict(candidate.testbed_options))
    lab = Lab(bed, candidate, Schedule(number, deed), Ledger((), Evidence.EXERCISED))
    try:
        return bed.runtime.run(lambda: DEEDS[deed](lab, **more), LIMITS)
    finally:
        bed.close()


def _content(lab: Lab, object_id: str) -> dict[int, int]:
    return dict(lab.image("primary", object_id) or {})


@deed
def random_life(lab: Lab, steps: int, attached: bool) -> dict[str, Any]:
    """Snapshot, clone, write and delete at random; says where what the backend holds is not what was made."""
    source = random.Random(lab.schedule.seed)
    methods = lab.taskflow.methods
    volume = lab.volume()
    expected: dict[str, dict[int, int]] = {}
    attachment = lab.attach(volume) if attached else None
    refused = 0
    for step in range(steps):
        deed = source.choice(("snapshot", "clone", "from snapshot", "write", "delete"))
        name = lab.identifier(f"made {step}")
        snapshots = sorted(set(expected) & set(lab.catalog.snapshots))
        match deed:
            case "write":
                if attachment is None:
                    lab.write_over(volume)
                else:
                    for block in lab.working_set()[::5]:
                        attachment.write(block, lab.recorder.next_stamp())
            case "snapshot":
                methods.create_snapshot(volume.id, name)
                expected[name] = _content(lab, volume.id)
            case "clone":
                try:
                    methods.clone(volume.id, name)
                    expected[name] = _content(lab, volume.id)
                except NotSupported:
                    refused += 1
            case "from snapshot" if snapshots:
                chosen = source.choice(snapshots)
                methods.create_volume_from_snapshot(chosen, name)
                expected[name] = expected[chosen]
            case "delete" if expected:
                chosen = source.choice(sorted(expected))
                delete = methods.delete_snapshot if chosen in snapshots else methods.delete_volume
                delete(chosen)
                del expected[chosen]
    there = sorted(set(lab.object_ids("primary")) - {volume.id})
    wrong = [name for name in sorted(expected) if _content(lab, name) != expected[name]]
    return {"there": there, "expected": sorted(expected), "wrong": wrong, "refused": refused}


@deed
def table_and_backend(lab: Lab) -> dict[str, Any]:
    """What LVM's own table holds beside the pool, and what the backend does, after a crash in mid-snapshot."""
    volume = lab.volume()
    lab.crash(
        lambda: lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("lost")),
        lambda event: event.kind == "activity.started",
    )
    lab.restart()
    lab.taskflow.recover()
    lab.settled()
    table = disk_of("primary").state["group"].volumes.values()
    return {
        "table": sorted(each.object_id for each in table if each.kind != "pool"),
        "backend": sorted(lab.object_ids("primary")),
    }


@deed
def durations(lab: Lab) -> dict[str, float]:
    """How long a snapshot and a clone take, and copying a whole volume at the disk's speed, in seconds."""
    volume = lab.volume()
    took = {}
    for name, work in {
        "snapshot": lambda: lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot")),
        "clone": lambda: lab.taskflow.methods.clone(volume.id, lab.identifier("clone")),
    }.items():
        began = lab.runtime.now()
        work()
        took[name] = (lab.runtime.now() - began) / 1e9
    return took | {"whole copy": lab.profile.whole_copy_ns / 1e9}


@deed
def one_call(lab: Lab, method: str) -> dict[str, Any]:
    """What the taskflow is told where a driver's method is called on a volume in use."""
    volume = lab.volume()
    lab.attach(volume)
    before = sorted(lab.object_ids("primary"))
    try:
        if method == "create_snapshot":
            lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
        else:
            lab.taskflow.methods.clone(volume.id, lab.identifier("clone"))
    except (TaskflowError, NotSupported) as error:
        return {"raised": type(error).__name__, "left": sorted(lab.object_ids("primary")) != before}
    return {"raised": None, "left": True}


@deed
def model_updates(lab: Lab) -> dict[str, Any]:
    """What the driver wrote to its volume's record, and whether it comes back to a driver that was started anew."""
    volume = lab.volume()
    written = {"location": volume.provider_location, "format": volume.admin_metadata.get("format")}
    lab.restart()
    lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    record: Volume = lab.catalog.volumes[volume.id]
    return {"first": written, "then": record.admin_metadata.get("format"), "status": record.status}


@deed
def published(lab: Lab) -> dict[str, Any]:
    """The publication as the taskflow reads it."""
    return {"listed": sorted(lab.publication.stateless_activities), "version": lab.publication.raw.get("version")}
