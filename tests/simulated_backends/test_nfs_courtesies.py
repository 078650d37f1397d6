"""What ends a courtesy: a job or an operation that collides with what is under way for the courtesy client."""

from __future__ import annotations

from typing import Any

import pytest
from nfs_world import REQUEST, Nfs
from test_activities import ListSink

from harness.activity import ActivityState, HandleScope
from harness.model import Caller
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import CopyRequest, StorageError

HOUR = 3600 * SECOND

WORK: dict[str, dict[str, Any]] = {
    "copy": {"source": "volume", "target": "copy"},
    "snapshot": {"source": "volume", "target": "new"},
    "move": {"source": "volume", "destination": "sibling"},
    "revert": {"source": "volume", "target": "snapshot"},
    "read": {"source": "volume", "sink": ListSink()},
    "COPY": {"source": "volume", "target": "copy"},
    "replicate": {"source": "volume", "target": "new", "destination": "sibling"},
    "COPY to the sibling": {"source": "volume", "target": "copy", "destination": "sibling"},
}
NEEDS: dict[str, dict[str, Any]] = WORK | {
    "delete": {"source": "volume"},
    "extend_volume": {"source": "volume", "size": 300},
    "delete the snapshot": {"source": "snapshot"},
    "copy the snapshot": {"source": "snapshot", "target": "elsewhere"},
    "create_volume": {"target": "copy", "size": 1},
    "move the other": {"source": "new", "destination": "sibling"},
    "COPY elsewhere": {"source": "volume", "target": "elsewhere"},
    "CLONE": {"source": "volume", "target": "copy"},
    "CLONE the snapshot": {"source": "snapshot", "target": "new"},
}


class Courtesies(Nfs):
    """An NFS testbed whose volume of 200 GiB takes minutes to copy; jobs have lower case, operations upper case."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.sessions: list[str] = []

    def begin_work(self, host: str, what: str, objects: dict[str, Any]) -> bool:
        """Let a host begin a job or an operation; returns whether it has failed a second later."""
        verb = what.split()[0]
        if not verb.isupper():
            connection = self.connect(host)
            handle = self.start(connection, verb, **objects)
            self.runtime.sleep(SECOND)
            return connection.status(handle).state is ActivityState.FAILED
        errors: list[StorageError] = []
        operation = self.copies.copy if verb == "COPY" else self.copies.clone
        session = self.session(host)
        request = CopyRequest(objects["source"], objects["target"], "volume", point_in_time=False)

        def operate() -> None:
            try:
                operation(session, request, self.sibling.store if "destination" in objects else None)
            except StorageError as error:
                errors.append(error)

        self.runtime.spawn(what, operate)
        self.runtime.sleep(SECOND)
        return bool(errors)

    def lose(self, host: str) -> None:
        """Let a host fall silent on all its sessions, until its lease has run out."""
        self.testbed.inject(Fault("connection.break", caller=host))
        for session_id in self.sessions:
            self.server.fell_silent(session_id)
        self.runtime.sleep(self.server.times.lease_ns + SECOND)

    def session(self, host: str = "host-a", user: str = "alice") -> str:
        """A session of a host's client, which is noted."""
        session_id = super().session(host, user)
        self.sessions.append(session_id)
        return session_id


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("work", list(WORK))
@pytest.mark.parametrize("need", list(NEEDS))
def test_a_courtesy_ends_exactly_for_what_it_would_keep_from_others(work: str, need: str, native: bool) -> None:
    """What would be refused beside the work of a client within its lease releases a courtesy client, nothing else."""

    def begins(courtesy_ns: int) -> tuple[bool, int]:
        world = Courtesies(native_copy_scope=native, snapshots_depend_on_volume=False, courtesy_ns=courtesy_ns)

        def body() -> tuple[bool, int]:
            world.store.create_volume("volume", 200)
            if need == "move the other":
                world.store.create_volume("new", 1)
            first = world.connect()
            world.wait(first, world.start(first, "snapshot", source="volume", target="snapshot"))
            world.begin_work("host-a", work, WORK[work])
            if courtesy_ns:
                world.lose("host-a")
            refused = world.begin_work("host-b", need, NEEDS[need])
            return refused, len(world.recorder.find("nfs.client_released"))

        return world.run(body)

    refused, _ = begins(courtesy_ns=0)
    assert begins(courtesy_ns=HOUR) == (False, 1 if refused else 0)


def test_a_courtesy_ends_at_its_own_server_only() -> None:
    """What the copy of a silent client makes on another server is in the way of jobs there, as within its lease."""
    world = Courtesies(courtesy_ns=HOUR, native_copy_scope=True)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.begin_work("host-a", "replicate", WORK["replicate"])
        world.lose("host-a")
        connection = world.sibling.connect(Caller("host-b", "user-b"))
        handle = world.start(connection, "create_volume", target="new", size=1)
        assert world.wait(connection, handle).error_code == "exists"
        assert not world.recorder.find("nfs.client_released") and len(world.copies.offloads()) == 1

    world.run(body)


