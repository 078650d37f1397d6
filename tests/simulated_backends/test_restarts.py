"""Restarts of hosts, of services and of whole backends, at instants and events of a schedule."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import pytest
from worlds import World

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.model import Caller
from harness.runtime import SECOND, Limits
from harness.schedule import Fault
from harness.storage import CopyRequest
from harness.testbed import Job
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.world import SimulatedWorld

LOST_COPY = CopyRequest("volume", "copy", "volume", point_in_time=False)


def nfs(**options: Any) -> tuple[World, NfsTestbed]:
    """An NFS testbed, and the same with its own ports."""
    world = World("nfs-sim", **options)
    assert isinstance(world.testbed, NfsTestbed)
    return world, world.testbed


@pytest.mark.parametrize("trigger", ["instant", "event"])
def test_a_service_restarts_when_it_is_told_to(trigger: str) -> None:
    """At its trigger a server forgets its clients, connections break, and its copy stateids are unknown."""
    world, bed = nfs()

    def body() -> None:
        world.volume()
        server, copies = bed.servers["primary"], bed.copies["primary"]
        connection = world.connect()
        session = server.log_in(Caller("host-b", "user-b"))
        stateid = copies.copy(session, LOST_COPY).stateid
        assert stateid is not None
        when: dict[str, Any] = {"at_ns": SECOND} if trigger == "instant" else {"on": "activity.started"}
        world.testbed.inject(Fault("server.restart", backend="primary", **when))
        with contextlib.suppress(ConnectionLost):  # which is what the event's own caller gets
            world.start(connection, "snapshot", source="volume", target="snapshot", scope=HandleScope.USER)
        world.runtime.sleep(2 * SECOND)
        (fault,), (restarted,) = world.recorder.find("fault"), world.recorder.find("nfs.restarted")
        at_ns = SECOND if trigger == "instant" else world.recorder.find("activity.started")[0].at_ns
        assert fault.fields == {"fault": "server.restart", "host": "", "backend": "primary"}
        assert fault.at_ns == restarted.at_ns == at_ns and restarted.fields["clients"] == 2
        with pytest.raises(ConnectionLost):
            connection.status("any")
        with pytest.raises(NfsError, match="BADSESSION"):
            server.sequence(session)
        again = server.log_in(Caller("host-b", "user-b"))
        with pytest.raises(NfsError, match="BAD_STATEID"):
            copies.offload_status(again, stateid)
        assert world.primary.inspect().find("copy") is None and server.in_grace

    world.run(body)


@pytest.mark.parametrize(("cut", "ends_s"), [("partition", 31), ("caller.pause", 31), ("connection.half_open", 120)])
def test_a_caller_that_is_cut_off_hears_of_a_restart_later(cut: str, ends_s: int) -> None:
    """The server forgets all sessions at once; who can't be reached learns of it at the healing, or by the keep-alive,
    others at once, each by the call that is under way."""
    world, bed = nfs()
    failed_ns: dict[str, int] = {}

    def ask(host: str) -> None:
        connection = world.connect(host)
        world.runtime.sleep(3 * SECOND - 1000 - world.runtime.now())  # so that the restart falls into the call
        with pytest.raises(ConnectionLost):
            connection.status("any")
        failed_ns[host] = world.runtime.now()

    def body() -> None:
        world.store.create_volume("volume", 1)
        for host in ("host-a", "host-b"):
            world.runtime.spawn(host, functools.partial(ask, host))
        world.testbed.inject(Fault(cut, caller="host-a", for_ns=30 * SECOND, at_ns=SECOND))
        world.testbed.inject(Fault("server.restart", backend="primary", at_ns=3 * SECOND))
        world.runtime.sleep(30 * SECOND)
        assert list(failed_ns) == ["host-b"] and bed.servers["primary"].known() == 0
        world.runtime.sleep(100 * SECOND)
        broken = [(event.fields["host"], event.at_ns // SECOND) for event in world.recorder.find("connection.broken")]
        assert broken == [("host-b", 3), ("host-a", ends_s)] and list(failed_ns) == ["host-b", "host-a"]

    world.run(body)


@pytest.mark.parametrize("back", [("host-a", "host-b"), ("host-a",)])
def test_a_copy_waits_for_those_who_have_not_reclaimed(back: tuple[str, ...]) -> None:
    """A copy that is asked for after a restart begins soon after the last client is back, or at the end of grace."""
    world, bed = nfs()

    def body() -> None:
        world.volume()
        for host in ("host-a", "host-b"):
            world.connect(host)
        world.testbed.inject(Fault("server.restart", backend="primary", at_ns=10 * SECOND))
        world.runtime.sleep(11 * SECOND - world.runtime.now())
        connection = world.connect(back[0])
        handle = world.start(connection, "copy", source="volume", target="copy")
        world.runtime.sleep(20 * SECOND - world.runtime.now())
        assert bed.servers["primary"].in_grace and world.primary.inspect().find("copy") is None
        for host in back[1:]:
            world.connect(host)
        assert world.wait(connection, handle).state is ActivityState.DONE
        began_ns = world.recorder.find("activity.ended")[0].at_ns - world.testbed.profile.whole_copy_ns
        ended = world.recorder.find("nfs.grace_ended")
        if len(back) == 2:
            assert 20 * SECOND <= ended[0].at_ns <= began_ns <= 26 * SECOND
        else:
            assert ended == [] and 100 * SECOND <= began_ns <= 101 * SECOND

    world.run(body)


def test_a_backend_that_lost_its_power_takes_reclaims_first() -> None:
    """When an NFS backend is back its grace period begins; hosts' writes go on in it, new copies do not."""
    world, bed = nfs()

    def body() -> None:
        attachment = world.volume()
        world.connect("host-z")
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=30 * SECOND, at_ns=10 * SECOND))
        world.runtime.sleep(41 * SECOND - world.runtime.now())
        assert bed.servers["primary"].grace_left_ns == 89 * SECOND
        attachment.write(1, 11)
        assert world.store.image("volume") == {1: 11} and bed.servers["primary"].in_grace
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy")
        assert world.wait(connection, handle).state is ActivityState.DONE
        assert world.runtime.now() > 130 * SECOND
        (over,) = world.recorder.find("fault.over", fault="backend.restart", backend="primary")
        assert over.at_ns == 40 * SECOND

    world.run(body)


