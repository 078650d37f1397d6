"""Rare paths, and whether a schedule has reached them: a run that never does so proves nothing about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from conformance.schedules.callers import Stage
from harness.recorder import Event
from harness.taskflow.errors import Refused


def _faults(stage: Stage, kind: str) -> list[Event]:
    return [e for e in stage.faults if e.fields["fault"] == kind]


def _held_at(stage: Stage, place: int) -> bool:
    begun = sum(1 for e in stage.events("gate.quiesced") if e.place < place)
    ended = sum(1 for kind in ("gate.release", "gate.expired") for e in stage.events(kind) if e.place < place)
    return begun > ended


def _running_at(stage: Stage, place: int) -> bool:
    begun = sum(1 for e in stage.events("activity.started") if e.place < place)
    return begun > sum(1 for e in stage.events("activity.ended") if e.place < place)


def _died_while_held(stage: Stage) -> bool:
    return any(_held_at(stage, e.place) for e in _faults(stage, "caller.crash"))


def _died_before_the_effect(stage: Stage) -> bool:
    for death in _faults(stage, "caller.crash"):
        invoked = [e.place for e in stage.events("method.invoked") if e.place < death.place]
        started = [e.place for e in stage.events("activity.started") if e.place < death.place]
        if invoked and invoked[-1] > max(started, default=0):
            return True
    return False


def _past_the_cut_over(stage: Stage) -> bool:
    over = [e.place for step in ("host_copy", "migrate") for e in stage.events("step.done", step=step)]
    over += [e.place for e in stage.events("activity.ended", verb="move", state="done")]
    if not over:
        return False
    done = [e.place for e in stage.events("flow.done") if e.place > over[0]]
    return any(over[0] < fault.place < min(done, default=fault.place + 1) for fault in stage.faults)


def _under_a_running_activity(kind: str) -> Callable[[Stage], bool]:
    return lambda stage: any(_running_at(stage, e.place) for e in _faults(stage, kind))


def _died_in_recovery(stage: Stage) -> bool:
    began = stage.events("recovery")
    return bool(began) and any(e.place > began[0].place for e in _faults(stage, "caller.crash"))


def _was_busy(stage: Stage) -> bool:
    return any(isinstance(done.error, Refused) and " is busy: " in str(done.error) for done in stage.done)


MARKERS: Mapping[str, Callable[[Stage], bool]] = MappingProxyType(
    {
        "the taskflow died while a volume was held": _died_while_held,
        "the taskflow died between its journal's entry and the effect": _died_before_the_effect,
        "the taskflow died while it recovered": _died_in_recovery,
        "something went wrong past a cut-over": _past_the_cut_over,
        "a connection broke under a running activity": _under_a_running_activity("connection.break"),
        "a session was reinstated under a running activity": _under_a_running_activity("session.reinstate"),
        "a backend restarted under a running activity": _under_a_running_activity("backend.restart"),
        "a hold ended by itself": lambda stage: bool(stage.events("gate.expired")),
        "a quiesce timed out": lambda stage: bool(stage.events("gate.timeout")),
        "two activities shared a quiesce": lambda stage: bool(stage.events("quiesce.joined")),
        "an undo failed": lambda stage: bool(stage.events("undo.failed")),
        "a restarted taskflow found its activity": lambda stage: bool(stage.events("reattached")),
        "a job failed": lambda stage: bool(_faults(stage, "job.fail")),
        "the answer to a call was lost": lambda stage: bool(
            _faults(stage, "reply.lost") or _faults(stage, "start.reply_lost")
        ),
        "a flow was refused because of another": _was_busy,
    }
)
"""Marker → whether a schedule that was carried out has reached it."""


def reached(stage: Stage) -> list[str]:
    """The markers that a schedule has reached."""
    return [name for name, test in MARKERS.items() if test(stage)]
