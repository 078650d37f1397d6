"""Jobs on an NFS server: what becomes of them with leases, courtesy, restarts, and the native scope."""

from __future__ import annotations

import pytest
from worlds import World

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityUnknown
from harness.model import BackupChunk, Caller
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.stamps import block_bytes
from harness.storage import BLOCK
from harness.testbed import Connection, Job
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.profiles import ProfileError

HOUR = 3600 * SECOND


class NfsJobs(World):
    """An NFS testbed with jobs that take long."""

    def __init__(self, **options: object) -> None:
        super().__init__("nfs-sim", **options)
        assert isinstance(self.testbed, NfsTestbed)
        self.bed = self.testbed
        self.lease_ns = self.bed.servers["primary"].times.lease_ns

    def long_copy(
        self, connection: Connection, scope: HandleScope = HandleScope.CONNECTION, target: str = "copy"
    ) -> str:
        """Start a copy of 200 GiB, which takes several minutes."""
        if self.primary.inspect().find("volume") is None:
            self.volume(size=200)
        return self.start(connection, "copy", source="volume", target=target, scope=scope)

    def lose(self, host: str = "host-a") -> None:
        """Break the connections of a host."""
        self.testbed.inject(Fault("connection.break", caller=host))

    def states(self) -> list[str]:
        """The states of all activities of the server."""
        return [view.state for view in self.primary.inspect().activities]

    def reaches(self, connection: Connection, handle: str) -> bool:
        """Whether a caller's look-up works."""
        try:
            connection.status(handle)
        except ActivityUnknown:
            return False
        return True


def test_a_connection_specific_job_ends_though_its_client_returns() -> None:
    """A job that hangs on its session is stopped when that has been silent for a lease, whatever else its host does."""
    world = NfsJobs()

    def body() -> None:
        world.long_copy(world.connect())
        world.lose()
        world.connect()
        world.runtime.sleep(world.lease_ns)
        assert world.states() == ["running"]
        world.runtime.sleep(world.testbed.profile.loss.abort_latency_ns + 1)
        assert world.states() == [] and world.primary.inspect().find("copy") is None

    world.run(body)


@pytest.mark.parametrize("scope", [HandleScope.SOURCE, HandleScope.USER, HandleScope.UNRESTRICTED])
def test_the_job_service_outlives_its_callers(scope: HandleScope) -> None:
    """A job of a wider scope goes on and stays in reach though its caller's lease has expired."""
    world = NfsJobs()

    def body() -> None:
        handle = world.long_copy(world.connect(), scope)
        world.lose()
        world.runtime.sleep(2 * world.lease_ns)
        again = world.connect()
        assert again.status(handle).state is ActivityState.RUNNING
        assert world.wait(again, handle).state is ActivityState.DONE

    world.run(body)


@pytest.mark.parametrize("native", [False, True])
def test_courtesy_belongs_to_the_bound(native: bool) -> None:
    """With courtesy clients a lost job may run on until the courtesy's end, which the loss policy's bound counts in."""
    world = NfsJobs(courtesy_ns=100 * SECOND, native_copy_scope=native)

    def body() -> None:
        world.long_copy(world.connect())
        policy, lost_ns = world.testbed.profile.loss, world.runtime.now()
        assert (policy.detection_ns, policy.time2retain_ns) == (world.lease_ns, 100 * SECOND)
        world.lose()
        world.runtime.sleep(world.lease_ns + 99 * SECOND)
        assert world.states() == ["running"]
        world.runtime.sleep(policy.bound_ns(0) - (world.runtime.now() - lost_ns) + 1)
        (ended,) = world.recorder.find("activity.ended")
        assert ended.fields["state"] == "aborted" and ended.at_ns - lost_ns <= policy.bound_ns(0)
        assert world.primary.inspect().find("copy") is None

    world.run(body)


