"""What the tests of schedules run inside a cell."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

from conformance.faulty_taskflows.catalogue import catalogue
from conformance.lab import Lab
from conformance.runner import LIMITS, run_check, testbed_class
from conformance.schedules.campaign import Campaign
from conformance.schedules.plan import from_text, to_text
from conformance.schedules.saved import CHOICE
from conformance.verdicts import Ledger
from conformance.worlds import Worlds
from harness.loading import CandidateSpec
from harness.results import Evidence
from harness.schedule import Schedule
from harness.taskflow.errors import TaskflowError
from tests.schedules.flaws import FLAWS

_broken: list[str] = []


def judged(texts: list[str], publication: dict[str, Any], testbed: str = "iscsi-sim", flaw: str = "") -> dict[str, Any]:
    """Run schedules, given as texts: what was judged, and what failed by which smallest schedule."""
    if flaw and not _broken:
        next(each for each in catalogue() if each.name == flaw).apply()
        _broken.append(flaw)
    worlds = _worlds(publication, testbed)
    campaign = Campaign(worlds, "test")
    campaign.run_all(from_text(text) for text in texts)
    return {
        "judged": sorted(campaign.judged),
        "failed": {
            clause: [finding.message, to_text(blocks)] for clause, (finding, blocks, _) in campaign.failed.items()
        },
        "markers": [name for name, tally in campaign.markers.items() if tally.reached],
        "runs": campaign.runs,
        "digest": worlds.digest,
    }


def kept(how: str = "", count: int = 3) -> list[int]:
    """Run some worlds with the collector off, as checks do; after each, how many of them are still there.

    `how`: "raises" lets the body raise, "keeps" keeps each world until the next one has begun.
    """
    worlds = _worlds({}, "iscsi-sim")
    seen: list[weakref.ref[Lab]] = []
    last: list[Lab] = []
    counts = []

    def body(lab: Lab) -> None:
        seen.append(weakref.ref(lab))
        if how == "keeps":
            last[:] = [lab]
        lab.volume()
        if how == "raises":
            raise TaskflowError("as told")

    gc.disable()
    try:
        for _ in range(count):
            with contextlib.suppress(TaskflowError):
                worlds.run("kept", body)
            counts.append(sum(lab() is not None for lab in seen))
    finally:
        gc.enable()
    return counts


def _worlds(publication: dict[str, Any], testbed: str) -> Worlds:
    spec = CandidateSpec.for_driver("reference").to_dict() | {"config": {"publication": publication}}
    return Worlds(
        lambda seed: testbed_class(testbed)(seed=seed, options={}),
        CandidateSpec.from_dict(spec).load(),
        Schedule(1, "test"),
        Ledger((), Evidence.MODELLED),
        LIMITS,
        True,
    )


def check_once(flaw: str, saved: str, **arguments: Any) -> dict[str, Any]:
    """Run a check with a faulty taskflow, of the catalogue or of `flaws`; `saved` are the blocks to replay, or ""."""
    if not _broken:
        known = FLAWS | {each.name: each.apply for each in catalogue()}
        known[flaw]()
        _broken.append(flaw)
    schedule = {"seed": 1, "choices": {CHOICE: saved}} if saved else None
    return run_check(**arguments, schedule=schedule)
