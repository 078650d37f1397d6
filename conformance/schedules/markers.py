"""Rare paths, and whether a schedule has reached them: a run that never does so proves nothing about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conformance.schedules.plan import DEATH, HOST_RESTART, OF_CONNECTIONS
from conformance.schedules.stage import Stage
from harness.recorder import Event
from harness.taskflow.errors import Refused

_DEATHS = (DEATH, HOST_RESTART)


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
    return any(_held_at(stage, e.place) for e in _faults(stage, DEATH))


def _died_before_the_effect(stage: Stage) -> bool:
    for death in _faults(stage, DEATH):
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


def _under_a_running_activity(kind: str) -> Marker:
    return Marker(lambda stage: any(_running_at(stage, e.place) for e in _faults(stage, kind)), (kind,))


def _during_an_abort(*kinds: str) -> Callable[[Stage], bool]:
    def test(stage: Stage) -> bool:
        for aborting in stage.events("activity.aborting"):
            handle = aborting.fields["handle"]
            ended = [e.place for e in stage.events("activity.ended", handle=handle) if e.place > aborting.place]
            until = min(ended, default=stage.lab.recorder.tick())
            if any(aborting.place < e.place < until and e.fields["fault"] in kinds for e in stage.faults):
                return True
        return False

    return test


def _timed_out_with_writes_held(stage: Stage) -> bool:
    for timeout in stage.events("gate.timeout"):
        volume, owner = timeout.fields["volume"], timeout.fields["owner"]
        began = [e.place for e in stage.events("gate.hold", volume=volume, owner=owner) if e.place < timeout.place]
        log = stage.lab.recorder.writes(volume)
        if any(began[-1] < issued < timeout.place for issued in log.issued):
            return True
    return False


def _died_in_recovery(stage: Stage) -> bool:
    began = stage.events("recovery")
    return bool(began) and any(e.place > began[0].place for e in _faults(stage, DEATH))


def _was_busy(stage: Stage) -> bool:
    return any(isinstance(done.error, Refused) and " is busy: " in str(done.error) for done in stage.done)


@dataclass(frozen=True)
class Marker:
    """A rare path: `test` tells whether a schedule that was carried out has reached it. `faults` are the kinds of which
    it takes one, `also` those of which it takes one besides; none: nothing has to go wrong."""

    test: Callable[[Stage], bool]
    faults: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def is_reachable(self, faults: Collection[str]) -> bool:
        """Whether those kinds of fault are enough to reach it."""
        return all(not kinds or any(kind in faults for kind in kinds) for kinds in (self.faults, self.also))


MARKERS: Mapping[str, Marker] = MappingProxyType(
    {
        "the taskflow died while a volume was held": Marker(_died_while_held, _DEATHS),
        "the taskflow died between its journal's entry and the effect": Marker(_died_before_the_effect, _DEATHS),
        "the taskflow died while it recovered": Marker(_died_in_recovery, _DEATHS),
        "something went wrong past a cut-over": Marker(_past_the_cut_over),
        "a connection broke under a running activity": _under_a_running_activity("connection.break"),
        "a connection was half open under a running activity": _under_a_running_activity("connection.half_open"),
        "a session was reinstated under a running activity": _under_a_running_activity("session.reinstate"),
        "a session was logged out under a running activity": _under_a_running_activity("session.logout"),
        "a backend restarted under a running activity": _under_a_running_activity("backend.restart"),
        "a server restarted under a running activity": _under_a_running_activity("server.restart"),
        "the taskflow's host restarted under a running activity": _under_a_running_activity(HOST_RESTART),
        "the taskflow's host stood still under a running activity": _under_a_running_activity("caller.pause"),
        "a session was reinstated during an abort": Marker(
            _during_an_abort("session.reinstate"), ("session.reinstate",)
        ),
        "a connection was lost during an abort": Marker(_during_an_abort(*OF_CONNECTIONS), OF_CONNECTIONS),
        "a hold ended by itself": Marker(lambda stage: bool(stage.events("gate.expired"))),
        "a quiesce timed out": Marker(lambda stage: bool(stage.events("gate.timeout")), ("drain.stall",)),
        "a quiesce timed out with writes held": Marker(_timed_out_with_writes_held, ("drain.stall",)),
        "two activities shared a quiesce": Marker(lambda stage: bool(stage.events("quiesce.joined"))),
        "an undo failed": Marker(lambda stage: bool(stage.events("undo.failed"))),
        "a restarted taskflow found its activity": Marker(lambda stage: bool(stage.events("reattached")), _DEATHS),
        "a job failed": Marker(lambda stage: bool(_faults(stage, "job.fail")), ("job.fail",)),
        "the answer to a call was lost": Marker(
            lambda stage: bool(_faults(stage, "reply.lost") or _faults(stage, "start.reply_lost")),
            ("reply.lost", "start.reply_lost"),
        ),
        "a flow was refused because of another": Marker(_was_busy),
    }
)
"""The rare paths by what they are."""


def reached(stage: Stage) -> list[str]:
    """The markers that a schedule has reached."""
    return [name for name, marker in MARKERS.items() if marker.test(stage)]
