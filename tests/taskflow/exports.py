"""Flows done in a cell, by themselves or by OpenStack's engine, and the record of what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from conformance.lab import Lab
from harness.recorder import Event
from harness.taskflow.errors import DriverError, TaskflowError
from harness.testbed import LoadSpec
from tests.taskflow.deeds import in_lab

Body = Callable[[], Any]

FLOWS: dict[str, Callable[[Lab], Body]] = {}
"""Each makes what a flow needs, and returns the flow as a body to be called."""


def flow(function: Callable[[Lab], Body]) -> Callable[[Lab], Body]:
    """Register a flow under its name."""
    FLOWS[function.__name__] = function
    return function


def run(
    name: str,
    testbed: str,
    engine: str | None = None,
    publication: dict[str, Any] | None = None,
    faults: list[dict[str, Any]] | None = None,
    dies_in: str | None = None,
) -> dict[str, Any]:
    """Run a flow in a lab of its own, by itself or by an engine, while a host writes, and tell what came of it.

    `dies_in`: the step at whose first backend job the taskflow dies; another then recovers.
    """

    def deed(lab: Lab) -> dict[str, Any]:
        body = FLOWS[name](lab)
        for fault in faults or ():
            lab.inject(**fault)
        tasks: list[str] = []

        def whole() -> Any:
            if engine is None:
                return body()
            from harness.taskflow.openstack import export

            exported = export(lab.runtime, body)
            tasks.extend(task.name for task, _ in exported.flow.iter_nodes())
            return exported.run(engine)

        def dying() -> Any:
            reached: list[str] = []

            def at(event: Event) -> bool:
                reached.append(event.fields.get("step", ""))
                return event.kind == "activity.started" and dies_in in reached

            task = lab.crash(whole, at)
            lab.restart()
            return task.is_abandoned, lab.taskflow.recover()

        began = len(lab.recorder.events)
        try:
            result = repr(whole() if dies_in is None else dying())
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        ended = len(lab.recorder.events)
        lab.settled()
        return {
            "tasks": tasks,
            "result": result,
            "events": [f"{e.kind} {e.fields.get('step', '')}".strip() for e in lab.recorder.events[began:ended]],
            "journal": [[f.state, *f.steps] for f in lab.journal.flows],
            "objects": {backend: lab.object_ids(backend) for backend in ("primary", "sibling", "stranger")},
            "volumes": [[v.id, v.status, v.host] for v in lab.catalog.volumes.values()],
            "drawn next": str(uuid.uuid4()),
            "writes": len(lab.recorder.writes(lab.identifier("volume"))),
            "digest": lab.recorder.digest(),
        }

    return in_lab(deed, testbed, name, publication)


def reverting(testbed: str) -> dict[str, Any]:
    """Let the fallback's snapshot fail under the engine, and note what is left when each task has been reverted."""
    from taskflow import engines

    from harness.taskflow.openstack import export

    def deed(lab: Lab) -> dict[str, Any]:
        old = snapshot(lab)
        users = lab.object_ids("primary")
        lab.inject("job.fail", backend="stranger", verb="snapshot", fraction=0.5)
        new = lab.identifier("new")
        engine = engines.load(
            export(lab.runtime, lambda: lab.taskflow.replication.replicate(old, "stranger", new)).flow
        )
        seen: list[tuple[str, str, int, int]] = []

        def note(state: str, details: dict[str, Any]) -> None:
            hidden = [i for i in lab.object_ids("primary") if i not in users]
            seen.append((details["task_name"], state, len(hidden), len(lab.object_ids("stranger"))))

        engine.atom_notifier.register("*", note)
        try:
            engine.run()
        except DriverError as error:
            return {"seen": [s for s in seen if s[1] in ("SUCCESS", "FAILURE", "REVERTED")], "error": str(error)}
        return {}

    return in_lab(deed, testbed)


