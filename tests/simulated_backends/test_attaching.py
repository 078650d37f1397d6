"""When a host attaches a volume, and what keeps it from doing so."""

from __future__ import annotations

import pytest
from worlds import World

from harness.activity import HandleScope
from harness.contract import ConnectionLost
from harness.runtime import SECOND
from harness.schedule import Fault
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.backend import SimulatedBackend
from simulated_backends.iscsi.session import IscsiTarget
from simulated_backends.route import PathLost


@pytest.fixture
def iscsi() -> World:
    """The iSCSI testbed with its own profile."""
    return World("iscsi-sim")


def target(backend: SimulatedBackend) -> IscsiTarget:
    """The target of a backend."""
    assert isinstance(backend.sessions, IscsiTarget)
    return backend.sessions


def moved(world: World) -> SimulatedAttachment:
    """A volume whose host attached it at `primary`, and that was moved to `sibling` then."""
    attachment = world.volume()
    connection = world.connect("host-b")
    job = {"source": "volume", "destination": "sibling", "scope": HandleScope.USER}
    world.wait(connection, world.start(connection, "move", **job))
    return attachment


@pytest.mark.parametrize("share", [0, 0.5], ids=["before", "while it attaches"])
def test_a_host_that_stands_still_attaches_when_it_goes_on(world: World, share: float) -> None:
    """A volume is attached after the pause of its host, however long that is; who asks for it does not stand still."""

    def body() -> None:
        world.store.create_volume("volume", 1)
        attach_ns = world.store.figures.attach_ns
        at_ns = world.runtime.now() + int(share * attach_ns)
        world.testbed.inject(Fault("caller.pause", caller="host-a", for_ns=100 * SECOND, at_ns=at_ns))
        world.runtime.sleep(0)
        asked = world.runtime.spawn("asks for it", lambda: world.primary.attach("volume", "host-a"))
        world.runtime.sleep(50 * SECOND)
        assert not asked.is_over
        asked.wait()
        assert 0 <= world.runtime.now() - at_ns - 100 * SECOND <= attach_ns

    world.run(body)


@pytest.mark.parametrize("asks", ["connects", "attaches"])
@pytest.mark.parametrize("paused", [False, True])
def test_a_host_waits_for_the_answer_to_a_login_by_its_own_clock(world: World, asks: str, paused: bool) -> None:
    """In a partition the login fails once the host's login timeout has run, which a pause of the host lengthens."""

    def body() -> None:
        world.store.create_volume("volume", 1)
        began_ns = world.runtime.now()
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=500 * SECOND))
        if paused:
            world.testbed.inject(Fault("caller.pause", caller="host-a", for_ns=100 * SECOND, at_ns=5 * SECOND))
        with pytest.raises(ConnectionLost, match="does not answer the login of host-a"):
            if asks == "connects":
                world.connect()
            else:
                world.primary.attach("volume", "host-a")
        login_s = {"iscsi-sim": 15, "nfs-sim": 60}[world.testbed.name]
        assert (world.runtime.now() - began_ns) // SECOND == login_s + (100 if paused else 0)

    world.run(body)


def test_a_host_logs_in_when_it_attaches(iscsi: World) -> None:
    """What happens to its session happens whether it has written or not; other volumes go over the same session."""

    def body() -> None:
        attachment = iscsi.volume()
        assert len(target(iscsi.primary).carriers()) == 1
        began_ns = iscsi.runtime.now()
        iscsi.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=30 * SECOND))
        attachment.write(1, 11)
        (lost,), (restored,) = iscsi.recorder.find("session.lost"), iscsi.recorder.find("session.restored")
        assert lost.at_ns == began_ns + 10 * SECOND and restored.at_ns == began_ns + 30 * SECOND
        assert len(iscsi.recorder.find("session.reinstated")) == 1
        iscsi.volume("other")
        assert len(target(iscsi.primary).carriers()) == 1

    iscsi.run(body)


@pytest.mark.parametrize("for_s", [30, 119, 200])
@pytest.mark.parametrize("cut", ["partition", "backend.restart"])
def test_the_first_login_waits_for_the_network(iscsi: World, cut: str, for_s: int) -> None:
    """A host that has never reached a backend has no session with it to lose; its commands wait for the first one."""

    def body() -> None:
        attachment = moved(iscsi)
        began_ns = iscsi.runtime.now()
        iscsi.testbed.inject(Fault(cut, backend="sibling", for_ns=for_s * SECOND))
        if for_s > 120:
            for _ in range(2):
                with pytest.raises(PathLost, match="host-a has no session with sibling"):
                    attachment.write(1, 11)
            assert iscsi.runtime.now() == began_ns + 120 * SECOND
            iscsi.runtime.sleep(for_s * SECOND)
            assert len(iscsi.recorder.find("session.failed")) == 1
        else:
            writer = iscsi.runtime.spawn("writer", lambda: attachment.write(1, 10))
            iscsi.runtime.sleep(for_s * SECOND - 1)
            assert target(iscsi.sibling).carriers() == ()
            writer.wait()
            assert iscsi.runtime.now() // SECOND == (began_ns + for_s * SECOND) // SECOND
        attachment.write(1, 12)
        assert iscsi.sibling.store.image("volume") == {1: 12} and len(target(iscsi.sibling).carriers()) == 1
        for kind in ("session.lost", "session.restored", "session.reinstated"):
            assert iscsi.recorder.find(kind, backend="sibling") == []
        iscsi.testbed.inject(Fault("partition", backend="sibling", for_ns=30 * SECOND))
        attachment.write(1, 13)
        assert len(iscsi.recorder.find("session.lost", backend="sibling")) == 1

    iscsi.run(body)


def test_a_target_without_power_refuses_nobody(iscsi: World) -> None:
    """A wrong secret is refused when the power is back, and again until the host loses patience; a right one is not."""

    def body() -> None:
        attachment = moved(iscsi)
        target(iscsi.sibling).secrets.set("host-a", "changed")
        with pytest.raises(PathLost, match="CHAP secret of 'host-a'"):
            attachment.write(1, 11)
        began_ns = iscsi.runtime.now()
        iscsi.testbed.inject(Fault("backend.restart", backend="sibling", for_ns=30 * SECOND))
        with pytest.raises(PathLost):
            attachment.write(1, 11)
        assert iscsi.runtime.now() == began_ns + 120 * SECOND
        target(iscsi.sibling).initiators.set("host-a", "changed")
        iscsi.runtime.sleep(2 * SECOND)
        attachment.write(1, 12)
        assert iscsi.sibling.store.image("volume") == {1: 12}

    iscsi.run(body)


@pytest.mark.parametrize("kind", ["connection.break", "connection.reset", "connection.half_open", "session.logout"])
def test_a_session_that_is_not_there_yet_can_not_break(iscsi: World, kind: str) -> None:
    """Faults of sessions leave a host alone that has yet to log in."""

    def body() -> None:
        attachment = moved(iscsi)
        iscsi.testbed.inject(Fault("partition", backend="sibling", for_ns=30 * SECOND))
        writer = iscsi.runtime.spawn("writer", lambda: attachment.write(1, 11))
        iscsi.runtime.sleep(SECOND)
        iscsi.testbed.inject(Fault(kind, volume="volume"))
        writer.wait()
        assert iscsi.sibling.store.image("volume") == {1: 11} and iscsi.runtime.now() < 40 * SECOND
        iscsi.runtime.sleep(100 * SECOND)
        assert iscsi.recorder.find("session.lost") == [] and len(target(iscsi.sibling).carriers()) == 1

    iscsi.run(body)
