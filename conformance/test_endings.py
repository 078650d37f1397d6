"""Sections 2 and 3 of the specification: what counts as done is whole at that very moment (clauses Q-10, R-3)."""

from __future__ import annotations

import pytest

from conformance.checks import check
from conformance.close_looks import CloseLooks
from conformance.invocations import COPYING, MOVING, WAYS, choose_way, expect_way, invoke, read
from conformance.lab import Lab
from conformance.replicas import expect_native
from harness.point_in_time import compare_images
from harness.storage import Image

FROM_SNAPSHOT = "create_volume_from_snapshot"
REPLICATE = "replicate_snapshot"
ON_REAL_CLOCKS = ("create_cloned_volume", "migrate_volume")
"""The methods that stand for the others where a copy takes real time."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", [*COPYING, *MOVING, FROM_SNAPSHOT, REPLICATE])
@check("Q-10", "R-3")
def test_what_is_done_is_whole_at_that_moment(lab: Lab, method: str, way: str) -> None:
    """Looked at ever more closely towards its end, a copy is whole at the moment when the driver says it is done."""
    clause, other = ("R-3", "Q-10") if method == REPLICATE else ("Q-10", "R-3")
    lab.ledger.set_aside(other, f"{method} is another clause's")
    if not lab.testbed.virtual and method not in ON_REAL_CLOCKS:
        lab.not_applicable(f"under the wall clock {' and '.join(ON_REAL_CLOCKS)} stand for the other methods")
    looks = CloseLooks(lab)
    if lab.testbed.virtual:
        lab.connecting = looks.at
    choose_way(lab, way)
    lab.taskflow.core.pause_ns = looks.pause_ns
    if not lab.implements(method):
        lab.not_applicable(f"the driver does not implement {method}")
    volume = lab.volume()
    content = dict(lab.image("primary", volume.id) or {})
    new = lab.identifier("made")
    found: Image | None
    flaw = "it is not there, whole"
    if method in (FROM_SNAPSHOT, REPLICATE):
        if method == REPLICATE:
            expect_native(lab)
        if not lab.implements("create_snapshot"):
            lab.not_applicable("the driver makes no snapshots")
        snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
        if method == REPLICATE:
            lab.taskflow.replication.replicate(snapshot.id, "sibling", new)
        else:
            lab.taskflow.methods.create_volume_from_snapshot(snapshot.id, new)
        found = lab.image("sibling" if method == REPLICATE else "primary", new)
    else:
        found, flaw = read(invoke(lab, method, volume, new))
    expect_way(lab, way, method)
    # no virtual time has passed since the driver said that it was done
    difference = {"missing": flaw} if found is None else compare_images(content, found)
    message = f"{method} counts as done, but what it was to make is not whole at that moment"
    lab.expect(clause, difference is None, message, difference)
