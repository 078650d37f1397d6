"""Server-side copy: COPY, OFFLOAD_STATUS, OFFLOAD_CANCEL, CB_OFFLOAD and CLONE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worlds import SPREAD, World

from harness.activity import ActivityState, HandleScope
from harness.model import Caller
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import CopyRequest, ObjectUnknown, PoolFull, TransferFailed
from simulated_backends.nfs.copies import CopyService, OffloadNoReqs, OffloadStatus, scattered
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.server import NfsServer
from simulated_backends.nfs.testbed import NfsTestbed

REQUEST = CopyRequest("volume", "copy", "volume", point_in_time=False)


class Nfs(World):
    """An NFS testbed, with the primary server's own ports."""

    def __init__(self, seed: int = 1, **options: object) -> None:
        super().__init__("nfs-sim", seed, **options)
        assert isinstance(self.testbed, NfsTestbed)
        self.bed = self.testbed
        self.server: NfsServer = self.bed.servers["primary"]
        self.copies: CopyService = self.bed.copies["primary"]
        self.whole_ns = self.testbed.profile.whole_copy_ns

    def session(self, host: str = "host-a", user: str = "alice") -> str:
        """A session of a host's client."""
        return self.server.log_in(Caller(host, user))

    def begin(self, session: str, **arguments: object) -> str:
        """An asynchronous COPY of `volume`; its stateid."""
        stateid = self.copies.copy(session, REQUEST, **arguments).stateid  # type: ignore[arg-type]
        assert stateid is not None
        return stateid

    def refused(self, status: str, operation: Callable[[], object]) -> str:
        """Assert that an operation fails with that status; returns the message."""
        with pytest.raises(NfsError) as caught:
            operation()
        assert caught.value.status == status
        return str(caught.value)

    def is_there(self) -> bool:
        """Whether the copy's target exists, whole or not."""
        return self.primary.inspect().find("copy") is not None


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


def test_forms_of_copy_that_the_server_lacks_are_refused() -> None:
    """A synchronous copy above the limit, or a consecutive one, gets NFS4ERR_OFFLOAD_NO_REQS and what is possible."""
    world = Nfs()

    def body() -> None:
        world.volume()
        session = world.session()
        for synchronous, consecutive in ((True, False), (False, True), (True, True)):
            with pytest.raises(OffloadNoReqs) as caught:
                world.copies.copy(session, REQUEST, synchronous=synchronous, consecutive=consecutive)
            assert (caught.value.synchronous, caught.value.consecutive) == (False, False)
            assert caught.value.status == "NFS4ERR_OFFLOAD_NO_REQS" and not world.is_there()

    world.run(body)


def test_forms_of_copy_that_the_server_has_are_made() -> None:
    """Within its limit a copy is synchronous: it is whole when COPY returns, and has no stateid."""
    world = Nfs(synchronous_copy_bytes=2**30, consecutive_copies=True)

    def body() -> None:
        expected = world.fill(world.volume())
        session, began = world.session(), world.runtime.now()
        reply = world.copies.copy(session, REQUEST, synchronous=True, consecutive=True)
        assert (reply.stateid, reply.count) == (None, 2**30)
        assert world.store.image("copy") == expected and world.runtime.now() - began >= world.whole_ns
        with pytest.raises(ObjectUnknown):
            world.copies.copy(session, CopyRequest("nothing", "copy", "volume", False))

    world.run(body)


