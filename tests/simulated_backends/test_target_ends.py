"""When a target's end of a session is gone, whatever has become of the host's end."""

from __future__ import annotations

import pytest
from worlds import World

from harness.contract import ConnectionLost
from harness.runtime import SECOND
from harness.schedule import Fault
from simulated_backends.iscsi.session import IscsiTarget

DETECTION_NS = 45 * SECOND
"""NOP-In's interval and response of the profile."""

BY_THE_TARGET = ("session.reinstate", "session.logout")
"""What the target does by itself."""


@pytest.fixture
def iscsi() -> World:
    """The iSCSI testbed with its own profile."""
    return World("iscsi-sim")


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
        world.connect()
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=60 * SECOND))
        world.runtime.sleep(50 * SECOND)
        assert carriers(world) == 1 and world.primary.inspect().connections == 1
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=SECOND))
        assert carriers(world) == 0 and world.primary.inspect().connections == 0

    world.run(body)


@pytest.mark.parametrize("kind", [*BY_THE_TARGET, "connection.reset"])
@pytest.mark.parametrize("after_s", [2, 12])
def test_a_target_that_ends_a_half_open_session_has_ended_it(iscsi: World, kind: str, after_s: int) -> None:
    """It drops the session at once; a host that nothing reaches finds out by its NOP-Out, unless it is a reset's."""

    def body() -> None:
        connection = iscsi.connect()
        iscsi.testbed.inject(Fault("connection.half_open", caller="host-a"))
        iscsi.runtime.sleep(after_s * SECOND)
        iscsi.testbed.inject(Fault(kind, caller="host-a"))
        assert iscsi.primary.inspect().connections == 0
        assert connection.is_open == (kind in BY_THE_TARGET and after_s == 2)  # type: ignore[attr-defined]
        iscsi.runtime.sleep((10 - after_s) * SECOND if after_s < 10 else SECOND)
        assert not connection.is_open and len(iscsi.recorder.find("connection.broken")) == 1  # type: ignore[attr-defined]

    iscsi.run(body)


@pytest.mark.parametrize("kind", [*BY_THE_TARGET, "connection.reset"])
@pytest.mark.parametrize("after_s", [2, 11])
def test_a_target_that_ends_a_hosts_half_open_session_has_ended_it(iscsi: World, kind: str, after_s: int) -> None:
    """The same for the session of foreground I/O; the next login is then no reinstatement."""

    def body() -> None:
        attachment = iscsi.volume()
        attachment.write(1, 11)
        iscsi.testbed.inject(Fault("connection.half_open", volume="volume"))
        iscsi.runtime.sleep(after_s * SECOND)
        iscsi.testbed.inject(Fault(kind, volume="volume"))
        assert carriers(iscsi) == 0
        assert (iscsi.recorder.find("session.lost") == []) == (kind in BY_THE_TARGET and after_s == 2)
        attachment.write(1, 12)
        assert iscsi.store.image("volume") == {1: 12} and carriers(iscsi) == 1
        (lost,) = iscsi.recorder.find("session.lost")
        assert lost.fields["reason"] == (kind if kind == "connection.reset" and after_s == 2 else "keep-alive")
        assert iscsi.recorder.find("session.reinstated") == []

    iscsi.run(body)


@pytest.mark.parametrize("leaves", ["close", "connection.break"])
def test_a_logout_that_cannot_arrive_starts_no_keep_alive_anew(iscsi: World, leaves: str) -> None:
    """However the host leaves a half-open connection, its target finds out by the NOP-In that it waits for already."""

    def body() -> None:
        connection = iscsi.connect()
        iscsi.testbed.inject(Fault("connection.half_open", caller="host-a"))
        iscsi.runtime.sleep(8 * SECOND)
        if leaves == "close":
            connection.close()
        else:
            iscsi.testbed.inject(Fault(leaves, caller="host-a"))
        assert iscsi.primary.inspect().connections == 1
        assert abs(gone_after_ns(iscsi) + 8 * SECOND - DETECTION_NS) <= SECOND // 5

    iscsi.run(body)


def test_a_target_asks_for_a_logout_in_good_order(iscsi: World) -> None:
    """The host logs out when it is asked to: its connection is closed, not broken, at both ends."""

    def body() -> None:
        connection = iscsi.connect()
        iscsi.testbed.inject(Fault("session.logout", caller="host-a"))
        assert not connection.is_open and iscsi.primary.inspect().connections == 0  # type: ignore[attr-defined]
        assert len(iscsi.recorder.find("connection.closed")) == 1 and iscsi.recorder.find("connection.broken") == []
        with pytest.raises(ConnectionLost, match="closed"):
            connection.status("any")

    iscsi.run(body)


def test_a_session_that_its_host_has_left_can_be_taken_over(iscsi: World) -> None:
    """What the target has of a broken connection is logged out by a session under its name, without a keep-alive."""

    def body() -> None:
        iscsi.connect()
        iscsi.testbed.inject(Fault("connection.break", caller="host-a"))
        iscsi.runtime.sleep(SECOND)
        assert iscsi.primary.inspect().connections == 1
        iscsi.testbed.inject(Fault("session.reinstate", caller="host-a"))
        assert iscsi.primary.inspect().connections == 0
        iscsi.runtime.sleep(100 * SECOND)
        assert iscsi.runtime.env.next_at() is None  # type: ignore[attr-defined]

    iscsi.run(body)


def test_a_retained_session_can_be_taken_over() -> None:
    """What the target keeps of connections that it gave up is logged out by sessions under their names, once."""
    world = World("iscsi-sim", initiator_time2retain_s=20)

    def body() -> None:
        for host in ("host-a", "host-a", "host-b"):
            world.connect(host)
        world.testbed.inject(Fault("partition", backend="primary", for_ns=60 * SECOND))
        world.runtime.sleep(DETECTION_NS + SECOND)
        world.connect("host-a")
        assert world.primary.inspect().connections == 4
        for left, hit in ((1, 3), (1, 0)):
            world.testbed.inject(Fault("session.reinstate", caller="host-a"))
            assert world.primary.inspect().connections == left
            assert world.recorder.find("fault", fault="session.reinstate")[-1].fields["connections"] == hit
        world.runtime.sleep(22 * SECOND)
        assert world.primary.inspect().connections == 0

    world.run(body)


@pytest.mark.parametrize("after_s", [1, 21, 23])
def test_a_session_is_taken_over_while_it_is_retained(after_s: int) -> None:
    """That is for Time2Wait and Time2Retain, and nothing is left to be done then."""
    world = World("iscsi-sim", initiator_time2retain_s=20)

    def body() -> None:
        world.connect()
        world.testbed.inject(Fault("connection.half_open", caller="host-a"))
        world.runtime.sleep(DETECTION_NS + after_s * SECOND)
        is_retained = after_s < 22
        assert world.primary.inspect().connections == is_retained
        world.testbed.inject(Fault("session.reinstate", caller="host-a"))
        assert world.recorder.events[-1].fields["connections"] == is_retained
        assert world.primary.inspect().connections == 0 and world.runtime.env.next_at() is None  # type: ignore[attr-defined]

    world.run(body)