@pytest.mark.parametrize("trigger", ["instant", "event"])
def test_a_restarted_host_has_lost_its_connections(world: World, trigger: str) -> None:
    """A host that restarts finds its connections gone at once, every backend later; other hosts notice nothing."""

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        first, other = world.connect(), world.connect("host-b")
        when: dict[str, Any] = {"at_ns": SECOND} if trigger == "instant" else {"on": "activity.started"}
        world.testbed.inject(Fault("host.restart", caller="host-a", **when))
        wide = world.start(other, "copy", source="volume", target="copy", scope=HandleScope.USER)
        world.runtime.sleep(2 * SECOND)
        (fault,) = world.recorder.find("fault", fault="host.restart")
        assert (fault.fields["host"], fault.fields["connections"]) == ("host-a", 1)
        with pytest.raises(ConnectionLost):
            first.status(wide)
        assert other.status(wide).state in (ActivityState.RUNNING, ActivityState.DONE)
        assert world.primary.inspect().connections == 2
        attachment.write(1, 12)
        assert len(world.recorder.find("session.lost", reason="host.restart")) == 1
        world.runtime.sleep(world.testbed.profile.loss.detection_ns)
        assert world.primary.inspect().connections == 1

    world.run(body)


@pytest.mark.parametrize("backend", ["", "primary", "sibling"])
@pytest.mark.parametrize("place", ["detached", "moved"])
def test_a_restarted_host_has_lost_all_its_sessions(world: World, place: str, backend: str) -> None:
    """Those too that no attached volume uses at that moment, at the backends that the fault names, and no others."""

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        world.sibling.store.create_volume("other", 1)
        world.sibling.attach("other", "host-a")
        world.primary.attach("volume", "host-b")
        if place == "detached":
            attachment.detach()
        else:
            connection = world.connect("host-b")
            job = {"source": "volume", "destination": "sibling", "scope": HandleScope.USER}
            world.wait(connection, world.start(connection, "move", **job))
        world.testbed.inject(Fault("host.restart", caller="host-a", backend=backend))
        world.runtime.sleep(60 * SECOND)
        for kind in ("session.lost", "session.restored"):
            hit = [(event.fields["host"], event.fields["backend"]) for event in world.recorder.find(kind)]
            assert hit == [("host-a", each) for each in ("primary", "sibling") if backend in ("", each)]

    world.run(body)


def test_a_restarted_nfs_host_is_another_instance_of_its_client() -> None:
    """The host comes back with a new verifier: what its old client held is released as soon as the new is confirmed."""
    world, _ = nfs(native_copy_scope=True)

    def body() -> None:
        world.store.create_volume("volume", 100)
        first = world.connect()
        handle = world.start(first, "copy", source="volume", target="copy")
        world.testbed.inject(Fault("host.restart", caller="host-a", at_ns=5 * SECOND))
        world.runtime.sleep(6 * SECOND)
        assert world.recorder.find("nfs.client_released") == []
        again = world.connect()
        (released,) = world.recorder.find("nfs.client_released")
        assert (released.fields["client"], released.fields["why"]) == ("host-a", "the client restarted")
        with pytest.raises(ActivityUnknown):
            again.status(handle)
        assert world.primary.inspect().find("copy") is None

    world.run(body)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("host.restart"), "host of its caller"),
        (Fault("server.restart"), "needs a backend"),
        (Fault("reservation.preempt", caller="host-a"), "can't make the fault"),
    ],
)
def test_restarts_say_what_they_lack(fault: Fault, says: str) -> None:
    """A restart of nobody is refused, as is what NFS does not know."""
    _, bed = nfs()
    with pytest.raises(ValueError, match=says):
        bed.inject(fault)
    bed.close()