@pytest.mark.parametrize("native", [False, True])
def test_a_conflict_ends_a_courtesy(native: bool) -> None:
    """Who needs the target of a courtesy client's copy gets it: the client's state is released, its copy stopped."""
    world = NfsJobs(courtesy_ns=HOUR, native_copy_scope=native)

    def body() -> None:
        world.long_copy(world.connect())
        world.lose()
        world.runtime.sleep(world.lease_ns + SECOND)
        other = world.connect("host-b")
        world.long_copy(other, target="elsewhere")
        assert world.states() == ["running", "running"] and not world.recorder.find("nfs.client_released")
        world.long_copy(other)
        (released,) = world.recorder.find("nfs.client_released")
        assert released.fields["client"] == "host-a"
        world.runtime.sleep(SECOND)
        assert world.states() == ["running", "running"]
        (ended,) = world.recorder.find("activity.ended")
        assert (ended.fields["target"], ended.fields["state"]) == ("copy", "aborted")

    world.run(body)


def test_a_client_within_its_lease_is_not_disturbed() -> None:
    """A job that needs what a client within its lease holds fails; the client's copy goes on."""
    world = NfsJobs(courtesy_ns=HOUR, native_copy_scope=True)

    def body() -> None:
        world.long_copy(world.connect())
        world.lose()
        world.runtime.sleep(world.lease_ns - SECOND)
        other = world.connect("host-b")
        assert world.wait(other, world.long_copy(other)).error_code == "exists"
        assert world.states()[0] == "running"

    world.run(body)


def test_native_copies_are_their_clients() -> None:
    """With the native scope each copy works for the same host and user only; other jobs keep the scope asked for."""
    world = NfsJobs(native_copy_scope=True)
    callers = [(host, user) for host in ("host-a", "host-b") for user in ("user-a", "user-b")]

    def body() -> None:
        for scope in HandleScope:
            first = world.connect()
            handle = world.long_copy(first, scope, target=f"copy {scope}")
            first.close()
            reached = [who for who in callers if world.reaches(world.connect(*who), handle)]
            assert reached == [("host-a", "user-a")]
            owner = world.bed.copies["primary"].offloads()[-1].owner
            assert owner == world.bed.servers["primary"].owner_of(first.identity.connection_id)  # type: ignore[attr-defined]
            write = world.start(world.connect(), "create_volume", target=f"new {scope}", size=1, scope=scope)
            assert world.reaches(world.connect("host-b", "user-b"), write) is (scope is HandleScope.UNRESTRICTED)

    world.run(body)


def test_a_native_request_is_found_again_by_its_client_only() -> None:
    """The same request id gives the same handle to the same host and user, and a refusal of its own to others."""
    world = NfsJobs(native_copy_scope=True)

    def body() -> None:
        world.volume(size=200)
        job = Job("copy", source="volume", target="copy", scope=HandleScope.UNRESTRICTED)
        handle = world.connect().start(job, "request")
        assert world.connect().start(job, "request") == handle
        other = world.connect("host-b")
        assert world.wait(other, other.start(job, "request")).error_code == "exists"

    world.run(body)


@pytest.mark.parametrize("event", ["lease", "client restart"])
def test_native_copies_end_with_their_client(event: str) -> None:
    """When the client's state is released its copies stop, running or not their handles are unknown from then on."""
    world = NfsJobs(native_copy_scope=True)

    def body() -> None:
        world.volume("small")
        first = world.connect()
        running = world.long_copy(first, HandleScope.UNRESTRICTED)
        over = world.start(first, "copy", source="small", target="done", scope=HandleScope.UNRESTRICTED)
        assert world.wait(first, over).state is ActivityState.DONE
        if event == "lease":
            world.lose()
            world.runtime.sleep(world.lease_ns + 1)
        else:
            world.bed.servers["primary"].host_restarted("host-a")
            world.connect()
            world.runtime.sleep(1)
        again = world.connect()
        assert not world.reaches(again, running) and not world.reaches(again, over) and world.states() == []
        objects = world.primary.inspect().objects
        assert [(o.id, o.complete) for o in objects] == [("done", True), ("small", True), ("volume", True)]

    world.run(body)