def test_a_clone_is_one_instant_of_its_source() -> None:
    """CLONE of a volume under load shows it as it stood, while COPY of the same tears."""
    world = Nfs()

    def body() -> None:
        attachment = world.volume()
        world.fill(attachment)
        load = world.busy(attachment)
        world.runtime.sleep(SECOND // 10)
        session = world.session()
        world.copies.clone(session, CopyRequest("volume", "clone", "volume", point_in_time=False))
        world.begin(session)
        world.runtime.sleep(2 * world.whole_ns)
        load.stop()
        assert not world.is_torn(dict(world.store.image("clone")))
        assert world.is_torn(dict(world.store.image("copy")))

    world.run(body)


def test_a_clone_is_whole_or_not_there() -> None:
    """A CLONE that fails leaves nothing; one to another server is refused."""
    world = Nfs(pool_bytes=3 * 2**30)

    def body() -> None:
        world.volume()
        session = world.session()
        world.refused("NFS4ERR_XDEV", lambda: world.copies.clone(session, REQUEST, world.sibling.store))

        def clone() -> None:
            world.copies.clone(session, REQUEST)

        task = world.runtime.spawn("clone", clone)
        world.runtime.sleep(world.whole_ns // 2)
        found = world.primary.inspect().find("copy")
        assert found is not None and not found.complete
        with pytest.raises(PoolFull):
            world.copies.clone(session, CopyRequest("volume", "large", "volume", False, size=9))
        task.wait()
        assert [(o.id, o.complete) for o in world.primary.inspect().objects] == [("copy", True), ("volume", True)]

    world.run(body)


@pytest.mark.parametrize("kind", ["server.restart", "backend.restart"])
@pytest.mark.parametrize("form", ["COPY", "CLONE"])
def test_a_restart_ends_operations_under_way(form: str, kind: str) -> None:
    """A synchronous COPY or a CLONE raises when the server restarts, alone or with its machine; its target is gone."""
    world = Nfs(synchronous_copy_bytes=2**30)

    def body() -> None:
        world.volume()
        session = world.session()

        def operate() -> None:
            if form == "COPY":
                world.copies.copy(session, REQUEST, synchronous=True)
            else:
                world.copies.clone(session, REQUEST)

        task = world.runtime.spawn(form, operate)
        world.runtime.sleep(world.whole_ns // 2)
        world.testbed.inject(Fault(kind, backend="primary", at_ns=world.runtime.now()))
        with pytest.raises(TransferFailed):
            task.wait()
        assert not world.is_there()

    world.run(body)


@pytest.mark.parametrize("kind", ["server.restart", "backend.restart"])
@pytest.mark.parametrize("struck", ["primary", "sibling", "stranger"])
def test_a_copy_to_another_server_ends_with_either(struck: str, kind: str) -> None:
    """A COPY between servers, in the foreground or not, or of a job, fails with a restart of the one that reads or of
    the one that writes, nothing of it is left, and its stateid is unknown; a third server is no part of it."""
    world = Nfs(synchronous_copy_bytes=2**30)
    told: list[OffloadStatus] = []

    def copy(target: str, **form: Any) -> str | None:
        request = CopyRequest("volume", target, "volume", point_in_time=False)
        return world.copies.copy(session(), request, world.sibling.store, **form).stateid

    def session() -> str:
        return world.session("host-b")

    def body() -> None:
        world.volume()
        stateid = copy("asynchronous", callback=lambda status: bool(told.append(status)))  # type: ignore[func-returns-value]
        task = world.runtime.spawn("COPY", lambda: copy("synchronous", synchronous=True))
        handle = world.start(
            world.connect(), "replicate", source="volume", target="job", destination="sibling", scope=HandleScope.USER
        )
        world.runtime.sleep(world.whole_ns // 2)
        assert len(world.sibling.inspect().objects) == 3 and stateid is not None
        fault = Fault(kind, backend=struck, at_ns=world.runtime.now(), for_ns=SECOND if "backend" in kind else 0)
        world.testbed.inject(fault)
        if struck == "stranger":
            task.wait()
            assert world.wait(world.connect(), handle).state is ActivityState.DONE
            assert world.copies.offload_status(session(), stateid).complete == "" and len(told) == 1
            return
        with pytest.raises(TransferFailed):
            task.wait()
        world.runtime.sleep(5 * world.whole_ns)
        assert world.sibling.inspect().objects == () and told == [] and world.copies.offloads() == ()
        status = world.connect().status(handle)
        assert status.state is ActivityState.FAILED and struck in (status.error or "")
        world.refused("NFS4ERR_BAD_STATEID", lambda: world.copies.offload_status(session(), stateid))

    world.run(body)


def test_new_copies_wait_for_the_end_of_grace() -> None:
    """COPY and CLONE get NFS4ERR_GRACE after a restart, and work once the grace period is over."""
    world = Nfs()

    def body() -> None:
        world.volume()
        world.session("host-z")  # whom the server waits for
        world.bed.restart_server("primary")
        session = world.session()
        world.refused("NFS4ERR_GRACE", lambda: world.begin(session))
        world.refused("NFS4ERR_GRACE", lambda: world.copies.clone(session, REQUEST))
        assert not world.is_there()
        world.runtime.sleep(world.server.times.grace_ns)
        world.copies.clone(session, REQUEST)

    world.run(body)


def test_the_order_of_a_copy_varies() -> None:
    """A copy takes every block once, in an order of pieces that differs between seeds and targets and repeats."""
    blocks = 2**18
    sample = [*range(0, blocks, 977), blocks - 1]

    def ranks(seed: int, target: str) -> list[int]:
        rank = scattered(seed, "primary")(target, blocks)
        return [rank(block) for block in sample]

    assert ranks(1, "a") == ranks(1, "a")
    assert ranks(1, "a") != ranks(2, "a") and ranks(1, "a") != ranks(1, "b")
    assert ranks(1, "a") != sorted(ranks(1, "a"))
    for odd in (1, 63, 64, 1000):
        rank = scattered(1, "primary")("a", odd)
        assert sorted(rank(block) for block in range(odd)) == list(range(odd))


def shown(seed: int, **options: object) -> list[int]:
    """The places in SPREAD whose change half-way through a copy the copy shows."""
    world = Nfs(seed, **options)

    def body() -> list[int]:
        attachment = world.volume()
        before = world.fill(attachment)
        world.begin(world.session())
        world.runtime.sleep(world.whole_ns // 2)
        world.fill(attachment)
        world.runtime.sleep(2 * world.whole_ns)
        image = world.store.image("copy")
        return [place for place, block in enumerate(SPREAD) if image[block] != before[block]]

    return world.run(body)


def test_a_torn_copy_shows_changes_anywhere() -> None:
    """What a copy shows of changes under way is scattered by the seed; consecutive copies show those at the end."""
    tail = shown(1, consecutive_copies=True)
    assert tail == list(range(tail[0], len(SPREAD))) and 20 < len(tail) < 44
    first, second = shown(1), shown(2)
    assert first != second and 20 < len(first) < 44
    for mix in (first, second):
        assert mix != list(range(mix[0], len(SPREAD)))
