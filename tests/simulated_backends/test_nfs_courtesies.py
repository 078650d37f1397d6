"""What ends a courtesy: a job or an operation that collides with what is under way for the courtesy client."""

from __future__ import annotations

from typing import Any

import pytest
from nfs_world import REQUEST, Nfs
from test_activities import ListSink

from harness.activity import ActivityState
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
}
NEEDS: dict[str, dict[str, Any]] = WORK | {
    "delete": {"source": "volume"},
    "extend_volume": {"source": "volume", "size": 300},
    "delete the snapshot": {"source": "snapshot"},
    "copy the snapshot": {"source": "snapshot", "target": "elsewhere"},
    "create_volume": {"target": "copy", "size": 1},
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
                operation(session, request)
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
