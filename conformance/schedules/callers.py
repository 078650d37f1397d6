"""Carries a schedule out: callers that do their deeds at once, hosts that write, faults, deaths and restarts."""

from __future__ import annotations

import contextlib
import random
from typing import Any

from conformance.lab import Lab
from conformance.schedules.plan import SIXTEENTHS, Deed, Plan
from conformance.schedules.stage import Done, Stage
from conformance.schedules.strikes import arm
from harness.contract import BackendActivityError
from harness.model import Backup, Context
from harness.runtime import Abandoned, Expired, Task
from harness.storage import PoolFull, StorageError
from harness.taskflow.errors import Refused, TaskflowError
from harness.testbed import Attachment

BLOCKS = 48
"""Blocks of a volume that are written, spread over it, so that a copy is torn. A host writes each of them once only, so
that no lost write is written over before anybody has looked."""
A_FEW = 8
"""One in so many of them holds something before, which is enough for a copy to have content."""

STREAMS = 2
MOST_DEATHS = 4
"""After so many deaths the taskflow is left alone; a schedule has no more anyway."""


def carry_out(lab: Lab, plan: Plan) -> Stage:
    """Set the stage, let everybody do what the schedule says, and clean up once with the backends in reach."""
    lab.working_blocks = BLOCKS
    stage = Stage(lab, plan, lab.runtime.signal("the writers have written enough"))
    _set(stage)
    tasks: list[Task[Any]] = []
    end = arm(stage, tasks)
    _begin_writing(stage)
    for caller in (0, 1):
        deeds = [deed for deed in plan.deeds if deed.caller == caller]
        if deeds:
            tasks.append(lab.runtime.spawn(f"caller {caller}", lambda deeds=deeds: _act(stage, deeds)))  # type: ignore[misc]
    _wait_for(tasks)
    while 0 < stage.deaths <= MOST_DEATHS:
        deaths = stage.deaths
        lab.restart()
        tasks[:] = [lab.runtime.spawn("recovery", lab.taskflow.recover)]
        _wait_for(tasks)
        if stage.deaths == deaths:
            break
    end()
    lab.runtime.sleep(2 * lab.profile.whole_copy_ns)  # longer than any fault lasts
    lab.taskflow.recover()
    stage.enough.set(None)
    # a host may still hold, and may still have to find out that its session was lost
    patience_ns = lab.profile.max_hold_ns + 2 * lab.profile.loss.bound_ns(lab.profile.longest_activity_ns)
    for writer in stage.writers:
        with contextlib.suppress(Expired, StorageError):  # what was never acknowledged is judged by the record
            writer.wait(patience_ns + 4 * lab.profile.quiesce_timeout_ns)
    return stage


def _set(stage: Stage) -> None:
    lab, plan = stage.lab, stage.plan
    for number in range(plan.volumes):
        volume = lab.volume(f"volume {number}", every=A_FEW)
        stage.volumes.append(volume)
        of_it = [deed.kind for deed in plan.deeds if deed.subject % plan.volumes == number]
        if ("replicate" in of_it or "delete_snapshot" in of_it) and lab.implements("create_snapshot"):
            snapshot = lab.identifier(f"snapshot {number}")
            lab.taskflow.methods.create_snapshot(volume.id, snapshot)
            lab.write_over(volume, every=3 * A_FEW)
    stage.first_event = len(lab.recorder.events)


def _begin_writing(stage: Stage) -> None:
    lab = stage.lab
    for number, volume in enumerate(stage.volumes):
        if stage.plan.attached >> number & 1:
            attachment = lab.attach(volume)
            blocks = lab.working_set()
            for stream in range(STREAMS):
                source = lab.schedule.source(f"writer {number}.{stream}")
                own = blocks[stream::STREAMS]
                stage.writers.append(
                    lab.runtime.spawn(
                        f"writer {number}.{stream}",
                        lambda a=attachment, o=own, s=source, n=stream: _write(stage, a, o, s, n > 0),  # type: ignore[misc]
                    )
                )


def _write(
    stage: Stage, attachment: Attachment, blocks: tuple[int, ...], source: random.Random, pauses_first: bool
) -> None:
    """Write each block once, or until told to stop, ever more seldom: densely while the deeds are done, and still in
    long recoveries.

    A stream that pauses first has no write under way when the first deed begins, and one to be held soon after.
    """
    lab = stage.lab
    pause_ns = lab.profile.whole_copy_ns // SIXTEENTHS
    for number, block in enumerate(source.sample(blocks, len(blocks))):
        if number or pauses_first:
            with contextlib.suppress(Expired):
                stage.enough.wait(1 + int(source.expovariate(1.0) * pause_ns))
                return
            pause_ns += pause_ns // 4
        stamp = lab.recorder.next_stamp()
        try:
            attachment.write(block, stamp)
        except PoolFull:
            stage.refused.append(stamp)


