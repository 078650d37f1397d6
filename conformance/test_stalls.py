"""Section 2 of the specification: how long a listed method holds foreground I/O (Q-8)."""

from __future__ import annotations

import pytest

from conformance.checks import check
from conformance.invocations import COPYING, MOVING, WAYS, choose_way, expect_claim, expect_way, invoke_in_use
from conformance.lab import Lab
from conformance.record import longest_wait, under_way_between
from harness.contract import ACTIVITY_HOOKS
from harness.model import Volume
from harness.recorder import Event
from harness.testbed import Capability

ON_SNAPSHOTS = ("create_volume_from_snapshot", "replicate_snapshot", "delete_snapshot")
"""The methods that work on a snapshot while hosts may write to the volume that it was taken from."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", [*COPYING, *MOVING, "extend_volume"])
@check("Q-8")
def test_listed_method_does_not_stall_writes(lab: Lab, method: str, way: str) -> None:
    """No write to a volume waits longer than the profile's stall limit because a listed method works on the volume.

    A write counts from the invocation on, and until it is acknowledged, which may be after the method returned.
    """
    expect_claim(lab, method, listed=True)
    if method in MOVING and Capability.LIVE_MOVE not in lab.testbed.offers:
        lab.unverifiable(f"testbed {lab.testbed.name} does not offer {Capability.LIVE_MOVE.value}")
    choose_way(lab, way)
    volume = lab.volume()
    attachment = lab.attach(volume)
    with lab.load_on(attachment):
        invoke_in_use(lab, method, volume)
    expect_way(lab, way, method)
    jitter_ns = _jitter_ns(lab)  # not before: where the way is not taken, no testbed has to time it
    window = lab.window(method)
    if window is None:
        lab.unverifiable(f"{method} never returned")
        return
    lab.ledger.timeline = lab.timeline(f"{method} on a volume in use, listed as stateless", volume.id)
    _judge(lab, method, volume, *window, jitter_ns)


@pytest.mark.parametrize("method", ON_SNAPSHOTS)
@check("Q-8")
def test_listed_method_on_a_snapshot_does_not_stall_writes(lab: Lab, method: str) -> None:
    """The same for writes to a volume while a listed method works on its snapshot, called and then as an activity."""
    expect_claim(lab, method, listed=True)
    if not lab.implements("create_snapshot"):
        lab.not_applicable("the driver makes no snapshots")
    if method == "replicate_snapshot" and not lab.publication.snapshot_replication:
        lab.not_applicable("snapshot replication is not published")
    jitter_ns = _jitter_ns(lab)
    ways = WAYS if all(lab.implements(hook) for hook in ACTIVITY_HOOKS) else WAYS[:1]
    volume = lab.volume()
    snapshots = [lab.taskflow.methods.create_snapshot(volume.id, lab.identifier(f"snapshot {way}")).id for way in ways]
    attachment = lab.attach(volume)
    with lab.load_on(attachment):
        for way, snapshot_id in zip(ways, snapshots, strict=True):
            choose_way(lab, way)
            _work_on(lab, method, snapshot_id, lab.identifier(f"made {way}"))
    invoked = lab.recorder.find("method.invoked", method=method, backend="primary")
    returned = lab.recorder.find("method.returned", method=method, backend="primary")
    if not invoked or not returned:
        lab.unverifiable(f"{method} never returned")
        return
    lab.ledger.timeline = lab.timeline(f"{method} while the snapshot's volume is in use", volume.id)
    _judge(lab, method, volume, invoked[0], returned[-1], jitter_ns)


def _work_on(lab: Lab, method: str, snapshot_id: str, new: str) -> None:
    flows = lab.taskflow
    if method == "create_volume_from_snapshot":
        flows.methods.create_volume_from_snapshot(snapshot_id, new)
    elif method == "replicate_snapshot":
        flows.replication.replicate(snapshot_id, "sibling", new)
    else:
        flows.methods.delete_snapshot(snapshot_id)


def _judge(lab: Lab, method: str, volume: Volume, invoked: Event, returned: Event, jitter_ns: int) -> None:
    """Judge by the record of the writes, once all that will be acknowledged are."""
    log = lab.recorder.writes(volume.id)
    longest = longest_wait(log, invoked, lab.runtime.now())
    limit_ns = lab.profile.stall_limit_ns
    if longest is not None and longest["waited_ns"] > limit_ns + jitter_ns:
        allowed = f"the stall limit of {limit_ns / 1e9:.3g} s"
        if jitter_ns:
            allowed += f" and the testbed's own jitter of {jitter_ns / 1e9:.3g} s"
        waited = f"{longest['waited_ns'] / 1e9:.3g} s"
        lab.expect("Q-8", False, f"a write waited {waited} while {method} worked; more than {allowed}", longest)
    elif not under_way_between(log, invoked.place, returned.place):
        lab.unverifiable(f"no write was under way while {method} worked")
    else:
        lab.expect("Q-8", True, "")


def _jitter_ns(lab: Lab) -> int:
    """By how much the testbed itself may hold a write (ns); ends the check where it can't say."""
    if Capability.STALL_TIMING in lab.testbed.offers:
        return 0
    if lab.profile.jitter_ns is None:
        offer = Capability.STALL_TIMING.value
        lab.unverifiable(f"testbed {lab.testbed.name} does not offer {offer}, nor does its profile state the jitter")
        raise LookupError
    return lab.profile.jitter_ns
