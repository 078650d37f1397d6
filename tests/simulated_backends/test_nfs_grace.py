"""The grace period of an NFS server: who may reclaim, how long restarts let it last, and what waits for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nfs_world import REQUEST, Nfs
from test_nfs_clients import LEASE, Desk, refused

from harness.activity import ActivityState, HandleScope
from harness.model import Caller
from harness.runtime import SECOND, Limits
from harness.schedule import Fault
from simulated_backends.nfs.clients import ClientOwner
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.world import SimulatedWorld


def test_grace_ends_once_everybody_has_reclaimed() -> None:
    """The last RECLAIM_COMPLETE of those who had state ends grace early; that of a stranger does not."""
    desk = Desk()
    owners = [ClientOwner(f"host-{letter}", 1, f"host/{letter}") for letter in "ab"]
    for owner in owners:
        desk.session(owner)
    idle = desk.session(ClientOwner("host-i", 1, "host/i"))
    desk.server.destroy_session(idle.id)
    desk.server.restart()
    first, second, stranger = (desk.session(owner) for owner in (*owners, ClientOwner("host-s", 1, "host/s")))
    desk.until(10)
    for session in (stranger, first):
        desk.server.reclaim_complete(session.id)
        refused("NFS4ERR_GRACE", lambda s=session: desk.server.open_file(s.id, "file"))  # type: ignore[misc]
    assert desk.server.in_grace and desk.server.grace_left_ns == LEASE - 10
    desk.server.reclaim_complete(second.id)
    assert not desk.server.in_grace and desk.server.grace_left_ns == 0
    desk.server.open_file(first.id, "file")
    assert [event.at_ns for event in desk.recorder.find("nfs.grace_ended")] == [10]


@pytest.mark.parametrize("came_back", [False, True])
def test_a_restart_within_grace_takes_no_claim_away(came_back: bool) -> None:
    """Who has not reclaimed when the server restarts again is waited for anew, and may reclaim then."""
    desk = Desk()
    desk.session()
    desk.server.restart()
    if came_back:
        desk.session()
    desk.until(LEASE - 1)
    desk.server.restart()
    assert [event.fields["clients"] for event in desk.recorder.find("nfs.restarted")] == [1, 1]
    stranger = desk.session(ClientOwner("host-b", 1, "host/b"))
    desk.server.reclaim_complete(stranger.id)
    refused("NFS4ERR_GRACE", lambda: desk.server.open_file(stranger.id, "file"))
    assert desk.server.grace_left_ns == LEASE
    again = desk.session()
    desk.server.open_file(again.id, "file", reclaim=True)
    desk.server.reclaim_complete(again.id)
    desk.server.open_file(stranger.id, "file")


def test_a_claim_ends_with_the_grace_period() -> None:
    """Who did not come back in a whole grace period is not waited for after the next restart."""
    desk = Desk()
    desk.session()
    desk.server.restart()
    desk.until(LEASE)
    desk.server.restart()
    assert not desk.server.in_grace
    again = desk.session()
    refused("NFS4ERR_NO_GRACE", lambda: desk.server.open_file(again.id, "file", reclaim=True))


def test_a_server_that_nobody_held_state_of_needs_no_grace() -> None:
    """After a restart without clients that could reclaim anything new state is taken at once."""
    desk = Desk()
    desk.server.restart()
    assert not desk.server.in_grace and desk.recorder.find("nfs.restarted")[0].fields["grace_ns"] == 0
    session = desk.session()
    desk.server.reclaim_complete(session.id)
    desk.server.open_file(session.id, "file")
    assert desk.recorder.find("nfs.grace_ended") == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2 * LEASE), st.integers(0, 2 * LEASE)), min_size=1, max_size=5))
def test_grace_lasts_from_when_the_server_is_back(restarts: list[tuple[int, int]]) -> None:
    """However restarts and power losses fall upon each other, it is there whole once the last of them is over."""
    desk = Desk()
    now = back = 0
    for wait, after in restarts:
        now += wait
        desk.until(now)
        if now >= back:
            desk.session()
        desk.server.restart(after)
        back = max(back, now + after)
        assert desk.server.grace_left_ns == back + LEASE - now
    desk.until(back + LEASE - 1)
    desk.server.open_file(desk.session().id, "file", reclaim=True)


@pytest.mark.parametrize("second", ["server.restart", "backend.restart"])
def test_a_restart_without_power_does_not_shorten_the_grace(second: str) -> None:
    """It is there whole when the power is back, though the server restarts, or loses it for less time, meanwhile."""
    world = Nfs()

    def body() -> None:
        world.session()
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=100 * SECOND))
        world.runtime.sleep(SECOND)
        world.testbed.inject(Fault(second, backend="primary", for_ns=10 * SECOND if "backend" in second else 0))
        world.runtime.sleep(99 * SECOND)
        assert world.server.grace_left_ns == world.server.times.grace_ns

    world.run(body)


def restart(world: Nfs, backend: str) -> None:
    """Let a server restart that waits for a client which does not come back."""
    world.testbed.backend(backend).connect(Caller("host-z", "user-z"))
    world.testbed.inject(Fault("server.restart", backend=backend))


@pytest.mark.parametrize("synchronous", [False, True])
def test_a_copy_to_another_server_is_refused_in_its_grace(synchronous: bool) -> None:
    """COPY gets NFS4ERR_GRACE while the destination takes only reclaims, nothing is begun there, and a copy that stays
    here is made; COPY works once the grace is over."""
    world = Nfs(synchronous_copy_bytes=2**30)

    def copy() -> None:
        world.copies.copy(world.session(), REQUEST, world.sibling.store, synchronous=synchronous)

    def body() -> None:
        world.volume()
        restart(world, "sibling")
        assert world.refused("NFS4ERR_GRACE", copy).startswith("NFS4ERR_GRACE: sibling takes only reclaims")
        assert world.sibling.inspect().objects == () and world.copies.offloads() == ()
        world.begin(world.session())
        world.runtime.sleep(world.server.times.grace_ns)
        copy()
        world.runtime.sleep(2 * world.whole_ns)
        assert [(o.id, o.complete) for o in world.sibling.inspect().objects] == [("copy", True)]

    world.run(body)


@pytest.mark.parametrize("in_grace", [(), ("primary",), ("sibling",), ("primary", "sibling"), ("stranger",)])
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("verb", ["replicate", "move"])
def test_what_goes_to_another_server_waits_for_the_grace_of_both(
    verb: str, native: bool, in_grace: tuple[str, ...]
) -> None:
    """It begins once neither server takes only reclaims, and can be aborted before; a third server is no part of it."""
    world = Nfs(native_copy_scope=native)

    def body() -> None:
        world.volume()
        world.primary.store.create_volume("other", 1)
        for number, backend in enumerate(in_grace):
            world.runtime.sleep(number * 10 * SECOND)
            restart(world, backend)
        restarted_ns = world.runtime.now()
        connection = world.connect()
        handles = [
            world.start(connection, verb, source=name, target=name, destination="sibling")
            for name in ("volume", "other")
        ]
        connection.abort(handles[1])
        assert connection.status(handles[1]).state is ActivityState.ABORTED
        assert world.wait(connection, handles[0]).state is ActivityState.DONE
        ended = world.recorder.find("activity.ended", handle=handles[0])[0].at_ns - restarted_ns
        waited_ns = world.server.times.grace_ns if {"primary", "sibling"} & {*in_grace} else 0
        assert waited_ns + world.whole_ns <= ended < waited_ns + world.whole_ns + SECOND
        assert [o.id for o in world.sibling.inspect().objects] == ["volume"]

    world.run(body)


def test_what_no_server_can_do_waits_for_no_grace() -> None:
    """A replication to a server of another family is refused at once though that server takes only reclaims."""
    world = Nfs()

    def body() -> None:
        world.volume()
        restart(world, "stranger")
        connection, asked_ns = world.connect(), world.runtime.now()
        handle = world.start(connection, "replicate", source="volume", target="copy", destination="stranger")
        assert world.wait(connection, handle).error_code == "unsupported"
        assert world.runtime.now() - asked_ns < SECOND

    world.run(body)


def test_a_copy_waits_for_the_grace_of_another_testbeds_server() -> None:
    """Whose testbed of a world the destination is makes no difference."""
    common = SimulatedWorld()
    here, _ = (NfsTestbed(1, {}, common, {name: "alpha"}) for name in ("here", "there"))

    def body() -> None:
        here.backend("here").store.create_volume("volume", 1)
        here.backend("there").connect(Caller("host-z", "user-z"))
        here.inject(Fault("server.restart", backend="there"))
        session = here.servers["here"].log_in(Caller("host-a", "user-a"))
        with pytest.raises(NfsError, match="NFS4ERR_GRACE: there"):
            here.copies["here"].copy(session, REQUEST, here.backend("there").store)

    common.clock.run(body, Limits())
    here.close()


@pytest.mark.parametrize("again", ["primary", "sibling"])
@pytest.mark.parametrize("verb", ["replicate", "move"])
def test_a_job_that_waits_for_grace_waits_through_another_restart(verb: str, again: str) -> None:
    """It moves nothing yet that a restart of either server could break, and begins once the new grace is over too."""
    world = Nfs()

    def body() -> None:
        world.volume()
        restart(world, "primary")
        job = {"source": "volume", "target": "volume", "destination": "sibling"}
        handle = world.start(world.connect(), verb, scope=HandleScope.USER, **job)
        world.runtime.sleep(2 * SECOND)
        restart(world, again)
        restarted_ns = world.runtime.now()
        world.runtime.sleep(world.server.times.grace_ns + 2 * world.whole_ns)
        (ended,) = world.recorder.find("activity.ended", handle=handle)
        assert ended.fields["state"] == "done"
        waited_ns = world.server.times.grace_ns + world.whole_ns
        assert waited_ns <= ended.at_ns - restarted_ns < waited_ns + SECOND

    world.run(body)
