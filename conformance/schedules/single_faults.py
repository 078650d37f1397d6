"""Every single fault at every step of a flow: what the flows are, their moments, and what has to be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conformance.invocations import LASTING, first_copying
from conformance.lab import Lab
from conformance.schedules.callers import carry_out, possible
from conformance.schedules.markers import MARKERS
from conformance.schedules.plan import (
    DEATH,
    HOST_RESTART,
    LAST_NTH,
    MOMENTS,
    Block,
    Plan,
    deed_block,
    possible_faults,
    strike_block,
)
from harness.activity import HandleScope

_ANYWHERE = (
    "the taskflow died between its journal's entry and the effect",
    "a connection broke under a running activity",
    "a backend restarted under a running activity",
    "a job failed",
    "the answer to a call was lost",
)
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "quiesced": (
            *_ANYWHERE,
            "the taskflow died while a volume was held",
            "a quiesce timed out with writes held",
        ),
        "native replication": _ANYWHERE,
        "fallback": (*_ANYWHERE, "something went wrong past a cut-over"),
        "deletion": _ANYWHERE,
        "backup": _ANYWHERE,
        "migration": (*_ANYWHERE, "something went wrong past a cut-over"),
        "migration in use": _ANYWHERE,
        "extension": _ANYWHERE,
        "recovery": (*_ANYWHERE, "the taskflow died while it recovered"),
        "reattachment": (*_ANYWHERE, "the taskflow died while it recovered"),
        "abort": (*_ANYWHERE, "a session was reinstated during an abort", "a connection was lost during an abort"),
    }
)
"""The rare paths that every single fault at every step of a flow has to reach, else the check proves nothing."""

FLOWS = tuple(REQUIRED)


@dataclass(frozen=True)
class Rehearsal:
    """A flow without a fault: its blocks, each moment of it (event kind, which occurrence, whether it is the last event
    of its instant), whether it asks the backend for anything (a taskflow that reads a volume itself does not), the
    faults that the testbed makes, and the markers that they can reach."""

    blocks: list[Block]
    moments: list[tuple[str, int, bool]]
    has_jobs: bool
    faults: tuple[str, ...]
    reachable: frozenset[str]


def rehearse(lab: Lab, flow: str) -> Rehearsal | None:
    """Carry a flow out without a fault; None where the driver's publication does not lead there."""
    blocks = _blocks(lab, flow)
    if blocks is None:
        return None
    stage = carry_out(lab, Plan.of(blocks))
    seen = [e for e in lab.recorder.events[stage.first_event :] if e.kind in MOMENTS]
    counts = dict.fromkeys(MOMENTS, 0)
    moments = []
    for number, event in enumerate(seen):
        counts[event.kind] += 1
        last = number + 1 == len(seen) or seen[number + 1].at_ns > event.at_ns
        moments.append((event.kind, min(counts[event.kind], LAST_NTH), last))
    if flow in _LEADS_TO and not counts[_LEADS_TO[flow]]:
        return None
    faults = possible_faults(lab.testbed.faults)
    reachable = frozenset(name for name, marker in MARKERS.items() if marker.is_reachable(faults))
    return Rehearsal(blocks, moments, bool(counts["activity.started"]), faults, reachable)


def _blocks(lab: Lab, flow: str) -> list[Block] | None:
    """The blocks of a flow without a fault; None where the driver's publication does not lead there."""
    unlisted = first_copying(lab, listed=False, order=LASTING)
    ends = lab.taskflow.core.ends
    native = lab.taskflow.replication.is_native(ends["primary"], ends["sibling"])
    # whether a taskflow can reach the activity of the one before it, to wait for it or to abort it
    is_known = ends["primary"].has_activity_hooks and lab.publication.handle_scope is not HandleScope.CONNECTION
    match flow:
        case "quiesced":
            return None if unlisted is None else [(1, 1), deed_block(unlisted)]
        case "native replication" if native and possible(lab, "replicate"):
            return [(1, 1), deed_block("replicate")]
        case "fallback" if possible(lab, "replicate"):
            return [(1, 1), deed_block("replicate", option=2 if native else 0)]
        case "deletion" if possible(lab, "replicate"):
            made = [deed_block("replicate", option=2 if native else 0), deed_block("delete_snapshot", option=2)]
            return [(1, 0), *made]
        case "backup":
            return [(1, 1), deed_block("backup_volume")]
        case "migration" if lab.implements("migrate_volume"):
            return [(1, 0), deed_block("migrate_volume")]
        case "migration in use" if lab.implements("migrate_volume"):
            return [(1, 1), deed_block("migrate_volume")]
        case "extension" if lab.implements("extend_volume"):
            return [(1, 1), deed_block("extend_volume")]
        case "recovery" if lab.implements("create_cloned_volume"):
            return [(1, 1), deed_block("create_cloned_volume"), strike_block(DEATH, "activity.started", 1, 0, 1)]
        case "reattachment" if lab.implements("create_cloned_volume") and is_known:
            return [(1, 1), deed_block("create_cloned_volume"), strike_block(DEATH, "activity.accepted", 1, 0, 1)]
        case "abort" if lab.implements("copy_volume_to_image") and is_known:
            return [(1, 1), deed_block("copy_volume_to_image"), strike_block(DEATH, "activity.accepted", 1, 0, 1)]
    return None


def single_faults(rehearsal: Rehearsal) -> Iterator[list[Block]]:
    """The flow without a fault, and then with each fault at each moment of it, on each backend.

    A death strikes at every recorded event. The other faults act once all that happens at an instant has happened, so
    for them an instant is one moment, however many events it has.
    """
    yield rehearsal.blocks
    yield from (
        [*rehearsal.blocks, strike_block(fault, kind, nth, backend, size)]
        for kind, nth, last in rehearsal.moments
        for fault in rehearsal.faults
        if last or fault == DEATH
        for backend in ((0,) if fault in _AT_ONE_END else (0, 1))
        for size in _SIZES.get(fault, (8,))
    )


_LEADS_TO = {"reattachment": "recovery", "abort": "activity.aborting"}
"""The event without which a flow is not what its name says: a driver need not start each method as an activity, nor can
every activity be aborted."""

_AT_ONE_END = (
    DEATH,
    HOST_RESTART,
    "caller.pause",
    "reservation.preempt",
    "start.reply_lost",
    "reply.lost",
    "reply.late",
    "drain.stall",
)
_SIZES = {"caller.pause": (8, 16), "drain.stall": (8, 16)}
"""The sizes (see `plan.Strike`) that are tried of faults that may outlast a hold or a quiesce time-out; else 8."""
