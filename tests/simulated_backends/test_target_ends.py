"""When a target's end of a session is gone, whatever has become of the host's end."""

from __future__ import annotations

import pytest
from worlds import World

from harness.runtime import SECOND
from harness.schedule import Fault
from simulated_backends.iscsi.session import IscsiTarget

DETECTION_NS = 45 * SECOND
"""NOP-In's interval and response of the profile."""


def carriers(world: World) -> int:
    """How many sessions for foreground I/O the primary target has."""
    assert isinstance(world.primary.sessions, IscsiTarget)
    return len(world.primary.sessions.carriers())


def gone_after_ns(world: World) -> int:
    """The time until the target has no session of a host any more, to a tenth of a second."""
    began_ns = world.runtime.now()
    while carriers(world) + world.primary.inspect().connections:
        world.runtime.sleep(SECOND // 10)
    return world.runtime.now() - began_ns


@pytest.mark.parametrize("fault", ["connection.break", "host.restart", "reply.lost"])
@pytest.mark.parametrize("quiet_s", [0, 40])
def test_a_target_times_a_session_out_that_its_host_has_left(fault: str, quiet_s: int) -> None:
    """Its NOP-In finds out what the host knows already; a login after that is no reinstatement."""
    world = World("iscsi-sim", target_time2wait_s=100)

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        answered_ns = world.runtime.now() + quiet_s // 15 * 15 * SECOND  # the last NOP-In
        world.runtime.sleep(quiet_s * SECOND)
        world.testbed.inject(Fault(fault, volume="volume", caller="host-a"))
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 12))
        if fault == "reply.lost":
            answered_ns = world.runtime.now()  # by the write
        gone_after_ns(world)
        assert abs(world.runtime.now() - answered_ns - DETECTION_NS) <= SECOND // 5
        writer.wait()
        (lost,), (restored,) = world.recorder.find("session.lost"), world.recorder.find("session.restored")
        assert restored.at_ns - lost.at_ns == 100 * SECOND
        assert world.recorder.find("session.reinstated") == [] and carriers(world) == 1

    world.run(body)


@pytest.mark.parametrize(("cut_s", "reinstated"), [(60, True), (80, False)])
def test_a_hosts_session_is_retained_as_drivers_sessions_are(cut_s: int, reinstated: bool) -> None:
    """After NOP-In the target keeps it for Time2Wait and Time2Retain; a login in that time takes its place for good."""
    world = World("iscsi-sim", initiator_time2retain_s=20)

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=cut_s * SECOND))
        world.runtime.sleep(DETECTION_NS + 21 * SECOND if not reinstated else cut_s * SECOND - 1)
        assert carriers(world) == 1
        world.runtime.sleep(2 * SECOND)
        assert carriers(world) == (1 if reinstated else 0)
        attachment.write(1, 12)
        assert len(world.recorder.find("session.reinstated")) == reinstated
        world.runtime.sleep(100 * SECOND)
        assert carriers(world) == 1

    world.run(body)


def test_a_target_that_loses_its_power_retains_no_session() -> None:
    """A session that was kept for its host is forgotten with all others, and not reinstated later."""
    world = World("iscsi-sim", initiator_time2retain_s=600)

    def body() -> None:
        world.volume().write(1, 11)
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=60 * SECOND))
        world.runtime.sleep(50 * SECOND)
        assert carriers(world) == 1
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=SECOND))
        assert carriers(world) == 0

    world.run(body)