def test_a_target_has_no_service_to_restart_alone() -> None:
    """The restart of the service is NFS's own; a target restarts with its backend."""
    world = World("iscsi-sim")
    with pytest.raises(ValueError, match=r"can't make the fault 'server.restart'"):
        world.testbed.inject(Fault("server.restart", backend="primary"))
    world.testbed.close()


@pytest.mark.parametrize("kind", ["server.restart", "backend.restart"])
@pytest.mark.parametrize("struck", ["primary", "sibling", "stranger"])
@pytest.mark.parametrize("live", [False, True])
def test_a_move_to_another_server_ends_with_either(struck: str, kind: str, live: bool) -> None:
    """It fails with a restart of the server that it comes from or goes to, the volume stays, and can be moved again."""
    world, _ = nfs()
    scope = HandleScope.SOURCE

    def move() -> str:
        connection = world.connect()
        return world.start(connection, "move", source="volume", destination="sibling", scope=scope, point_in_time=live)

    def body() -> None:
        image = world.fill(world.volume())
        handle = move()
        world.runtime.sleep(world.testbed.profile.whole_copy_ns // 2)
        assert world.sibling.inspect().find("volume") is not None
        fault = Fault(kind, backend=struck, at_ns=world.runtime.now(), for_ns=SECOND if "backend" in kind else 0)
        world.testbed.inject(fault)
        world.runtime.sleep(1)
        ended = world.recorder.find("activity.ended", handle=handle)
        if struck != "stranger":
            assert [event.fields["state"] for event in ended] == ["failed"] and struck in ended[0].fields["error"]
            assert world.sibling.inspect().objects == () and world.store.image("volume") == image
            world.runtime.sleep(2 * SECOND)
            handle = move()
        assert world.wait(world.connect(), handle).state is ActivityState.DONE
        assert world.sibling.store.image("volume") == image and world.primary.inspect().objects == ()
        world.testbed.inject(Fault(kind, backend="sibling", for_ns=SECOND if "backend" in kind else 0))
        assert world.wait(world.connect(), handle).state is ActivityState.DONE

    world.run(body)


@pytest.mark.parametrize("kind", ["server.restart", "backend.restart"])
@pytest.mark.parametrize("verb", ["replicate", "move"])
def test_a_restart_is_announced_to_the_servers_of_other_testbeds(verb: str, kind: str) -> None:
    """What goes from one testbed's server to another's in the same world ends with the restart of the other."""
    common = SimulatedWorld()
    here, there = (NfsTestbed(1, {}, common, {name: "alpha"}) for name in ("here", "there"))

    def body() -> None:
        here.backend("here").store.create_volume("volume", 1)
        connection = here.backend("here").connect(Caller("host-a", "user-a"))
        target = "copy" if verb == "replicate" else ""
        handle = connection.start(Job(verb, "volume", target, destination="there"), "request")
        here.runtime.sleep(here.profile.whole_copy_ns // 2)
        there.inject(Fault(kind, backend="there", for_ns=SECOND if "backend" in kind else 0))
        status = connection.status(handle)
        assert status.state is ActivityState.FAILED and "the server there restarted" in (status.error or "")
        assert there.backend("there").inspect().objects == ()

    here.runtime.run(body, Limits())
    here.close()


@pytest.mark.parametrize("of", [0, 1])
@pytest.mark.parametrize("asked", [0, 1])
def test_any_testbed_of_a_world_restarts_its_servers(asked: int, of: int) -> None:
    """Whichever of the testbeds is asked, the server of that name restarts, and no other."""
    common = SimulatedWorld()
    names = ("here", "there")
    beds = [NfsTestbed(1, {}, common, {name: "alpha"}) for name in names]

    def body() -> None:
        connections = [beds[0].backend(name).connect(Caller("host-a", "user-a")) for name in names]
        beds[asked].inject(Fault("server.restart", backend=names[of]))
        assert [one.is_open for one in connections] == [of != 0, of != 1]  # type: ignore[attr-defined]
        assert [event.fields["backend"] for event in common.recorder.find("nfs.restarted")] == [names[of]]

    common.clock.run(body, Limits())
    beds[0].close()


def test_a_target_beside_nfs_servers_has_no_service_to_restart_either() -> None:
    """A restart of the service of a backend of another protocol is refused, not planned."""
    common = SimulatedWorld()
    bed = NfsTestbed(1, {}, common, {"server": "alpha"})
    IscsiTestbed(1, {}, common, {"target": "beta"})
    with pytest.raises(ValueError, match=r"target can't meet server\.restart"):
        bed.inject(Fault("server.restart", backend="target", at_ns=SECOND))
    bed.close()
