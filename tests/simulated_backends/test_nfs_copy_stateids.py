"""Copy stateids: whose they are, how long they stand, OFFLOAD_STATUS, OFFLOAD_CANCEL and CB_OFFLOAD."""

from __future__ import annotations

import pytest
from nfs_world import Nfs

from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import CopyRequest
from simulated_backends.nfs.copies import OffloadStatus


def test_a_poll_counts_bytes_and_then_tells_the_outcome() -> None:
    """OFFLOAD_STATUS gives the bytes done, and, while nobody has replied to CB_OFFLOAD, the outcome."""
    world = Nfs()

    def body() -> None:
        expected = world.fill(world.volume())
        session = world.session()
        stateid = world.begin(session)
        world.runtime.sleep(world.whole_ns // 2)
        status = world.copies.offload_status(session, stateid)
        assert status.complete is None and status.count == pytest.approx(2**29, rel=0.01)
        world.runtime.sleep(world.whole_ns)
        assert world.copies.offload_status(session, stateid) == OffloadStatus(stateid, 2**30, "")
        assert world.store.image("copy") == expected

    world.run(body)


@pytest.mark.parametrize("cancels", [False, True])
def test_a_copy_that_is_over_is_returned_by_a_cancel(cancels: bool) -> None:
    """OFFLOAD_CANCEL of a copy that is over says so and ends its stateid, which stands until then; the copy stays."""
    world = Nfs()

    def body() -> None:
        world.volume()
        session = world.session()
        record = world.server.find(world.server.sequence(session).client_id)
        stateid = world.begin(session)
        world.runtime.sleep(2 * world.whole_ns)
        assert record is not None
        if cancels:
            world.refused("NFS4ERR_COMPLETE_ALREADY", lambda: world.copies.offload_cancel(session, stateid))
            world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_cancel(session, stateid))
            assert not record.stateids and world.copies.offloads() == ()
        else:
            world.runtime.sleep(2 * world.server.times.lease_ns)
            assert record.stateids == {stateid}
        assert [(o.id, o.complete) for o in world.primary.inspect().objects] == [("copy", True), ("volume", True)]

    world.run(body)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("replies", [False, True])
def test_the_reply_to_cb_offload_ends_the_stateid(replies: bool, fails: bool) -> None:
    """CB_OFFLOAD tells count and outcome once; the stateid ends with its reply and stands as long as there is none."""
    world = Nfs()
    told: list[OffloadStatus] = []

    def callback(status: OffloadStatus) -> bool:
        told.append(status)
        return replies

    def body() -> None:
        world.volume()
        session = world.session()
        stateid = world.begin(session, callback=callback)
        if fails:
            world.runtime.sleep(world.whole_ns // 2)
            (offload,) = world.copies.offloads()
            offload.fail("medium error")
        world.runtime.sleep(2 * world.whole_ns)
        (status,) = told
        assert status.complete == ("transfer-failed" if fails else "") and (status.count == 2**30) is not fails
        if replies:
            world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_status(session, stateid))
        else:
            assert world.copies.offload_status(session, stateid) == status

    world.run(body)


@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("loss", ["silent", "session destroyed", "partition"])
def test_cb_offload_waits_for_its_client(loss: str, returns: bool) -> None:
    """A client that can't be reached at the copy's end is told once it is back; until then, or until its state is
    released, the stateid stands."""
    world = Nfs()
    told: list[OffloadStatus] = []

    def callback(status: OffloadStatus) -> bool:
        told.append(status)
        return True

    def body() -> None:
        world.volume()
        connection = world.connect(user="alice")
        session = connection.identity.connection_id  # type: ignore[attr-defined]
        stateid, lease_ns = world.begin(session, callback=callback), world.server.times.lease_ns
        if loss == "partition":
            for_ns = lease_ns // 2 if returns else 2 * lease_ns
            world.testbed.inject(Fault("partition", caller="host-a", for_ns=for_ns))
        elif loss == "session destroyed":
            world.server.destroy_session(session)
        else:
            world.server.fell_silent(session)
        world.runtime.sleep(2 * world.whole_ns)
        (offload,) = world.copies.offloads()
        assert told == [] and (offload.stateid, offload.complete) == (stateid, "")
        if not returns:
            world.runtime.sleep(lease_ns)
        elif loss == "partition":
            world.runtime.sleep(lease_ns // 2)
        elif loss == "session destroyed":
            session = world.session()
        else:
            world.server.sequence(session)
        assert told == ([OffloadStatus(stateid, 2**30, "")] if returns else []) and world.copies.offloads() == ()
        if returns:
            world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_status(session, stateid))
            world.server.fell_silent(session)
            world.server.sequence(session)
            assert len(told) == 1

    world.run(body)


