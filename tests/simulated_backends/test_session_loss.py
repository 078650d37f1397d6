"""What becomes of a host's session, and of the commands on it, when the network fails."""

from __future__ import annotations

import pytest
from worlds import World

from harness.contract import ActivityUnknown, ConnectionLost
from harness.recorder import UNACKNOWLEDGED
from harness.runtime import SECOND
from harness.schedule import Fault
from simulated_backends.iscsi.session import IscsiTarget
from simulated_backends.lines import KeepAlive
from simulated_backends.route import PathLost


@pytest.fixture
def iscsi() -> World:
    """The iSCSI testbed with its own profile."""
    return World("iscsi-sim")


def target_of(world: World) -> IscsiTarget:
    """The primary backend's target."""
    assert isinstance(world.primary.sessions, IscsiTarget)
    return world.primary.sessions


def test_keep_alives_give_up_after_the_first_ping_that_stays_unanswered() -> None:
    """Pings go out every interval since the last PDU; the first one after the silence began is the last."""
    keep_alive = KeepAlive(5, 5)
    assert [keep_alive.gives_up_ns(100, silent) for silent in (100, 104, 105, 109, 110)] == [110, 110, 115, 115, 120]
    assert keep_alive.detection_ns == 10


def test_a_healthy_hour_costs_no_events(iscsi: World) -> None:
    """With connections open and a volume attached and written, nothing is scheduled while nobody does anything."""

    def body() -> None:
        iscsi.connect()
        iscsi.volume().write(1, 11)
        assert iscsi.runtime.env.next_at() is None  # type: ignore[attr-defined]

    iscsi.run(body)


def test_a_wrong_chap_secret_is_refused(iscsi: World) -> None:
    """A login whose secret is not the target's fails with a clear error; other users still get in."""

    def body() -> None:
        target_of(iscsi).secrets.set("user-a", "not what the host has")
        with pytest.raises(ConnectionLost, match="CHAP secret of 'user-a'"):
            iscsi.connect()
        target_of(iscsi).initiators.set("user-a", "not what the host has")
        iscsi.connect()
        iscsi.connect(user="user-b")
        assert iscsi.primary.inspect().connections == 2

    iscsi.run(body)


def test_a_half_open_connection_is_noticed_by_each_end_alone(iscsi: World) -> None:
    """NOP-Out tells the initiator within 10 s, NOP-In the target within 45 s; until then calls just wait."""

    def body() -> None:
        iscsi.volume()
        connection = iscsi.connect()
        handle = iscsi.start(connection, "copy", source="volume", target="copy")
        cut_ns = iscsi.runtime.now()
        iscsi.testbed.inject(Fault("connection.half_open", caller="host-a"))
        with pytest.raises(ConnectionLost):
            connection.status(handle)
        waited_ns = iscsi.runtime.now() - cut_ns
        assert 5 * SECOND < waited_ns <= 10 * SECOND
        assert iscsi.primary.inspect().connections == 1
        iscsi.runtime.sleep(30 * SECOND - waited_ns)
        assert iscsi.primary.inspect().connections == 1
        iscsi.runtime.sleep(15 * SECOND)
        assert iscsi.primary.inspect().connections == 0
        assert len(iscsi.recorder.find("fault", fault="connection.half_open")) == 1

    iscsi.run(body)


def test_a_short_cut_only_delays(world: World) -> None:
    """A partition that heals before a keep-alive runs out loses nothing: what was under way arrives afterwards."""

    def body() -> None:
        attachment, connection = world.volume(), world.connect()
        attachment.write(1, 11)
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=3 * SECOND))
        attachment.write(1, 12)
        assert world.runtime.now() > 3 * SECOND
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=3 * SECOND))
        world.start(connection, "create_volume", target="other", size=1)
        assert world.runtime.now() > 6 * SECOND
        assert world.store.image("volume") == {1: 12}
        world.runtime.sleep(200 * SECOND)
        assert world.recorder.find("session.lost") == [] and world.recorder.find("connection.broken") == []

    world.run(body)


@pytest.mark.parametrize(("seconds", "reinstated"), [(30, True), (60, False)])
def test_a_write_outlives_its_session(iscsi: World, seconds: int, reinstated: bool) -> None:
    """A lost session is opened again; the write goes on there. What the target still has of the old one is replaced."""

    def body() -> None:
        attachment = iscsi.volume()
        attachment.write(1, 11)
        began_ns = iscsi.runtime.now()
        iscsi.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=seconds * SECOND))
        attachment.write(1, 12)
        (lost,) = iscsi.recorder.find("session.lost", reason="keep-alive")
        assert lost.at_ns - began_ns <= 10 * SECOND
        (restored,) = iscsi.recorder.find("session.restored")
        assert restored.at_ns == began_ns + seconds * SECOND
        assert len(iscsi.recorder.find("session.reinstated")) == reinstated
        assert iscsi.store.image("volume") == {1: 12} and len(target_of(iscsi).carriers()) == 1

    iscsi.run(body)