@pytest.mark.parametrize("operation", ["COPY", "CLONE"])
def test_an_operation_that_waited_for_a_courtesy_is_asked_for_anew(operation: str) -> None:
    """If the server restarts while it stops what was in the way, the session of the operation is gone with it."""
    world = Courtesies(courtesy_ns=HOUR, abort_latency_ns=10 * SECOND)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.begin_work("host-a", "copy", WORK["copy"])
        world.lose("host-a")
        session = world.session("host-b")
        operate = world.copies.copy if operation == "COPY" else world.copies.clone
        world.testbed.inject(Fault("server.restart", backend="primary", at_ns=world.runtime.now() + SECOND))
        world.refused("NFS4ERR_BADSESSION", lambda: operate(session, REQUEST))
        assert world.copies.offloads() == () and not world.is_there()

    world.run(body)


@pytest.mark.parametrize("fault", ["caller.crash", "caller.pause"])
def test_a_job_that_waits_for_a_courtesy_needs_its_caller_no_more(fault: str) -> None:
    """What the server has accepted it begins as soon as it can, though its caller dies or stands still meanwhile."""
    world = Courtesies(courtesy_ns=HOUR)

    def caller() -> None:
        world.start(world.connect("host-b"), "copy", source="volume", target="new", scope=HandleScope.USER)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.begin_work("host-a", "move", WORK["move"])
        world.lose("host-a")
        asked_ns = world.runtime.now()
        world.runtime.spawn("caller", caller)
        for_ns = 60 * SECOND if fault == "caller.pause" else 0
        at_ns = asked_ns + world.testbed.profile.loss.abort_latency_ns // 2
        world.testbed.inject(Fault(fault, caller="host-b", for_ns=for_ns, at_ns=at_ns))
        world.runtime.sleep(SECOND)
        assert world.recorder.find("activity.started")[-1].at_ns - asked_ns <= 2 * world.store.figures.round_trip_ns
        assert [(view.verb, view.state) for view in world.primary.inspect().activities] == [("copy", "running")]

    world.run(body)


