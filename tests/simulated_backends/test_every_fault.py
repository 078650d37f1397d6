"""Every kind of fault can strike at an instant and at an event, and names itself in the record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from worlds import SPREAD, World

from harness.activity import HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.runtime import SECOND, Expired
from harness.schedule import FAULT_KINDS, Fault
from harness.storage import StorageError
from harness.testbed import LoadSpec

WHAT: dict[str, dict[str, Any]] = {
    "partition": {"caller": "host-a", "backend": "primary", "for_ns": SECOND},
    "link.slow": {"backend": "primary", "fraction": 0.5, "for_ns": SECOND},
    "caller.pause": {"caller": "host-a", "for_ns": SECOND},
    "reply.late": {"caller": "host-a", "for_ns": SECOND},
    "backend.restart": {"backend": "primary", "for_ns": SECOND},
    "server.restart": {"backend": "primary"},
    "pool.full": {"backend": "primary", "for_ns": SECOND},
    "medium.error": {"backend": "primary", "volume": "volume", "fraction": 0.5},
    "job.fail": {"backend": "primary", "verb": "copy", "fraction": 0.5},
    "job.unsupported": {"backend": "primary", "verb": "copy"},
    "job.pause": {"backend": "primary", "for_ns": SECOND},
    "drain.stall": {"volume": "volume", "for_ns": SECOND},
}
"""What each kind needs to be told; the others need the host of their caller."""

NOT_OF = {
    "iscsi-sim": ("server.restart",),
    "nfs-sim": ("session.reinstate", "session.logout", "reservation.preempt"),
}
AT_NS = 2 * SECOND


def act(world: World) -> Callable[[], None]:
    """What a caller on host-a does all the time: logs in, starts a copy, asks for it, and again."""

    def body() -> None:
        for number in range(12):
            with contextlib.suppress(ConnectionLost, ActivityUnknown):
                connection = world.connect()
                handle = world.start(connection, "copy", source="volume", target=f"{number}", scope=HandleScope.USER)
                for _ in range(5):
                    world.runtime.sleep(SECOND // 10)
                    connection.status(handle)
                connection.close()

    return body


def run(kind: str, name: str, **trigger: Any) -> World:
    """A busy world in which that fault strikes."""
    world = World(name)

    def body() -> None:
        world.store.create_volume("volume", 1)
        attachment = world.primary.attach("volume", "host-b")
        world.testbed.inject(Fault(kind, **WHAT.get(kind, {"caller": "host-a"}), **trigger))
        world.runtime.spawn("caller", act(world))
        load = attachment.load(LoadSpec(SPREAD, streams=2, think_ns=SECOND // 50))
        world.runtime.sleep(AT_NS + SECOND // 2)
        with contextlib.suppress(Expired):
            attachment.gate.hold("owner", SECOND, 10 * SECOND)
            attachment.gate.release("owner")
        world.runtime.sleep(4 * SECOND)
        with contextlib.suppress(StorageError, Expired):
            load.stop(10 * SECOND)

    world.run(body)
    return world


CASES = [(kind, name) for name in sorted(NOT_OF) for kind in FAULT_KINDS if kind not in NOT_OF[name]]


@pytest.mark.parametrize("name", sorted(NOT_OF))
def test_a_testbed_names_the_faults_that_it_makes(name: str) -> None:
    """A testbed's `faults` are those kinds that it takes, and it refuses the others."""
    bed = World(name).testbed
    assert bed.faults == set(FAULT_KINDS) - set(NOT_OF[name])
    for kind in NOT_OF[name]:
        with pytest.raises(ValueError, match="can't make"):
            bed.inject(Fault(kind, caller="host-a", backend="primary"))
    bed.close()


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_no_fault_lasts_less_than_no_time(kind: str, name: str) -> None:
    """A fault of any kind that would be over before it has begun is refused."""
    bed = World(name).testbed
    with pytest.raises(ValueError, match="for_ns"):
        bed.inject(Fault(kind, **(WHAT.get(kind, {"caller": "host-a"}) | {"for_ns": -SECOND})))
    bed.close()


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_fault_at_an_instant_names_itself(kind: str, name: str) -> None:
    """A fault strikes at its instant, or hits the first thing after it, and is in the record by its name."""
    found = run(kind, name, at_ns=AT_NS).recorder.find("fault", fault=kind)
    assert len(found) == 1 and found[0].at_ns >= AT_NS
    armed = kind.startswith(("reply.", "start.", "job.fail", "job.unsupported", "drain."))
    assert armed or found[0].at_ns == AT_NS


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_fault_at_an_event_names_itself(kind: str, name: str) -> None:
    """A fault strikes at the occurrence of an event that it waits for, and not before it."""
    world = run(kind, name, on="activity.started", nth=2)
    found = world.recorder.find("fault", fault=kind)
    assert len(found) == 1 and found[0].place > world.recorder.find("activity.started")[1].place


def test_a_caller_that_crashes_leaves_its_connection(world: World) -> None:
    """What runs on the host dies where it is, nothing else; its connection stays until it is noticed to be dead."""

    def body() -> None:
        world.store.create_volume("volume", 100)
        reached: list[str] = []

        def caller() -> None:
            connection = world.connect()
            world.start(connection, "copy", source="volume", target="copy", scope=HandleScope.USER)
            world.runtime.sleep(10 * SECOND)
            reached.append("the end")

        task = world.runtime.spawn("caller", caller)
        world.testbed.inject(Fault("caller.crash", caller="host-a", at_ns=SECOND))
        other = world.connect("host-b")
        world.runtime.sleep(20 * SECOND)
        assert task.is_abandoned and task.is_over and reached == []
        assert world.primary.inspect().connections == 2 and other.is_open  # type: ignore[attr-defined]
        assert [a.state for a in world.primary.inspect().activities] == ["running"]
        assert world.recorder.find("fault", fault="caller.crash")[0].fields["tasks"] == 1

    world.run(body)