def test_writes_fail_after_the_replacement_timeout(iscsi: World) -> None:
    """Commands wait 120 s for a session to come back, then fail, as do new ones; once it is back, writes work."""

    def body() -> None:
        attachment = iscsi.volume()
        attachment.write(1, 11)
        iscsi.testbed.inject(Fault("partition", caller="host-a", for_ns=200 * SECOND))
        for _ in range(2):
            with pytest.raises(PathLost):
                attachment.write(2, 22)
        (lost,) = iscsi.recorder.find("session.lost")
        assert iscsi.runtime.now() == lost.at_ns + 120 * SECOND
        log = iscsi.recorder.writes("volume")
        assert [place == UNACKNOWLEDGED for place in log.acknowledged] == [False, True, True]
        iscsi.runtime.sleep(100 * SECOND)
        attachment.write(3, 33)
        assert iscsi.store.image("volume") == {1: 11, 3: 33}

    iscsi.run(body)


def test_a_hard_mount_waits_for_ever() -> None:
    """An NFS host never gives a write up, however long the network is away."""
    world = World("nfs-sim")

    def body() -> None:
        attachment = world.volume()
        world.testbed.inject(Fault("partition", backend="primary", for_ns=3000 * SECOND))
        attachment.write(2, 22)
        assert world.runtime.now() > 3000 * SECOND and world.store.image("volume") == {2: 22}

    world.run(body)


def test_a_write_whose_answer_was_lost_is_sent_again(world: World) -> None:
    """The write took effect before its session was lost; sent again it changes nothing and is acknowledged."""

    def body() -> None:
        attachment = world.volume()
        world.testbed.inject(Fault("reply.lost", volume="volume"))
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(SECOND // 1000)
        assert world.store.image("volume") == {1: 11}
        writer.wait()
        assert world.store.image("volume") == {1: 11}
        log = world.recorder.writes("volume")
        assert len(log) == 1 and log.acknowledged[0] > world.recorder.find("session.restored")[0].place
        attachment.write(2, 22)
        assert len(world.recorder.find("fault", fault="reply.lost")) == 1

    world.run(body)


@pytest.mark.parametrize("kind", ["session.reinstate", "session.logout", "connection.reset"])
def test_a_connection_that_the_target_ends_is_gone_at_both_ends(iscsi: World, kind: str) -> None:
    """After reinstatement, a requested logout, or a reset neither end waits for a keep-alive."""

    def body() -> None:
        attachment = iscsi.volume()
        attachment.write(1, 11)
        connection = iscsi.connect()
        iscsi.testbed.inject(Fault(kind, caller="host-a"))
        assert iscsi.primary.inspect().connections == 0
        with pytest.raises(ConnectionLost):
            connection.status("any")
        assert iscsi.recorder.find("session.lost") == []
        iscsi.testbed.inject(Fault(kind, volume="volume"))
        assert target_of(iscsi).carriers() == ()
        attachment.write(1, 12)
        (lost,), (restored,) = iscsi.recorder.find("session.lost"), iscsi.recorder.find("session.restored")
        assert restored.at_ns - lost.at_ns == 2 * SECOND
        assert iscsi.recorder.find("session.reinstated") == [] and len(target_of(iscsi).carriers()) == 1

    iscsi.run(body)


def test_writes_go_through_every_loss(iscsi: World) -> None:
    """Whatever breaks while a host writes, each of its writes is applied in the end, and acknowledged."""

    def body() -> None:
        attachment = iscsi.volume()
        for at_s, kind in ((1, "connection.break"), (5, "connection.half_open"), (20, "reply.lost"), (30, "partition")):
            wanted = {"backend": "primary", "caller": "host-a"} if kind == "partition" else {"volume": "volume"}
            iscsi.testbed.inject(Fault(kind, at_ns=at_s * SECOND, for_ns=20 * SECOND, **wanted))  # type: ignore[arg-type]

        def write(number: int) -> None:
            iscsi.runtime.sleep(number * SECOND // 5000)
            attachment.write(number, number + 1)

        numbers = [at + number for at in (5_000, 25_000, 100_000, 150_000) for number in range(-5, 5)]
        writers = [iscsi.runtime.spawn(f"writer {number}", lambda n=number: write(n)) for number in numbers]  # type: ignore[misc]
        for writer in writers:
            writer.wait()
        assert iscsi.store.image("volume") == {number: number + 1 for number in numbers}
        assert UNACKNOWLEDGED not in iscsi.recorder.writes("volume").acknowledged
        assert len(iscsi.recorder.find("session.lost")) == 4

    iscsi.run(body)


@pytest.mark.parametrize("fault", ["connection.break", "connection.half_open"])
@pytest.mark.parametrize(("retain_s", "kept_s"), [(0, 0), (20, 22)])
def test_a_target_keeps_a_lost_session_for_time2retain(fault: str, retain_s: int, kept_s: int) -> None:
    """Once it has noticed the loss a target keeps the session for Time2Wait and Time2Retain; for 0 it goes at once."""
    world = World("iscsi-sim", initiator_time2retain_s=retain_s)

    def body() -> None:
        world.connect()
        world.testbed.inject(Fault(fault, caller="host-a", at_ns=SECOND))
        world.runtime.sleep(world.testbed.profile.loss.detection_ns + (kept_s - 1) * SECOND)
        assert world.primary.inspect().connections == 1
        world.runtime.sleep(3 * SECOND)
        assert world.primary.inspect().connections == 0

    world.run(body)


def test_a_task_ends_with_its_session_whatever_is_retained() -> None:
    """At ErrorRecoveryLevel 0 nothing is reassigned: a new session does not reach the lost one's copy in that time."""
    world = World("iscsi-sim", initiator_time2retain_s=20)

    def body() -> None:
        world.store.create_volume("volume", 100)
        handle = world.start(world.connect(), "copy", source="volume", target="copy")
        world.testbed.inject(Fault("connection.half_open", caller="host-a"))
        world.runtime.sleep(50 * SECOND)
        assert world.primary.inspect().connections == 1
        with pytest.raises(ActivityUnknown):
            world.connect().status(handle)

    world.run(body)


def test_a_renewed_session_outlives_the_keep_alive_of_the_old_one(iscsi: World) -> None:
    """Cuts that follow each other leave no keep-alive behind that would take the next session for the lost one."""

    def body() -> None:
        attachment = iscsi.volume()
        attachment.write(1, 11)
        for at_ms, for_s in ((0, 11), (11_500, 10)):
            at_ns = iscsi.runtime.now() + at_ms * SECOND // 1000
            cut = Fault("partition", caller="host-a", backend="primary", for_ns=for_s * SECOND, at_ns=at_ns)
            iscsi.testbed.inject(cut)
        attachment.write(1, 12)
        iscsi.runtime.sleep(100 * SECOND)
        assert len(target_of(iscsi).carriers()) == 1
        iscsi.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=SECOND))
        attachment.write(1, 13)
        assert len(iscsi.recorder.find("session.lost")) == 1 and len(iscsi.recorder.find("session.reinstated")) == 1

    iscsi.run(body)