def test_a_native_copy_lives_as_long_as_its_client_is_heard() -> None:
    """While some session of the host renews the lease, a copy whose connection broke goes on and keeps its outcome."""
    world = NfsJobs(native_copy_scope=True)

    def body() -> None:
        handle = world.long_copy(world.connect(), HandleScope.SOURCE)
        world.lose()
        again = world.connect()
        world.runtime.sleep(2 * world.lease_ns)
        assert world.wait(again, handle).state is ActivityState.DONE
        world.runtime.sleep(world.testbed.profile.retention_ns - SECOND)
        assert again.status(handle).state is ActivityState.DONE

    world.run(body)


@pytest.mark.parametrize("reset_after_s", [None, 0, 1, 80])
def test_a_reset_that_the_client_can_not_hear_of_renews_no_lease(reset_after_s: int | None) -> None:
    """A native copy ends a lease after its client was last heard, whenever the server's end drops the connection."""
    world = NfsJobs(native_copy_scope=True)

    def body() -> None:
        world.long_copy(world.connect())
        silent_ns = world.runtime.now()
        world.testbed.inject(Fault("partition", caller="host-a", for_ns=HOUR))
        if reset_after_s is not None:
            at_ns = silent_ns + reset_after_s * SECOND
            world.testbed.inject(Fault("connection.reset", caller="host-a", at_ns=at_ns))
        world.runtime.sleep(2 * world.lease_ns)
        (released,) = world.recorder.find("nfs.client_released")
        (ended,) = world.recorder.find("activity.ended")
        assert released.at_ns == ended.at_ns == silent_ns + world.lease_ns

    world.run(body)