def test_a_stateid_belongs_to_a_client_and_a_user() -> None:
    """Another session of the same host and user reaches a copy, the first being gone; nobody else can tell it from an
    unknown one, nor cancel it."""
    world = Nfs()

    def body() -> None:
        world.volume()
        first, other = world.session(), world.session()
        stateid = world.begin(first)
        world.server.destroy_session(first)
        unknown = "0" * 24
        for host, user in (("host-a", "bob"), ("host-b", "alice"), ("host-b", "bob")):
            session = world.session(host, user)
            for operation in (world.copies.offload_status, world.copies.offload_cancel):
                texts = [
                    world.refused("NFS4ERR_BAD_STATEID", lambda o=operation, s=asked, i=session: o(i, s))  # type: ignore[misc]
                    for asked in (stateid, unknown)
                ]
                assert texts[0].replace(stateid, "*") == texts[1].replace(unknown, "*")
        assert world.copies.offload_status(other, stateid).complete is None
        world.runtime.sleep(2 * world.whole_ns)
        assert world.copies.offload_status(other, stateid).complete == ""

    world.run(body)


def test_a_cancelled_copy_writes_nothing_more() -> None:
    """OFFLOAD_CANCEL ends the copy and its stateid; nothing is left, and CB_OFFLOAD is not sent."""
    world = Nfs()
    told: list[OffloadStatus] = []

    def body() -> None:
        world.volume()
        session = world.session()
        stateid = world.begin(session, callback=lambda status: bool(told.append(status)))  # type: ignore[func-returns-value]
        world.runtime.sleep(world.whole_ns // 2)
        record = world.server.find(world.server.sequence(session).client_id)
        assert record is not None and record.stateids == {stateid}
        world.copies.offload_cancel(session, stateid)
        assert not world.is_there() and not record.stateids
        world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_status(session, stateid))
        world.runtime.sleep(2 * world.whole_ns)
        assert not world.is_there() and told == []

    world.run(body)


@pytest.mark.parametrize("loss", ["lease", "client restart", "server restart"])
def test_a_stateid_ends_with_its_client_or_the_server(loss: str) -> None:
    """When the client's lease expires, or client or server restart, the copy is stopped and its stateid unknown."""
    world = Nfs()

    def body() -> None:
        world.volume(size=200)
        session, stranger = world.session(), world.session("host-b")
        stateid, kept = world.begin(session), CopyRequest("volume", "kept", "volume", point_in_time=False)
        others = world.copies.copy(stranger, kept).stateid
        assert others is not None
        world.runtime.sleep(SECOND)
        if loss == "lease":
            world.server.fell_silent(session)
            world.runtime.sleep(world.server.times.lease_ns - 1)
            assert world.is_there()
            world.runtime.sleep(2)
        elif loss == "client restart":
            world.server.host_restarted("host-a")
            world.session()
        else:
            world.bed.restart_server("primary")
            stranger = world.session("host-b")
        assert not world.is_there()
        again = world.session()
        world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_status(again, stateid))
        if loss == "server restart":
            world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_status(stranger, others))
        else:
            assert world.copies.offload_status(stranger, others).complete is None
            assert [offload.stateid for offload in world.copies.offloads()] == [others]

    world.run(body)


def test_live_copies_keep_their_client_from_another_principal() -> None:
    """A running copy is state: its client is in use, though no session is left."""
    world = Nfs()

    def body() -> None:
        world.volume()
        session = world.session()
        record = world.server.find(world.server.sequence(session).client_id)
        assert record is not None and not record.stateids
        stateid = world.begin(session)
        world.server.destroy_session(session)
        assert record.has_state and record.stateids == {stateid}
        world.runtime.sleep(2 * world.whole_ns)
        session = world.session()
        assert world.server.find(world.server.sequence(session).client_id) is record
        assert world.copies.offload_status(session, stateid).complete == ""

    world.run(body)
