"""The array's own jobs: their queue, what can't be aborted, and how long they are remembered."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from worlds import World

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityNotAbortable, ActivityUnknown
from harness.runtime import SECOND, nanoseconds
from harness.schedule import Fault
from harness.storage import BLOCKS_PER_GIB
from simulated_backends.profiles import ProfileError

USER = HandleScope.USER


def test_jobs_beyond_the_slots_are_queued(make_world: Callable[..., World]) -> None:
    """Only so many jobs run at a time, in the order of their start; a queued one moves nothing and can be aborted."""
    world = make_world(job_slots=2)

    def body() -> None:
        world.volume()
        connection = world.connect()

        def start(number: int) -> str:
            return world.start(connection, "copy", source="volume", target=f"copy-{number}", scope=USER)

        handles = [start(number) for number in range(5)]
        beside = world.start(connection, "copy", source="volume", target="beside")
        world.runtime.sleep(SECOND)
        states = [connection.status(handle).state.value for handle in (*handles, beside)]
        assert states == ["running", "running", "queued", "queued", "queued", "running"]
        assert connection.status(handles[2]).progress == 0
        connection.abort(handles[2])
        assert connection.status(handles[2]).state is ActivityState.ABORTED
        assert world.primary.inspect().find("copy-2") is None
        for handle in (handles[0], handles[1], handles[3], handles[4]):
            assert world.wait(connection, handle).state is ActivityState.DONE
        order = [e.fields["target"] for e in world.recorder.find("activity.ended", state="done", verb="copy")]
        assert order.index("copy-3") > order.index("copy-0") and order[-1] in ("copy-3", "copy-4")

    world.run(body)


def test_some_jobs_can_not_be_aborted(make_world: Callable[..., World]) -> None:
    """A job of a fixed verb refuses the abort and goes on undisturbed; a connection-specific one can be aborted."""
    world = make_world(fixed_job_verbs="copy, revert")

    def body() -> None:
        world.volume()
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=HandleScope.UNRESTRICTED)
        with pytest.raises(ActivityNotAbortable):
            connection.abort(handle)
        assert world.wait(connection, handle).state is ActivityState.DONE
        own = world.start(connection, "copy", source="volume", target="own")
        connection.abort(own)
        assert connection.status(own).state is ActivityState.ABORTED

    world.run(body)


def test_some_jobs_can_be_paused(world: World) -> None:
    """A paused copy stands still and takes longer by the pause; a caller sees a running job without progress."""

    def body() -> None:
        expected = world.fill(world.volume())
        connection = world.connect()
        usual_ns = world.testbed.profile.whole_copy_ns
        began_ns = world.runtime.now()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=USER)
        world.testbed.inject(
            Fault("job.pause", backend="primary", verb="copy", for_ns=60 * SECOND, at_ns=began_ns + usual_ns // 2)
        )
        world.runtime.sleep(usual_ns)
        before = connection.status(handle)
        world.runtime.sleep(50 * SECOND)
        during = connection.status(handle)
        assert before.state is during.state is ActivityState.RUNNING
        assert before.progress == during.progress == pytest.approx(0.5, abs=0.01)
        assert world.wait(connection, handle).state is ActivityState.DONE
        (ended,) = world.recorder.find("activity.ended")
        assert ended.at_ns - began_ns == pytest.approx(usual_ns + 60 * SECOND, rel=1e-3)
        assert world.store.image("copy") == expected
        (fault,), (over,) = world.recorder.find("fault"), world.recorder.find("fault.over")
        assert fault.fields["jobs"] == 1 and over.at_ns - fault.at_ns == 60 * SECOND

    world.run(body)


@pytest.mark.parametrize(("first_s", "second_s"), [(60, 5), (5, 60)])
def test_pauses_of_a_job_nest(world: World, first_s: int, second_s: int) -> None:
    """A job that is paused twice goes on when both pauses are over, and is as late as that."""

    def body() -> None:
        world.volume()
        connection = world.connect()
        began_ns = world.runtime.now()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=USER)
        for at_s, for_s in ((0.1, first_s), (2.1, second_s)):
            at_ns = began_ns + nanoseconds(at_s)
            world.testbed.inject(Fault("job.pause", backend="primary", for_ns=for_s * SECOND, at_ns=at_ns))
        assert world.wait(connection, handle).state is ActivityState.DONE
        (ended,) = world.recorder.find("activity.ended")
        paused_ns = nanoseconds(max(first_s, 2 + second_s))
        assert ended.at_ns - began_ns == pytest.approx(world.testbed.profile.whole_copy_ns + paused_ns, rel=1e-3)

    world.run(body)


def test_some_jobs_can_not_be_paused(make_world: Callable[..., World]) -> None:
    """A job of a steady verb goes on, as does one that is connection-specific, and no job of the array's."""
    world = make_world(steady_job_verbs="copy")

    def body() -> None:
        world.volume()
        connection = world.connect()
        handles = [
            world.start(connection, "copy", source="volume", target="wide", scope=USER),
            world.start(connection, "replicate", source="volume", target="own", destination="sibling"),
        ]
        world.runtime.sleep(SECOND // 10)
        world.testbed.inject(Fault("job.pause", backend="primary", for_ns=600 * SECOND))
        for handle in handles:
            assert world.wait(connection, handle).state is ActivityState.DONE
        assert world.runtime.now() < 60 * SECOND
        assert world.recorder.find("fault")[0].fields["jobs"] == 0

    world.run(body)


def test_a_paused_job_can_be_aborted_or_fail(world: World) -> None:
    """A paused copy that is aborted is gone; one that meets a bad block does so after the pause."""

    def body() -> None:
        world.volume()
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=USER)
        world.runtime.sleep(SECOND // 10)
        world.testbed.inject(Fault("job.pause", backend="primary", for_ns=60 * SECOND))
        connection.abort(handle)
        assert world.primary.inspect().find("copy") is None
        world.runtime.sleep(100 * SECOND)
        handle = world.start(connection, "copy", source="volume", target="copy", scope=USER)
        world.runtime.sleep(SECOND // 10)
        world.testbed.inject(Fault("job.pause", backend="primary", for_ns=60 * SECOND))
        paused_ns = world.runtime.now()
        fraction = world.block_at(0.5) / BLOCKS_PER_GIB
        world.testbed.inject(Fault("medium.error", backend="primary", volume="volume", fraction=fraction))
        status = world.wait(connection, handle)
        assert (status.state, status.progress) == (ActivityState.FAILED, pytest.approx(0.5, abs=0.01))
        assert world.runtime.now() > paused_ns + 60 * SECOND

    world.run(body)


def test_outcomes_are_kept_for_the_retention_time(world: World) -> None:
    """A job is named by a uuid; its outcome is there for 300 s after its end, and the name unknown afterwards."""

    def body() -> None:
        connection = world.connect()
        handle = world.start(connection, "create_volume", target="volume", size=1, scope=USER)
        assert str(uuid.UUID(handle)) == handle
        world.wait(connection, handle)
        world.runtime.sleep(299 * SECOND)
        assert world.connect("host-b").status(handle).state is ActivityState.DONE
        world.runtime.sleep(2 * SECOND)
        with pytest.raises(ActivityUnknown):
            world.connect("host-b").status(handle)

    world.run(body)


def test_a_profile_names_only_verbs_that_exist(make_world: Callable[..., World]) -> None:
    """A verb that no job has is refused, as is a job service without a slot."""
    with pytest.raises(ProfileError, match="cpoy"):
        make_world(fixed_job_verbs="cpoy")
    with pytest.raises(ProfileError, match="steady_job_verbs has raed"):
        make_world(steady_job_verbs="raed")
    with pytest.raises(ProfileError, match="job_slots"):
        make_world(job_slots=0)
