"""Jobs over connections: what their handles reach, and what becomes of them when a connection is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worlds import World

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.model import BackupChunk
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.testbed import Job

CALLERS = {
    "same host, same user": ("host-a", "user-a"),
    "same host, other user": ("host-a", "user-b"),
    "other host, same user": ("host-b", "user-a"),
    "other host, other user": ("host-b", "user-b"),
}

REACHED = {
    HandleScope.CONNECTION: [],
    HandleScope.SOURCE: ["same host, same user", "same host, other user"],
    HandleScope.USER: ["same host, same user", "other host, same user"],
    HandleScope.UNRESTRICTED: list(CALLERS),
}


class ListSink:
    """Keeps the chunks of a backup."""

    def __init__(self) -> None:
        self.chunks: list[BackupChunk] = []

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """See `harness.contract.BackupSink.write`."""
        self.chunks.append(BackupChunk(offset, length, label, payload))


@pytest.mark.parametrize("scope", list(HandleScope))
@pytest.mark.parametrize("closed", [False, True])
def test_handles_reach_as_far_as_their_scope(world: World, scope: HandleScope, closed: bool) -> None:
    """A handle works for whom its scope names, whatever their address, while the first connection is open or closed."""

    def body() -> None:
        world.volume()
        first = world.connect()
        handle = world.start(first, "copy", source="volume", target="copy", scope=scope)
        assert first.status(handle).state is ActivityState.RUNNING
        others = {name: world.connect(*who, address="198.51.100.7") for name, who in CALLERS.items()}
        if closed:
            first.close()
        reached = []
        for name, connection in others.items():
            try:
                connection.status(handle)
            except ActivityUnknown:
                continue
            reached.append(name)
        assert reached == REACHED[scope]

    world.run(body)


def test_an_aborted_job_leaves_nothing(world: World) -> None:
    """Abort returns once nothing is written any more; the target is gone and the outcome says aborted."""

    def body() -> None:
        world.fill(world.volume())
        connection = world.connect()
        before = world.primary.inspect().objects
        for verb in ("copy", "snapshot"):
            handle = world.start(connection, verb, source="volume", target="copy", point_in_time=False)
            world.runtime.sleep(world.testbed.profile.whole_copy_ns // 2)
            connection.abort(handle)
            assert world.primary.inspect().objects == before
            assert connection.status(handle).state is ActivityState.ABORTED
            connection.abort(handle)

    world.run(body)


@pytest.mark.parametrize("scope", [HandleScope.CONNECTION, HandleScope.USER])
@pytest.mark.parametrize("fault", ["caller.crash", "caller.pause"])
@pytest.mark.parametrize("on", ["activity.aborting", ""], ids=["as it is accepted", "under way"])
def test_an_accepted_abort_needs_its_caller_no_more(world: World, fault: str, scope: HandleScope, on: str) -> None:
    """An abort ends the job after the backend's latency, though the caller dies or stands still meanwhile."""

    def caller() -> None:
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=scope)
        world.runtime.sleep(SECOND - world.runtime.now())
        connection.abort(handle)

    def body() -> None:
        world.store.create_volume("volume", 10)
        trigger = {"on": on} if on else {"at_ns": SECOND + SECOND // 20}
        for_ns = 30 * SECOND if fault == "caller.pause" else 0
        world.testbed.inject(Fault(fault, caller="host-a", for_ns=for_ns, **trigger))  # type: ignore[arg-type]
        task = world.runtime.spawn("caller", caller)
        world.runtime.sleep(20 * SECOND)
        assert not task.is_over or fault == "caller.crash"
        (aborting,), (ended,) = (world.recorder.find(f"activity.{kind}") for kind in ("aborting", "ended"))
        assert ended.at_ns - aborting.at_ns == world.testbed.profile.loss.abort_latency_ns
        assert ended.fields["state"] == "aborted"
        assert world.primary.inspect().find("copy") is None

    world.run(body)


def test_orphans_end_within_their_bound(world: World) -> None:
    """What a broken connection leaves behind ends by the profile's policy: it is stopped, or it finishes unseen."""

    def body() -> None:
        world.volume(size=200)
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy")
        world.runtime.sleep(10 * SECOND)
        policy, lost_ns = world.testbed.profile.loss, world.runtime.now()
        world.testbed.inject(Fault("connection.break", caller="host-a"))
        with pytest.raises(ConnectionLost):
            connection.status(handle)
        remaining_ns = 200 * world.testbed.profile.whole_copy_ns - 10 * SECOND
        world.runtime.sleep(policy.bound_ns(remaining_ns) + SECOND)
        (ended,) = world.recorder.find("activity.ended")
        assert ended.at_ns - lost_ns <= policy.bound_ns(remaining_ns)
        assert ended.fields["state"] == ("done" if policy.then == "finish" else "aborted")
        seen = world.primary.inspect()
        assert seen.activities == ()
        assert (seen.find("copy") is not None) is (policy.then == "finish")
        with pytest.raises(ActivityUnknown):
            world.connect().status(handle)

    world.run(body)


def test_the_backend_notices_a_lost_connection_late(world: World) -> None:
    """A connection that broke counts as open until the protocol notices; one that was closed is gone at once."""

    def body() -> None:
        world.connect("host-b").close()
        world.connect()  # last: the time counts from what the backend has heard of it
        assert world.primary.inspect().connections == 1
        world.testbed.inject(Fault("connection.break", caller="host-a"))
        detection_ns = world.testbed.profile.loss.detection_ns
        world.runtime.sleep(detection_ns - 1)
        assert world.primary.inspect().connections == 1
        world.runtime.sleep(1)
        assert world.primary.inspect().connections == 0

    world.run(body)


def test_a_lost_answer_is_recovered_by_the_request_id(world: World) -> None:
    """A start whose answer was lost took effect; the same request on a new connection gives the same handle."""

    def body() -> None:
        world.volume()
        first = world.connect()
        world.testbed.inject(Fault("start.reply_lost", caller="host-a"))
        job = Job("copy", source="volume", target="copy", scope=HandleScope.SOURCE)
        with pytest.raises(ConnectionLost):
            first.start(job, "the request")
        second = world.connect()
        handle = second.start(job, "the request")
        assert world.wait(second, handle).state is ActivityState.DONE
        assert [e.fields["handle"] for e in world.recorder.find("activity.started")] == [handle]
        assert len(world.recorder.find("fault")) == 1

    world.run(body)


@pytest.mark.parametrize("nth", [1, 2])
def test_a_fault_strikes_at_its_trigger(world: World, nth: int) -> None:
    """A fault happens at the nth event of its kind, once, at that very instant."""

    def body() -> None:
        world.volume()
        world.testbed.inject(Fault("connection.break", on="activity.ended", nth=nth, caller="host-a"))
        for number in range(3):
            connection = world.connect()
            world.start(connection, "copy", source="volume", target=f"copy-{number}")
            world.runtime.sleep(10 * SECOND)
        ends = world.recorder.find("activity.ended")
        (fault,) = world.recorder.find("fault", fault="connection.break")
        assert fault.at_ns == ends[nth - 1].at_ns and fault.place > ends[nth - 1].place
        assert len(ends) == 3

    world.run(body)


def test_job_faults_hit_the_next_job_of_their_verb(world: World) -> None:
    """A job fails at the fraction asked for or is refused before any effect; the one after it works."""

    def body() -> None:
        world.volume()
        connection = world.connect()
        before = world.primary.inspect().objects
        world.testbed.inject(Fault("job.fail", backend="primary", verb="copy", fraction=0.5))
        status = world.wait(connection, world.start(connection, "copy", source="volume", target="copy"))
        assert status.state is ActivityState.FAILED
        assert status.progress == pytest.approx(0.5, abs=0.05)
        world.testbed.inject(Fault("job.unsupported", backend="primary", verb="copy"))
        status = world.wait(connection, world.start(connection, "copy", source="volume", target="copy"))
        assert (status.state, status.error_code) == (ActivityState.FAILED, "unsupported")
        assert world.primary.inspect().objects == before
        status = world.wait(connection, world.start(connection, "copy", source="volume", target="copy"))
        assert status.state is ActivityState.DONE

    world.run(body)


def test_impossible_faults_are_refused(world: World) -> None:
    """A fault that could hit nothing is refused with what it lacks."""
    for fault, says in (
        (Fault("connection.break"), "host"),
        (Fault("start.reply_lost"), "host"),
        (Fault("drain.stall", volume="volume"), "for_ns"),
        (Fault("job.fail", backend="nowhere"), "no backend"),
        (Fault("connection.break", caller="host-a", on="gate.hold", nth=0), "nth"),
    ):
        with pytest.raises(ValueError, match=says):
            world.testbed.inject(fault)
    world.testbed.close()


def test_a_login_needs_a_host_and_a_user(world: World) -> None:
    """A caller without a name is refused; the same host may log in as several users at once."""

    def body() -> None:
        for nobody in (("", "user-a"), ("host-a", "")):
            with pytest.raises(ConnectionLost):
                world.connect(*nobody)
        ids = {world.connect("host-a", user).identity.connection_id for user in ("user-a", "user-a", "user-b")}  # type: ignore[attr-defined]
        assert len(ids) == 3

    world.run(body)


def test_a_replica_is_whole_and_made_once(world: World) -> None:
    """Replicating to the same destination id again makes no second copy; another family is refused."""

    def body() -> None:
        expected = world.fill(world.volume())
        connection = world.connect()

        def do(verb: str, **job: Any) -> ActivityState:
            return world.wait(connection, world.start(connection, verb, **job)).state

        assert do("snapshot", source="volume", target="snapshot") is ActivityState.DONE
        for _ in range(2):
            state = do("replicate", source="snapshot", target="replica", destination="sibling")
            assert state is ActivityState.DONE
            assert world.sibling.store.image("replica") == expected
        assert len(world.sibling.inspect().objects) == 1
        assert do("replicate", source="snapshot", target="replica", destination="stranger") is ActivityState.FAILED
        assert world.stranger.inspect().objects == ()

    world.run(body)


@pytest.mark.parametrize("technique", ["none", "zlib", "zstd"])
def test_a_backup_restores_the_volume(world: World, technique: str) -> None:
    """The chunks of a backup, written into a new volume by a job, make the same image."""

    def body() -> None:
        expected = world.fill(world.volume())
        connection = world.connect()
        sink = ListSink()
        done = world.wait(connection, world.start(connection, "read", source="volume", technique=technique, sink=sink))
        assert done.state is ActivityState.DONE and {chunk.label for chunk in sink.chunks} == {technique}
        world.store.create_volume("restored", 1)
        world.wait(connection, world.start(connection, "write", target="restored", chunks=tuple(sink.chunks)))
        assert world.store.image("restored") == expected

    world.run(body)


def test_handles_do_not_repeat_between_backends_or_seeds(make_world: Callable[..., World]) -> None:
    """Handles differ between the backends of a testbed and between seeds."""
    handles = []

    def body(world: World) -> None:
        for backend in (world.primary, world.sibling):
            connection = backend.connect(world.connect().caller)
            handles.extend(connection.start(Job("create_volume", target=f"v{n}", size=1), f"r{n}") for n in range(3))

    for seed in (1, 2):
        world = make_world(seed=seed)
        world.run(lambda w=world: body(w))  # type: ignore[misc]
    assert len(set(handles)) == len(handles) == 12