def two_flows(testbed: str) -> dict[str, Any]:
    """Export a body of two flows, one that is never run, and two that are run elsewhere than where they were made."""
    from taskflow import engines

    from harness.taskflow.openstack import export

    def deed(lab: Lab) -> dict[str, Any]:
        methods = lab.taskflow.methods
        ids = [lab.identifier(name) for name in ("one", "two", "three", "four", "five")]

        def both() -> None:
            methods.create_volume(ids[0], 1, "primary")
            methods.create_volume(ids[1], 1, "primary")

        def told(body: Body) -> str:
            try:
                body()
            except TaskflowError as error:
                return f"{type(error).__name__}: {error}"
            return ""

        two = told(lambda: export(lab.runtime, both).run())
        unused = export(lab.runtime, lambda: methods.create_volume(ids[2], 1, "primary"))
        unused.close()
        made = export(lab.runtime, lambda: methods.create_volume(ids[3], 1, "primary"))
        elsewhere = told(lab.runtime.spawn("another", made.run).wait)
        inside = export(lab.runtime, lambda: methods.create_volume(ids[4], 1, "primary")).flow
        threads = told(lambda: engines.run(inside, engine="parallel", executor="threaded", max_workers=2))
        lab.settled()
        made = [i in lab.object_ids("primary") for i in ids]

        def unplanned() -> None:
            with lab.taskflow.core.flow("odd") as odd, odd.step("whatever"):
                pass

        unplanned()
        refused = told(lambda: export(lab.runtime, unplanned).run())
        return {"unplanned": refused, "two": two, "threads": threads, "elsewhere": elsewhere, "made": made}

    return in_lab(deed, testbed)


def written(lab: Lab) -> str:
    """The id of a volume to which a host writes."""
    volume = lab.volume()
    lab.attach(volume).load(LoadSpec(lab.working_set(), 4, lab.profile.think_ns))
    lab.runtime.sleep(20 * lab.profile.think_ns)
    return volume.id


def snapshot(lab: Lab) -> str:
    """The id of a snapshot of such a volume."""
    return lab.taskflow.methods.create_snapshot(written(lab), lab.identifier("snapshot")).id


@flow
def create_volume(lab: Lab) -> Body:
    """Make an empty volume, while another is written."""
    written(lab)
    return lambda: lab.taskflow.methods.create_volume(lab.identifier("new"), 1, "primary")


@flow
def create_snapshot(lab: Lab) -> Body:
    """Snapshot a volume in use: quiesced, if the driver does not list it."""
    volume = written(lab)
    return lambda: lab.taskflow.methods.create_snapshot(volume, lab.identifier("snapshot"))


@flow
def clone(lab: Lab) -> Body:
    """Clone a volume in use."""
    volume = written(lab)
    return lambda: lab.taskflow.methods.clone(volume, lab.identifier("new"))


@flow
def extend(lab: Lab) -> Body:
    """Grow a volume in use."""
    volume = written(lab)
    return lambda: lab.taskflow.methods.extend(volume, 2 * lab.profile.volume_gib)


@flow
def migrate(lab: Lab) -> Body:
    """Migrate a volume in use by its driver."""
    volume = written(lab)
    return lambda: lab.taskflow.methods.migrate(volume, "sibling")


@flow
def migrate_through_host(lab: Lab) -> Body:
    """Migrate a volume that is not in use to another family, through a host."""
    written(lab)
    volume = lab.volume("other")
    return lambda: lab.taskflow.methods.migrate(volume.id, "stranger")


@flow
def replicate(lab: Lab) -> Body:
    """Replicate a snapshot within its family: natively, if that is published."""
    old = snapshot(lab)
    return lambda: lab.taskflow.replication.replicate(old, "sibling", lab.identifier("new"))


@flow
def replicate_to_stranger(lab: Lab) -> Body:
    """Replicate a snapshot to another family, by the fallback's four steps."""
    old = snapshot(lab)
    return lambda: lab.taskflow.replication.replicate(old, "stranger", lab.identifier("new"))


@flow
def delete_replica(lab: Lab) -> Body:
    """Delete a snapshot that the fallback made, with its anchor where there is one."""
    new = replicate(lab)().id
    return lambda: lab.taskflow.methods.delete_snapshot(new)


@flow
def delete_volume(lab: Lab) -> Body:
    """Delete a volume."""
    volume = lab.volume()
    return lambda: lab.taskflow.methods.delete_volume(volume.id)


@flow
def backup(lab: Lab) -> Body:
    """Back a volume in use up, compressed by whoever can."""
    volume = written(lab)
    return lambda: len(lab.taskflow.backups.backup(volume, lab.identifier("backup"), ["zstd"]).chunks)


@flow
def recover(lab: Lab) -> Body:
    """Recover what a taskflow that died in a quiesced snapshot has left behind."""
    volume, new = written(lab), lab.identifier("snapshot")
    lab.crash(lambda: lab.taskflow.methods.create_snapshot(volume, new), lambda e: e.kind == "activity.started")
    lab.restart()
    return lambda: lab.taskflow.recover()


@flow
def refused(lab: Lab) -> Body:
    """Migrate a volume that has a snapshot, which is refused before any flow begins."""
    volume = lab.catalog.snapshots[snapshot(lab)].volume_id
    return lambda: lab.taskflow.methods.migrate(volume, "sibling")