@pytest.mark.parametrize("verb", ["move", "snapshot", "revert"])
def test_a_restart_fails_whatever_moves_bytes(verb: str) -> None:
    """A move, a snapshot or a revert under way fails at a restart of its server, and what it began is gone."""
    world = NfsJobs(snapshots_depend_on_volume=False)

    def body() -> None:
        world.volume()
        first = world.connect()
        world.wait(first, world.start(first, "snapshot", source="volume", target="before"))
        before = world.primary.inspect().objects
        handle = world.start(
            first,
            verb,
            source="volume",
            target={"move": "", "snapshot": "new", "revert": "before"}[verb],
            destination="sibling",
            scope=HandleScope.SOURCE,
        )
        world.runtime.sleep(world.testbed.profile.whole_copy_ns // 2)
        assert first.status(handle).state is ActivityState.RUNNING
        world.bed.restart_server("primary")
        world.runtime.sleep(1)
        status = world.connect().status(handle)
        assert status.state is ActivityState.FAILED and "restarted" in (status.error or "")
        assert world.primary.inspect().objects == before and world.sibling.inspect().objects == ()

    world.run(body)


def test_a_restart_fails_a_restore() -> None:
    """A restore under way fails at a restart of its server as well, and writes nothing more."""
    world = NfsJobs()

    def body() -> None:
        world.store.create_volume("volume", 1)
        data = block_bytes(0, 1) * 64
        chunks = tuple(BackupChunk(offset, len(data), "none", data) for offset in range(0, 1 << 26, len(data)))
        handle = world.start(world.connect(), "write", target="volume", chunks=chunks, scope=HandleScope.SOURCE)
        world.runtime.sleep(SECOND // 20)
        assert world.states() == ["running"]
        written = dict(world.store.image("volume"))
        world.bed.restart_server("primary")
        assert world.states() == ["failed"]
        status = world.connect().status(handle)
        assert status.state is ActivityState.FAILED and "restarted" in (status.error or "")
        world.runtime.sleep(10 * SECOND)
        assert 0 < len(written) < (1 << 26) // BLOCK and world.store.image("volume") == written
        world.start(world.connect(), "write", target="volume", chunks=chunks, scope=HandleScope.SOURCE)
        world.runtime.sleep(10 * SECOND)
        assert world.states() == ["failed", "done"] and len(world.store.image("volume")) == (1 << 26) // BLOCK

    world.run(body)


def test_a_copy_that_waits_for_grace_ends_with_its_client() -> None:
    """A native copy that waits for the end of grace is given up when its client's state is released."""
    world = NfsJobs(native_copy_scope=True)

    def body() -> None:
        world.volume()
        world.connect("host-z")  # whom the server waits for
        world.bed.restart_server("primary")
        world.start(world.connect(), "copy", source="volume", target="copy")
        world.runtime.sleep(30 * SECOND)
        assert world.states() == ["running"] and world.primary.inspect().find("copy") is None
        world.bed.servers["primary"].host_restarted("host-a")
        world.connect()
        world.runtime.sleep(1)
        assert world.states() == []
        assert [e.fields["state"] for e in world.recorder.find("activity.ended")] == ["aborted"]

    world.run(body)


def test_a_job_that_waits_for_a_conflict_ends_with_its_connection() -> None:
    """A connection-specific job that waits for the end of a conflict does not outlive a connection closed meanwhile."""
    world = NfsJobs(courtesy_ns=HOUR)

    def body() -> None:
        world.long_copy(world.connect())
        world.lose()
        world.runtime.sleep(world.lease_ns + SECOND)
        other = world.connect("host-b")
        world.runtime.spawn("start", lambda: world.long_copy(other))
        world.runtime.sleep(world.testbed.profile.loss.abort_latency_ns // 2)
        assert len(world.recorder.find("nfs.client_released")) == 1
        other.close()
        world.runtime.sleep(SECOND)
        assert [e.fields["host"] for e in world.recorder.find("activity.started")] == ["host-a", "host-b"]
        assert world.states() == [] and world.primary.inspect().find("copy") is None

    world.run(body)


@pytest.mark.parametrize("native", [False, True])
def test_a_restart_ends_copies_and_breaks_connections(native: bool) -> None:
    """A restart fails what was running, leaves nothing of it, and breaks every connection to that server only."""
    world = NfsJobs(native_copy_scope=native)

    def body() -> None:
        first, elsewhere = world.connect(), world.sibling.connect(Caller("host-a", "user-a"))
        handle = world.long_copy(first, HandleScope.SOURCE)
        world.runtime.sleep(SECOND)
        world.bed.restart_server("primary")
        world.runtime.sleep(1)
        assert world.primary.inspect().find("copy") is None
        assert not first.is_open and elsewhere.is_open  # type: ignore[attr-defined]
        again = world.connect()
        if native:
            assert not world.reaches(again, handle)
        else:
            status = again.status(handle)
            assert status.state is ActivityState.FAILED and "restarted" in (status.error or "")

    world.run(body)


@pytest.mark.parametrize("native", [False, True])
def test_copies_asked_for_in_grace_begin_after_it(native: bool) -> None:
    """A copy that is asked for within the grace period waits for its end; aborting it does not."""
    world = NfsJobs(native_copy_scope=native)

    def body() -> None:
        world.volume()
        world.connect("host-z")  # whom the server waits for
        world.bed.restart_server("primary")
        connection, grace_ns = world.connect(), world.bed.servers["primary"].times.grace_ns
        waiting = world.start(connection, "copy", source="volume", target="copy")
        dropped = world.start(connection, "copy", source="volume", target="dropped")
        world.runtime.sleep(SECOND)
        assert [o.id for o in world.primary.inspect().objects] == ["volume"]
        connection.abort(dropped)
        assert world.runtime.now() < grace_ns
        assert connection.status(dropped).state is ActivityState.ABORTED
        assert world.wait(connection, waiting).state is ActivityState.DONE
        assert world.runtime.now() >= grace_ns and world.primary.inspect().find("dropped") is None

    world.run(body)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lease_ns": 100 * SECOND}, "grace_ns is 90000000000"),
        ({"lease_ns": 0}, "lease_ns is 0"),
        ({"native_copy_scope": 1}, "native_copy_scope must be bool"),
    ],
)
def test_numbers_that_break_the_rfc_are_refused(options: dict[str, int], says: str) -> None:
    """A grace period below the lease, no lease, and a switch that is no switch, are refused by name."""
    with pytest.raises(ProfileError, match=says):
        NfsTestbed(options=options)