def _wait_for(tasks: list[Task[Any]]) -> None:
    for task in tasks:
        with contextlib.suppress(Abandoned):  # it died, as the schedule wanted
            task.wait()


# ---- what callers do -------------------------------------------------------------------------------------------------


def _act(stage: Stage, deeds: list[Deed]) -> None:
    lab = stage.lab
    for number, deed in enumerate(deeds):
        if deed.wait:
            lab.runtime.sleep(lab.profile.whole_copy_ns * deed.wait // SIXTEENTHS)
        done = Done(deed, lab.identifier(f"made by {deed.caller}.{number}"))
        stage.done.append(done)
        try:
            _do(stage, deed, done)
            done.went_well = True
        except (TaskflowError, BackendActivityError, StorageError) as error:
            done.error = error


def _do(stage: Stage, deed: Deed, done: Done) -> None:
    lab, flows = stage.lab, stage.lab.taskflow
    volume = stage.volumes[deed.subject % len(stage.volumes)]
    done.source = volume.id
    snapshot = lab.identifier(f"snapshot {deed.subject % len(stage.volumes)}")
    if not possible(lab, deed.kind):
        raise Refused(f"the driver does not implement {deed.kind}")
    match deed.kind:
        case "create_snapshot":
            flows.methods.create_snapshot(volume.id, done.made)
        case "create_cloned_volume":
            flows.methods.clone(volume.id, done.made)
        case "backup_volume":
            techniques = (["zlib", "none"], ["zstd"], ["none"])[deed.option]
            flows.backups.backup(volume.id, done.made, techniques)
        case "copy_volume_to_image":
            flows.methods.upload(volume.id, stage.images, done.made)
        case "replicate":
            done.source = snapshot
            home = lab.catalog.snapshots.get(snapshot)
            if home is not None:
                done.expected = dict(lab.image("primary", snapshot) or {})
            names = list(flows.core.ends)
            flows.replication.replicate(snapshot, names[-1] if deed.option == 2 else "sibling", done.made)
        case "migrate_volume":
            at_home = volume.host == lab.cinder_host("primary")
            flows.methods.migrate(volume.id, "sibling" if at_home else "primary")
        case "extend_volume":
            flows.methods.extend(volume.id, volume.size + 1)
        case "delete_snapshot":
            if deed.option == 2:  # the newest one instead: a replica, it may be
                known = [each.id for each in lab.catalog.snapshots.values() if each.status == "available"]
                snapshot = known[-1] if known else snapshot
            done.source = snapshot
            flows.methods.delete_snapshot(snapshot)
        case "look_up":
            done.told = _look_up(stage)


def possible(lab: Lab, kind: str) -> bool:
    """Whether the driver implements what a deed needs."""
    if kind == "look_up":
        return all(lab.implements(hook) for hook in ("start_activity", "get_activity", "abort_activity"))
    if kind in ("replicate", "delete_snapshot"):
        return lab.implements("create_snapshot")
    return kind == "backup_volume" or lab.implements(kind)


def _look_up(stage: Stage) -> tuple[str, str]:
    """What a stranger, of another host and another user, is told of the newest handle, and of one that is none."""
    lab = stage.lab
    accepted = stage.events("activity.accepted", backend="primary")
    if not accepted:
        raise Refused("nobody has a handle yet")
    handle = str(accepted[-1].fields["handle"])
    stranger = lab.open_driver(caller=lab.caller(f"other-{lab.node}", f"other-{lab.user}", "192.0.2.77"))
    told = []
    for name in (handle, "0" * len(handle)):
        try:
            found = lab.call(stranger, "get_activity", Context(), name)
            told.append(f"status {found.state.value}")
        except (BackendActivityError, TaskflowError) as error:
            told.append(f"{type(error).__name__}: {error}".replace(name, "*"))
    lab.close_connection(stranger)
    return told[0], told[1]


def backups(lab: Lab) -> dict[str, Backup]:
    """The backups that count as made."""
    return {key: backup for key, backup in lab.catalog.backups.items() if backup.status == "available"}
