"""Rare paths, and whether a schedule has reached them: a run that never does so proves nothing about them.

A schedule *aims* at a path where it has all that leads there: the fault is planned, and what it is to hit occurred. Of
those that aim some arrive too early or too late. `ENOUGH` says how many have to aim before arriving never is no chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conformance.schedules.plan import DEATH, HOST_RESTART, LONG, OF_CONNECTIONS
from conformance.schedules.stage import Stage
from harness.recorder import Event
from harness.taskflow.errors import Refused

LEAST_SHARE = 1 / 50
"""The share of the schedules that aim at a path, of which at least so many reach it with an honest driver."""

CHANCE = 1e-6
"""How likely a path may be missed by chance before its absence counts."""

ENOUGH = math.ceil(math.log(CHANCE) / math.log(1 - LEAST_SHARE))
"""So many schedules have to aim at a path before none of them may miss it: with `LEAST_SHARE` of them reaching it, all
miss it with a probability of `CHANCE`."""

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


def _cut_overs(stage: Stage) -> list[int]:
    over = [e.place for step in ("host_copy", "migrate") for e in stage.events("step.done", step=step)]
    return over + [e.place for e in stage.events("activity.ended", verb="move", state="done")]


def _past_the_cut_over(stage: Stage) -> bool:
    over = _cut_overs(stage)
    if not over:
        return False
    done = [e.place for e in stage.events("flow.done") if e.place > over[0]]
    return any(over[0] < fault.place < min(done, default=fault.place + 1) for fault in stage.faults)


def _timed_out_with_writes_held(stage: Stage) -> bool:
    for timeout in stage.events("gate.timeout"):
        volume, owner = timeout.fields["volume"], timeout.fields["owner"]
        began = [e.place for e in stage.events("gate.hold", volume=volume, owner=owner) if e.place < timeout.place]
        log = stage.lab.recorder.writes(volume)
        if any(began[-1] < issued < timeout.place for issued in log.issued):
            return True
    return False


def _stalled_for_long(stage: Stage) -> bool:
    long = any(s.kind == "drain.stall" and s.size > LONG for s in stage.plan.strikes)
    return long and bool(_faults(stage, "drain.stall"))


def _died_in_recovery(stage: Stage) -> bool:
    began = stage.events("recovery")
    return bool(began) and any(e.place > began[0].place for e in _faults(stage, DEATH))


def _was_busy(stage: Stage) -> bool:
    return any(isinstance(done.error, Refused) and " is busy: " in str(done.error) for done in stage.done)


def _planned(stage: Stage, kinds: Collection[str], on: str = "") -> bool:
    return any(s.kind in kinds and on in ("", s.on) for s in stage.plan.strikes)


def _two_callers(stage: Stage) -> bool:
    return len({deed.caller for deed in stage.plan.deeds}) > 1


@dataclass(frozen=True)
class Marker:
    """A rare path: `reached` tells whether a schedule that was carried out has reached it, and `aimed` whether it had
    all that leads there (None: that can't be told, and a run is never incomplete for it). `faults` are the kinds of
    which it takes one; none: nothing has to go wrong."""

    reached: Callable[[Stage], bool]
    aimed: Callable[[Stage], bool] | None = None
    faults: tuple[str, ...] = ()

    def is_reachable(self, faults: Collection[str]) -> bool:
        """Whether those kinds of fault are enough to reach it."""
        return not self.faults or any(kind in faults for kind in self.faults)


def _struck(kinds: tuple[str, ...], reached: Callable[[Stage], bool], given: str, on: str = "") -> Marker:
    """A path that one of `kinds` leads to (where it strikes at `on`), if an event of kind `given` occurs."""
    return Marker(reached, lambda stage: _planned(stage, kinds, on) and bool(stage.events(given)), kinds)


def _under_a_running_activity(kind: str) -> Marker:
    def reached(stage: Stage) -> bool:
        return any(_running_at(stage, e.place) for e in _faults(stage, kind))

    return _struck((kind,), reached, "activity.started")


def _met_a_bad_block(stage: Stage) -> bool:
    ended = stage.events("activity.ended", state="failed")
    return any("MEDIUM ERROR" in str(event.fields["error"]) for event in ended)


def _during_an_abort(*kinds: str) -> Marker:
    def reached(stage: Stage) -> bool:
        for aborting in stage.events("activity.aborting"):
            ended = [e.place for e in stage.events("activity.ended", handle=aborting.fields["handle"])]
            until = min((place for place in ended if place > aborting.place), default=stage.lab.recorder.tick())
            if any(aborting.place < e.place < until and e.fields["fault"] in kinds for e in stage.faults):
                return True
        return False

    return _struck(kinds, reached, "activity.aborting", on="activity.aborting")


MARKERS: Mapping[str, Marker] = MappingProxyType(
    {
        "the taskflow died while a volume was held": _struck(_DEATHS, _died_while_held, "gate.quiesced"),
        "the taskflow died between its journal's entry and the effect": _struck(
            _DEATHS, _died_before_the_effect, "activity.started"
        ),
        "the taskflow died while it recovered": _struck(_DEATHS, _died_in_recovery, "recovery", on="recovery"),
        "something went wrong past a cut-over": Marker(
            _past_the_cut_over, lambda stage: bool(stage.plan.strikes and _cut_overs(stage))
        ),
        "a connection broke under a running activity": _under_a_running_activity("connection.break"),
        "a connection was half open under a running activity": _under_a_running_activity("connection.half_open"),
        "a session was reinstated under a running activity": _under_a_running_activity("session.reinstate"),
        "a session was logged out under a running activity": _under_a_running_activity("session.logout"),
        "a backend restarted under a running activity": _under_a_running_activity("backend.restart"),
        "a server restarted under a running activity": _under_a_running_activity("server.restart"),
        "the taskflow's host restarted under a running activity": _under_a_running_activity(HOST_RESTART),
        "the taskflow's host stood still under a running activity": _under_a_running_activity("caller.pause"),
        "a session was reinstated during an abort": _during_an_abort("session.reinstate"),
        "a connection was lost during an abort": _during_an_abort(*OF_CONNECTIONS),
        "a hold ended by itself": Marker(lambda stage: bool(stage.events("gate.expired"))),
        "a quiesce timed out": Marker(
            lambda stage: bool(stage.events("gate.timeout")), _stalled_for_long, ("drain.stall",)
        ),
        "a quiesce timed out with writes held": Marker(
            _timed_out_with_writes_held, _stalled_for_long, ("drain.stall",)
        ),
        "two activities shared a quiesce": Marker(
            lambda stage: bool(stage.events("quiesce.joined")),
            lambda stage: _two_callers(stage) and bool(stage.events("gate.quiesced")),
        ),
        "an undo failed": Marker(lambda stage: bool(stage.events("undo.failed"))),
        "a restarted taskflow found its activity": Marker(lambda stage: bool(stage.events("reattached"))),
        "a job failed": _struck(("job.fail",), lambda stage: bool(_faults(stage, "job.fail")), "activity.started"),
        "an activity met a block that can't be read": _struck(("medium.error",), _met_a_bad_block, "activity.started"),
        "the answer to a call was lost": _struck(
            ("reply.lost", "start.reply_lost"),
            lambda stage: bool(_faults(stage, "reply.lost") or _faults(stage, "start.reply_lost")),
            "activity.started",
        ),
        "a flow was refused because of another": Marker(_was_busy, _two_callers),
    }
)
"""The rare paths by what they are."""


@dataclass
class Tally:
    """How many schedules aimed at a path, and how many reached it."""

    aimed: int = 0
    reached: int = 0


def count(stage: Stage, tallies: Mapping[str, Tally]) -> None:
    """Count what a schedule that was carried out has aimed at and reached."""
    for name, marker in MARKERS.items():
        has_reached = marker.reached(stage)
        tallies[name].reached += has_reached
        tallies[name].aimed += marker.aimed is not None and (has_reached or marker.aimed(stage))


def missed(tallies: Iterable[tuple[str, int, int]]) -> list[str]:
    """The paths, given as name, how many aimed and how many reached it, that should have been reached and were not."""
    return [name for name, aimed, reached in tallies if aimed >= ENOUGH and not reached]
