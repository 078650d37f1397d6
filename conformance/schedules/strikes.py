"""What goes wrong in a schedule: its strikes, armed as faults of the testbed and as deaths of the taskflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.schedules.plan import DEATH, HOST_RESTART, LONG, OF_CONNECTIONS, SIXTEENTHS, Strike
from conformance.schedules.stage import Stage
from harness.recorder import Event
from harness.runtime import Task

_CALLS = ("", "start", "status", "abort")


def arm(stage: Stage, tasks: list[Task[Any]]) -> Callable[[], None]:
    """Arm the schedule's strikes that the testbed can make; returns what disarms the deaths."""
    ends = [end for strike in stage.plan.strikes for end in _arm_one(stage, tasks, strike)]

    def end() -> None:
        for each in ends:
            each()

    return end


def _arm_one(stage: Stage, tasks: list[Task[Any]], strike: Strike) -> list[Callable[[], None]]:
    """Arm one strike; what disarms it, where that can be."""
    lab = stage.lab
    if strike.kind != DEATH and strike.kind in lab.testbed.faults:
        lab.inject(strike.kind, on=strike.on, nth=strike.nth, **_fields(stage, strike))
    elif strike.kind != DEATH:
        return []
    if strike.kind in (DEATH, HOST_RESTART):  # with its host the taskflow dies
        return [_arm_death(stage, tasks, strike)]
    return []


def _fields(stage: Stage, strike: Strike) -> dict[str, Any]:
    """What the testbed has to be told of a fault beside its kind and when it strikes."""
    lab = stage.lab
    profile = lab.profile
    backend = ("primary", "sibling")[strike.backend]
    time_ns, is_long = profile.whole_copy_ns * strike.size // SIXTEENTHS, strike.size > LONG
    volume = stage.volumes[strike.backend % len(stage.volumes)].id
    if strike.kind in OF_CONNECTIONS:
        return {"volume": stage.volumes[0].id} if strike.backend else {"caller": lab.node}
    match strike.kind:
        case "start.reply_lost" | "reservation.preempt" | "host.restart":
            return {"caller": lab.node}
        case "reply.lost":
            return {"caller": lab.node, "verb": _CALLS[strike.size % len(_CALLS)]}
        case "reply.late":
            return {"caller": lab.node, "verb": _CALLS[strike.size % len(_CALLS)], "for_ns": time_ns}
        case "caller.pause":
            return {"caller": lab.node, "for_ns": time_ns + profile.max_hold_ns * is_long}
        case "job.fail":
            return {"backend": backend, "fraction": strike.size / SIXTEENTHS}
        case "job.unsupported" | "server.restart":
            return {"backend": backend}
        case "backend.restart" | "job.pause" | "pool.full":
            return {"backend": backend, "for_ns": time_ns}
        case "medium.error":  # in what a job reads, which may be an object that only comes to be in the schedule
            return {"backend": backend, "fraction": (strike.size - 1) / SIXTEENTHS}
        case "partition":
            return {"caller": lab.node, "backend": backend, "for_ns": time_ns}
        case "link.slow":
            return {"backend": backend, "fraction": 1 / (1 + strike.size), "for_ns": time_ns}
        case "drain.stall":
            return {"volume": volume, "for_ns": time_ns + 2 * profile.quiesce_timeout_ns * is_long}
    raise LookupError(f"schedules do not know how to strike with {strike.kind}")


def _arm_death(stage: Stage, tasks: list[Task[Any]], strike: Strike) -> Callable[[], None]:
    lab = stage.lab
    seen = 0

    def look(event: Event) -> None:
        nonlocal seen
        seen += event.kind == strike.on
        if event.kind != strike.on or seen != strike.nth or all(task.is_over for task in tasks):
            return
        stage.deaths += 1
        lab.recorder.emit("fault", fault=DEATH, at=event.kind)
        for task in tasks:
            task.abandon()

    return lab.recorder.listen(look)
