"""Sections 2 to 4 of the specification under schedules: every single fault at every step, and drawn combinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest

from conformance.checks import DEFAULT_SCHEDULES, batch_names, check
from conformance.lab import Lab
from conformance.schedules import oracle
from conformance.schedules.callers import carry_out, possible
from conformance.schedules.campaign import CHOICE, Campaign
from conformance.schedules.choices import SeededChoices
from conformance.schedules.plan import (
    FAULTS,
    LAST_NTH,
    MOMENTS,
    Block,
    Plan,
    deed_block,
    draw_blocks,
    from_text,
    strike_block,
)
from conformance.worlds import Worlds

A_BATCH = 50
"""Drawn schedules in a batch on a testbed in virtual time; under the wall clock there are `A_BATCH_ON_THE_WALL`."""
A_BATCH_ON_THE_WALL = 1
SAMPLE_ON_THE_WALL = 4
"""How many single faults are tried under the wall clock, drawn by the seed; in virtual time all are."""

_ANYWHERE = (
    "the taskflow died between its journal's entry and the effect",
    "a connection broke under a running activity",
    "a backend restarted under a running activity",
    "a job failed",
    "the answer to a call was lost",
)
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "quiesced": (*_ANYWHERE, "the taskflow died while a volume was held"),
        "native replication": _ANYWHERE,
        "fallback": (*_ANYWHERE, "something went wrong past a cut-over"),
        "deletion": _ANYWHERE,
        "backup": _ANYWHERE,
        "migration": (*_ANYWHERE, "something went wrong past a cut-over"),
        "recovery": (*_ANYWHERE, "the taskflow died while it recovered"),
    }
)
"""The rare paths that every single fault at every step of a flow has to reach, else the check proves nothing."""

FLOWS = ("quiesced", "native replication", "fallback", "deletion", "backup", "migration", "recovery")


@pytest.mark.parametrize("flow", FLOWS)
@check(*oracle.CLAUSES, worlds=True)
def test_every_single_fault_at_every_step(lab: Worlds, flow: str) -> None:
    """Whatever single thing goes wrong at whatever step of a flow, all that has to hold afterwards holds."""
    base = _flow(lab, flow)
    if base is None:
        lab.ledger.not_applicable("the driver's publication or its methods do not lead there")
        return
    campaign = Campaign(lab, f"every fault, {flow}")
    if CHOICE in lab.plan.choices:
        campaign.run(from_text(str(lab.plan.choices[CHOICE])))
    else:
        campaign.run_all(_single_faults(lab, flow, base))
    whole = lab.digest is not None and CHOICE not in lab.plan.choices
    required = REQUIRED[flow] if whole and _has_jobs(lab, base) else ()
    campaign.report(oracle.CLAUSES, [marker for marker in required if not campaign.markers[marker]])


@pytest.mark.parametrize("batch", batch_names(DEFAULT_SCHEDULES, A_BATCH))
@check(*oracle.CLAUSES, worlds=True, batch=A_BATCH)
def test_drawn_schedules(lab: Worlds, batch: str) -> None:
    """Callers, writers, faults and restarts at once, drawn from the seed: all that has to hold afterwards holds."""
    campaign = Campaign(lab, batch)
    if CHOICE in lab.plan.choices:
        campaign.run(from_text(str(lab.plan.choices[CHOICE])))
    else:
        source = SeededChoices(lab.plan.source("schedules"))
        count = A_BATCH if lab.digest is not None else A_BATCH_ON_THE_WALL
        campaign.run_all(draw_blocks(source) for _ in range(count))
    campaign.report(oracle.CLAUSES)


def _flow(worlds: Worlds, flow: str) -> list[Block] | None:
    """The blocks of a flow without a fault; None where the driver's publication does not lead there."""

    def blocks(lab: Lab) -> list[Block] | None:
        copying = ("create_cloned_volume", "backup_volume", "copy_volume_to_image", "create_snapshot")
        unlisted = next((m for m in copying if lab.implements(m) and not lab.lists(m)), None)
        ends = lab.taskflow.core.ends
        native = lab.taskflow.replication.is_native(ends["primary"], ends["sibling"])
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
            case "recovery" if lab.implements("create_cloned_volume"):
                death = strike_block(FAULTS[0], "activity.started", 1, 0, 1)
                return [(1, 1), deed_block("create_cloned_volume"), death]
        return None

    return worlds.run(f"what leads to {flow}", blocks)


def _has_jobs(worlds: Worlds, base: list[Block]) -> bool:
    """Whether the flow asks the backend for anything: a taskflow that reads a volume itself does not."""

    def asked(lab: Lab) -> bool:
        return bool(carry_out(lab, Plan.of(base)).events("activity.started"))

    return worlds.run("whether it has jobs", asked)


def _single_faults(worlds: Worlds, flow: str, base: list[Block]) -> Iterator[list[Block]]:
    """The flow without a fault, and then with each fault at each moment of it, on each backend.

    A death strikes at every recorded event. The other faults act once all that happens at an instant has happened, so
    for them an instant is one moment, however many events it has.
    """
    yield base

    def moments(lab: Lab) -> list[tuple[str, int, bool]]:
        stage = carry_out(lab, Plan.of(base))
        seen = [e for e in lab.recorder.events[stage.first_event :] if e.kind in MOMENTS]
        counts = dict.fromkeys(MOMENTS, 0)
        found = []
        for number, event in enumerate(seen):
            counts[event.kind] += 1
            last = number + 1 == len(seen) or seen[number + 1].at_ns > event.at_ns
            found.append((event.kind, min(counts[event.kind], LAST_NTH), last))
        return found

    every = [
        [*base, strike_block(fault, kind, nth, backend, 8)]
        for kind, nth, last in worlds.run(f"every fault, {flow}", moments)
        for fault in FAULTS
        if last or fault == FAULTS[0]
        for backend in ((0,) if fault in _AT_ONE_END else (0, 1))
    ]
    if worlds.digest is None:
        source = worlds.plan.source("sample")
        every = source.sample(every, min(SAMPLE_ON_THE_WALL, len(every)))
    yield from every


_AT_ONE_END = ("caller.crash", "connection.break", "session.reinstate", "reply.lost", "start.reply_lost", "drain.stall")
