"""Sections 2 to 4 of the specification under schedules: every single fault at every step, and drawn combinations."""

from __future__ import annotations

import pytest

from conformance.checks import DEFAULT_SCHEDULES, batch_names, check
from conformance.schedules import oracle
from conformance.schedules.campaign import Campaign
from conformance.schedules.choices import SeededChoices
from conformance.schedules.plan import draw_blocks, from_text, possible_faults
from conformance.schedules.saved import saved_blocks
from conformance.schedules.single_faults import FLOWS, REQUIRED, rehearse, single_faults
from conformance.worlds import Worlds

A_BATCH = 50
"""Drawn schedules in a batch on a testbed in virtual time; under the wall clock there are `A_BATCH_ON_THE_WALL`."""
A_BATCH_ON_THE_WALL = 1
SAMPLE_ON_THE_WALL = 4
"""How many single faults are tried under the wall clock, drawn by the seed; in virtual time all are."""


@pytest.mark.parametrize("flow", FLOWS)
@check(*oracle.CLAUSES, worlds=True)
def test_every_single_fault_at_every_step(lab: Worlds, flow: str) -> None:
    """Whatever single thing goes wrong at whatever step of a flow, all that has to hold afterwards holds."""
    campaign = Campaign(lab, f"every fault, {flow}")
    if saved := saved_blocks(lab.plan.choices):
        campaign.replay(map(from_text, saved))
        campaign.report(oracle.CLAUSES)
        return
    rehearsal = lab.run(f"every fault, {flow}", lambda world: rehearse(world, flow))
    if rehearsal is None:
        lab.ledger.not_applicable("the driver's publication or its methods do not lead there")
        return
    every = list(single_faults(rehearsal))
    if lab.digest is None:
        every = [every[0], *lab.plan.source("sample").sample(every[1:], min(SAMPLE_ON_THE_WALL, len(every) - 1))]
    campaign.run_all(every)
    required = REQUIRED[flow] if lab.digest is not None and rehearsal.has_jobs else ()
    campaign.report(
        oracle.CLAUSES, [m for m in required if m in rehearsal.reachable and not campaign.markers[m].reached]
    )


@pytest.mark.parametrize("batch", batch_names(DEFAULT_SCHEDULES, A_BATCH))
@check(*oracle.CLAUSES, worlds=True, batch=A_BATCH)
def test_drawn_schedules(lab: Worlds, batch: str) -> None:
    """Callers, writers, faults and restarts at once, drawn from the seed: all that has to hold afterwards holds."""
    campaign = Campaign(lab, batch)
    if saved := saved_blocks(lab.plan.choices):
        campaign.replay(map(from_text, saved))
    else:
        source = SeededChoices(lab.plan.source("schedules"))
        count = A_BATCH if lab.digest is not None else A_BATCH_ON_THE_WALL
        faults = lab.run("what can go wrong", lambda world: possible_faults(world.testbed.faults))
        campaign.run_all(draw_blocks(source, faults) for _ in range(count))
    campaign.report(oracle.CLAUSES, drawn=True)