def test_a_refused_login_is_tried_again_until_the_host_loses_patience(iscsi: World) -> None:
    """A host that is not let in any more fails its commands after 120 s, and gets in once its secret is right."""

    def body() -> None:
        attachment = iscsi.volume()
        attachment.write(1, 11)
        target_of(iscsi).secrets.set("host-a", "changed")
        iscsi.testbed.inject(Fault("connection.break", volume="volume"))
        with pytest.raises(PathLost):
            attachment.write(1, 12)
        (lost,) = iscsi.recorder.find("session.lost")
        assert iscsi.runtime.now() == lost.at_ns + 120 * SECOND and iscsi.recorder.find("session.restored") == []
        target_of(iscsi).initiators.set("host-a", "changed")
        iscsi.runtime.sleep(2 * SECOND)
        attachment.write(1, 13)
        assert iscsi.store.image("volume") == {1: 13} and len(iscsi.recorder.find("session.restored")) == 1

    iscsi.run(body)


def test_refused_logins_take_time_without_time2wait() -> None:
    """Where Time2Wait is 0 a host that is refused does not try again at the same instant for ever."""
    world = World("iscsi-sim", target_time2wait_s=0, initiator_time2wait_s=0)

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        target_of(world).secrets.set("host-a", "changed")
        world.testbed.inject(Fault("connection.reset", volume="volume"))
        with pytest.raises(PathLost):
            attachment.write(1, 12)

    world.run(body)


def test_a_host_that_never_got_in_has_no_session(iscsi: World) -> None:
    """It can't attach, faults find nothing to hit, and nothing is left of the login that was refused."""

    def body() -> None:
        iscsi.store.create_volume("volume", 1)
        target_of(iscsi).secrets.set("host-a", "changed")
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="CHAP secret of 'host-a'"):
                iscsi.primary.attach("volume", "host-a")
        for kind in ("connection.half_open", "host.restart"):
            iscsi.testbed.inject(Fault(kind, volume="volume", caller="host-a"))
        iscsi.testbed.inject(Fault("partition", caller="host-a", for_ns=100 * SECOND))
        iscsi.runtime.sleep(200 * SECOND)
        assert iscsi.recorder.find("session.lost") == [] and target_of(iscsi).carriers() == ()
        target_of(iscsi).initiators.set("host-a", "changed")
        iscsi.primary.attach("volume", "host-a").write(1, 12)
        assert iscsi.store.image("volume") == {1: 12}

    iscsi.run(body)