@pytest.mark.parametrize("restart", ["server.restart", "backend.restart", "host.restart"])
def test_a_native_copy_that_waits_for_a_courtesy_ends_with_its_client(restart: str) -> None:
    """It is not begun once the state of its client has been released, whoever restarted."""
    world = Courtesies(courtesy_ns=HOUR, native_copy_scope=True)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.begin_work("host-a", "move", WORK["move"])
        world.lose("host-a")
        connection = world.connect("host-b")
        world.runtime.spawn("caller", lambda: world.start(connection, "copy", source="volume", target="new"))
        world.runtime.sleep(world.testbed.profile.loss.abort_latency_ns // 2)
        whose = {"caller": "host-b"} if restart == "host.restart" else {"backend": "primary"}
        world.testbed.inject(Fault(restart, for_ns=SECOND // 100, **whose))  # type: ignore[arg-type]
        world.runtime.sleep(SECOND // 50)
        world.connect("host-b")
        world.runtime.sleep(120 * SECOND)
        assert world.copies.offloads() == () and world.primary.inspect().find("new") is None
        assert [view for view in world.primary.inspect().activities if view.verb == "copy"] == []

    world.run(body)


class SlowSink(ListSink):
    """A sink that takes its time for each chunk."""

    def __init__(self, world: Courtesies) -> None:
        super().__init__()
        self._world = world

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """See `harness.contract.BackupSink.write`."""
        self._world.runtime.sleep(10 * SECOND)


@pytest.mark.parametrize("scope", [HandleScope.CONNECTION, HandleScope.USER])
@pytest.mark.parametrize(("verb", "job"), [("delete", {}), ("extend_volume", {"size": 2})])
def test_a_job_that_waits_for_a_courtesy_can_be_aborted(verb: str, job: dict[str, Any], scope: HandleScope) -> None:
    """It ends as aborted once its wait is over, and has done nothing."""
    world = Courtesies(courtesy_ns=HOUR, fixed_job_verbs="")

    def body() -> None:
        world.fill(world.volume())
        world.begin_work("host-a", "read", {"source": "volume", "sink": SlowSink(world)})
        world.lose("host-a")
        connection = world.connect("host-b")
        handle = world.start(connection, verb, source="volume", scope=scope, **job)
        assert connection.status(handle).state is ActivityState.QUEUED
        connection.abort(handle)
        assert connection.status(handle).state is ActivityState.ABORTED
        (volume,) = world.primary.inspect().objects
        assert (volume.id, volume.size) == ("volume", 1)

    world.run(body)


@pytest.mark.parametrize("second", ["copy", "COPY"])
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("parts_of_latency", [0, 1, 2, 3])
def test_whoever_needs_what_is_being_stopped_waits_for_its_end(
    parts_of_latency: int, native: bool, second: str
) -> None:
    """A job or an operation is not refused for work of a client that another one has let go of shortly before."""
    world = Courtesies(courtesy_ns=HOUR, native_copy_scope=native)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.begin_work("host-a", "move", WORK["move"])
        world.lose("host-a")
        world.start(world.connect("host-b"), "copy", source="volume", target="one", scope=HandleScope.USER)
        world.runtime.sleep(parts_of_latency * world.testbed.profile.loss.abort_latency_ns // 2)
        assert not world.begin_work("host-c", second, {"source": "volume", "target": "two"})
        ended = [event.fields["verb"] for event in world.recorder.find("activity.ended")]
        assert ended == ["move"] and len(world.copies.offloads()) == 2
        assert len(world.recorder.find("nfs.client_released")) == 1

    world.run(body)


@pytest.mark.parametrize("apart_ns", [0, SECOND])
def test_copies_of_silent_clients_do_not_wait_for_each_other(apart_ns: int) -> None:
    """Of two that wait for the same end, and whose clients fall silent meanwhile, one begins; the other gives way."""
    world = Courtesies(courtesy_ns=HOUR, native_copy_scope=True, abort_latency_ns=300 * SECOND)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.begin_work("host-a", "move", WORK["move"])
        world.lose("host-a")
        for host in ("host-b", "host-c"):
            world.start(world.connect(host), "copy", source="volume", target="copy")
            world.runtime.sleep(apart_ns)
        world.lose("host-b")
        world.lose("host-c")
        assert [view.state for view in world.primary.inspect().activities] == ["running", "queued", "queued"]
        world.runtime.sleep(300 * SECOND)
        assert [(e.fields["verb"], e.fields["state"]) for e in world.recorder.find("activity.ended")] == [
            ("move", "aborted"),
            ("copy", "aborted"),
        ]
        assert len(world.copies.offloads()) == 1

    world.run(body)


def test_a_client_that_comes_back_in_time_keeps_its_state() -> None:
    """Who is back before it is its turn to give way is no courtesy client any more."""
    world = Courtesies(courtesy_ns=HOUR, abort_latency_ns=10 * SECOND)

    def body() -> None:
        world.fill(world.volume())
        for host in ("host-a", "host-b"):
            world.begin_work(host, "read", {"source": "volume", "sink": SlowSink(world)})
        world.testbed.inject(Fault("connection.break", caller="host-b"))
        world.lose("host-a")
        world.start(world.connect("host-c"), "delete", source="volume", scope=HandleScope.USER)
        world.runtime.sleep(SECOND)
        session = world.session("host-b")
        world.runtime.sleep(60 * SECOND)
        assert [event.fields["client"] for event in world.recorder.find("nfs.client_released")] == ["host-a"]
        assert world.server.has_session(session)

    world.run(body)


@pytest.mark.parametrize("native", [False, True])
def test_a_job_asks_for_way_when_it_is_its_turn(native: bool) -> None:
    """It is not refused for work of a client that fell silent while the job was queued."""
    world = Courtesies(courtesy_ns=HOUR, native_copy_scope=native, job_slots=1)

    def body() -> None:
        world.store.create_volume("volume", 200)
        world.store.create_volume("other", 60)
        world.begin_work("host-a", "move", WORK["move"])
        connection = world.connect("host-b")
        first, second = (
            world.start(connection, "copy", source=source, target=f"copy of {source}", scope=HandleScope.USER)
            for source in ("other", "volume")
        )
        world.lose("host-a")
        assert connection.status(second).state is ActivityState.QUEUED
        assert not world.recorder.find("nfs.client_released")
        assert world.wait(connection, first).state is ActivityState.DONE
        assert world.wait(connection, second).state is ActivityState.DONE

    world.run(body)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ("COPY", "a dead session"),
        ("COPY", "grace here"),
        ("COPY", "grace there"),
        ("CLONE", "a dead session"),
        ("CLONE", "grace here"),
    ],
)
def test_an_operation_that_is_refused_ends_no_courtesy(operation: str, why: str) -> None:
    """Nobody is released for what gets NFS4ERR_BADSESSION or NFS4ERR_GRACE."""
    world = Courtesies(courtesy_ns=HOUR, grace_ns=HOUR, snapshots_depend_on_volume=False)

    def body() -> None:
        world.store.create_volume("volume", 200)
        first = world.connect("host-z")
        world.wait(first, world.start(first, "snapshot", source="volume", target="snapshot"))
        if why.startswith("grace"):
            backend = "primary" if why == "grace here" else "sibling"
            world.testbed.backend(backend).connect(Caller("host-z", "user-z"))
            world.testbed.inject(Fault("server.restart", backend=backend))
        world.begin_work("host-a", "revert", WORK["revert"])
        world.lose("host-a")
        session = world.session("host-b")
        if why == "a dead session":
            world.server.destroy_session(session)
        operate = world.copies.copy if operation == "COPY" else world.copies.clone
        into = world.sibling.store if why == "grace there" else None
        status = "NFS4ERR_BADSESSION" if why == "a dead session" else "NFS4ERR_GRACE"
        released = len(world.recorder.find("nfs.client_released"))
        world.refused(status, lambda: operate(session, REQUEST, into))
        assert len(world.recorder.find("nfs.client_released")) == released
        assert world.primary.inspect().activities[-1].state == "running"

    world.run(body)
