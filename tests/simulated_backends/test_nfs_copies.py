"""Server-side copy: the forms of COPY and CLONE, between servers too, restarts, grace, and the order of a copy."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from nfs_world import REQUEST, Nfs
from worlds import SPREAD

from harness.activity import ActivityState, HandleScope
from harness.runtime import SECOND, Abandoned
from harness.schedule import Fault
from harness.storage import CopyRequest, ObjectUnknown, PoolFull, TransferFailed
from simulated_backends.nfs.copies import OffloadNoReqs, OffloadStatus, scattered


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
@pytest.mark.parametrize("crashes", [False, True])
def test_a_restart_ends_operations_under_way(crashes: bool, form: str, kind: str) -> None:
    """A synchronous COPY or a CLONE raises when the server restarts, alone or with its machine; its target is gone,
    though nobody is left who asked for it."""
    world = Nfs(synchronous_copy_bytes=2**30)

    def body() -> None:
        world.volume()

        def operate() -> None:
            session = world.connect().identity.connection_id
            if form == "COPY":
                world.copies.copy(session, REQUEST, synchronous=True)
            else:
                world.copies.clone(session, REQUEST)

        task = world.runtime.spawn(form, operate)
        world.runtime.sleep(world.whole_ns // 4)
        if crashes:
            world.testbed.inject(Fault("caller.crash", caller="host-a"))
        world.runtime.sleep(world.whole_ns // 4)
        assert world.is_there()
        world.testbed.inject(Fault(kind, backend="primary", at_ns=world.runtime.now()))
        world.runtime.sleep(1)
        with pytest.raises(Abandoned if crashes else TransferFailed):
            task.wait()
        assert not world.is_there()

    world.run(body)


@pytest.mark.parametrize("form", ["COPY", "CLONE"])
def test_an_operation_goes_on_without_its_caller(form: str) -> None:
    """What the server has begun it carries out, whatever becomes of who asked for it; no later restart touches it."""
    world = Nfs(synchronous_copy_bytes=2**30)

    def body() -> None:
        expected = world.fill(world.volume())
        operate = functools.partial(world.copies.copy, synchronous=True) if form == "COPY" else world.copies.clone
        world.runtime.spawn(form, lambda: operate(world.connect().identity.connection_id, REQUEST))
        world.runtime.sleep(world.whole_ns // 4)
        world.testbed.inject(Fault("caller.crash", caller="host-a"))
        world.runtime.sleep(world.whole_ns)
        world.testbed.inject(Fault("server.restart", backend="primary"))
        world.runtime.sleep(SECOND)
        assert world.store.image("copy") == expected

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
