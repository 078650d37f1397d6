"""The testbed as a whole: connections, handles, faults, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.activity import ActivityState, HandleScope
from harness.backend_jobs import CHUNK_BYTES
from harness.connection import BackendConnection
from harness.contract import ActivityUnknown, ConnectionLost, NotSupported
from harness.driver_kit import run_job
from harness.model import Caller
from harness.real_targets.files.testbed import FilesTestbed
from harness.recorder import Event
from harness.runtime import SECOND
from harness.schedule import FAULT_KINDS, Fault
from harness.testbed import Backend, Job, Testbed

from .support import FIRST, LAST, files_of, hold, make_volume, process_state

OWNER = Caller("host-1", "user-1")
NEW_CONNECTIONS = {
    "same host, same user": OWNER,
    "same host, other user": Caller("host-1", "user-2"),
    "other host, same user": Caller("host-2", "user-1"),
    "other host, other user": Caller("host-2", "user-2"),
}
REACH = {
    HandleScope.CONNECTION: set(),
    HandleScope.SOURCE: {"same host, same user", "same host, other user"},
    HandleScope.USER: {"same host, same user", "other host, same user"},
    HandleScope.UNRESTRICTED: set(NEW_CONNECTIONS),
}
"""Specification section 4; where it says "may", what this testbed does."""


def copy_job(scope: HandleScope = HandleScope.CONNECTION) -> Job:
    """A copy of `volume` to `clone`."""
    return Job("copy", source="volume", target="clone", scope=scope)


def started_copy(bed: FilesTestbed, scope: HandleScope = HandleScope.CONNECTION) -> tuple[BackendConnection, str]:
    """A copy of a fresh volume on the primary, its process stopped, and the connection that started it."""
    primary = bed.backend("primary")
    make_volume(primary.store, first=1, last=2)
    connection = primary.connect(OWNER)
    handle = connection.start(copy_job(scope), "request")
    while not primary.store.running():
        bed.runtime.sleep(SECOND // 1000)
    hold(primary.store.running()[0])
    return connection, handle


def await_event(bed: FilesTestbed, kind: str) -> Event:
    """Wait for an event of that kind."""
    while not bed.recorder.find(kind):
        bed.runtime.sleep(SECOND // 1000)
    return bed.recorder.find(kind)[0]


def test_is_a_testbed(bed: FilesTestbed) -> None:
    """The class has what the ports ask for, and backends of two families."""
    testbed: Testbed = bed
    backends: list[Backend] = [testbed.backend(name) for name in ("primary", "sibling", "stranger")]
    assert backends[0].family == backends[1].family != backends[2].family
    assert testbed.faults < set(FAULT_KINDS)
    with pytest.raises(KeyError):
        testbed.backend("nobody")


@pytest.mark.parametrize("scope", HandleScope)
def test_handle_scopes(bed: FilesTestbed, scope: HandleScope) -> None:
    """New connections reach a running activity as its scope says, and its own connection always does."""
    connection, handle = started_copy(bed, scope)
    assert connection.status(handle).state is ActivityState.RUNNING
    reached = set()
    for relation, caller in NEW_CONNECTIONS.items():
        other = bed.backend("primary").connect(caller)
        try:
            other.status(handle)
        except ActivityUnknown:
            with pytest.raises(ActivityUnknown):
                other.abort(handle)
        else:
            reached.add(relation)
    assert reached == REACH[scope]
    assert connection.status(handle).state is ActivityState.RUNNING
    connection.abort(handle)
    assert connection.status(handle).state is ActivityState.ABORTED
    assert bed.backend("primary").inspect().find("clone") is None


@pytest.mark.parametrize("way", ["close", "break_"])
def test_orphan_ends_and_leaves_nothing(bed: FilesTestbed, way: str) -> None:
    """A connection-specific copy whose process stands still is ended once its connection is gone."""
    connection, handle = started_copy(bed)
    transfer = bed.backend("primary").store.running()[0]
    getattr(connection, way)()
    assert await_event(bed, "activity.ended").fields["state"] == "aborted"
    assert process_state(transfer.pid) == ""
    inspection = bed.backend("primary").inspect()
    assert ([o.id for o in inspection.objects], inspection.activities, inspection.connections) == (["volume"], (), 0)
    with pytest.raises(ActivityUnknown):
        bed.backend("primary").connect(OWNER).status(handle)


def test_other_scopes_outlive_their_connection(bed: FilesTestbed) -> None:
    """A source-specific copy goes on without its connection and is found again from the same host."""
    connection, handle = started_copy(bed, HandleScope.SOURCE)
    connection.close()
    os.kill(bed.backend("primary").store.running()[0].pid, signal.SIGCONT)
    assert await_event(bed, "activity.ended").fields["state"] == "done"
    assert bed.backend("primary").connect(OWNER).status(handle).state is ActivityState.DONE
    assert bed.backend("primary").inspect().images["clone"] == {FIRST: 1, LAST: 2}


def test_connection_breaks_at_an_event(quick: FilesTestbed) -> None:
    """A break with a trigger happens at the second activity and hits the caller that it names, nobody else."""
    primary = quick.backend("primary")
    connection, other = primary.connect(OWNER), primary.connect(Caller("host-2", "user-1"))
    quick.inject(Fault("connection.break", on="activity.ended", nth=2, caller="host-1"))
    run_job(connection, Job("create_volume", target="a", size=1), "a")
    assert connection.is_open
    with pytest.raises(ConnectionLost):
        while True:
            connection.start(Job("create_volume", target="b", size=1), "b")
    assert other.is_open
    assert await_event(quick, "fault").fields["fault"] == "connection.break"


@pytest.mark.parametrize("connect_first", [True, False])
def test_lost_reply_takes_effect(quick: FilesTestbed, connect_first: bool) -> None:
    """A start whose answer is lost has happened; the same request from the same host yields its one activity."""
    primary = quick.backend("primary")
    job = Job("create_volume", target="a", size=1, scope=HandleScope.SOURCE)
    connection = primary.connect(OWNER) if connect_first else None
    quick.inject(Fault("start.reply_lost", caller="host-1"))
    connection = connection or primary.connect(OWNER)
    with pytest.raises(ConnectionLost):
        connection.start(job, "request")
    run_job(primary.connect(OWNER), job, "request")
    assert len(primary.inspect().activities) == 1


@pytest.mark.parametrize("trigger", ["", "connection.opened"])
def test_a_caller_that_stands_still(quick: FilesTestbed, trigger: str) -> None:
    """The calls of a host wait until its pause is over, those of other hosts do not; start and end are recorded."""
    primary = quick.backend("primary")
    connection, other = primary.connect(OWNER), primary.connect(Caller("host-2", "user-1"))
    quick.inject(Fault("caller.pause", caller="host-1", for_ns=SECOND // 5, on=trigger))
    if trigger:
        primary.connect(Caller("host-2", "user-1"))
    other.start(Job("create_volume", target="a", size=1), "a")
    connection.start(Job("create_volume", target="b", size=1), "b")
    primary.connect(OWNER)
    (fault,), (over,) = quick.recorder.find("fault"), quick.recorder.find("fault.over")
    assert fault.fields == {"fault": "caller.pause", "host": "host-1", "for_ns": SECOND // 5}
    assert over.at_ns - fault.at_ns >= SECOND // 5
    first, second = quick.recorder.find("activity.started")
    assert (first.fields["target"], second.fields["target"]) == ("a", "b")
    assert fault.place < first.place and over.place < second.place


def test_job_faults(bed: FilesTestbed) -> None:
    """A job fails at a share of its bytes and leaves nothing, or is refused as unsupported; then all is well again."""
    primary = bed.backend("primary")
    make_volume(primary.store, first=1)
    connection = primary.connect(OWNER)
    bed.inject(Fault("job.fail", verb="copy", fraction=0.25))
    handle = connection.start(copy_job(), "1")
    while not (status := connection.status(handle)).state.is_terminal:
        bed.runtime.sleep(SECOND // 100)
    assert (status.state, status.error_code) == (ActivityState.FAILED, "transfer-failed")
    assert status.progress is not None and 0.25 <= status.progress < 1
    assert files_of(primary.store) == ["volume.volume"]
    bed.inject(Fault("job.unsupported", verb="delete"))
    handle = connection.start(Job("delete", source="volume"), "2")
    await_terminal(bed, connection, handle)
    assert connection.status(handle).error_code == "unsupported"
    run_job(connection, Job("delete", source="volume"), "3")
    assert files_of(primary.store) == []


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_writes_can_not_be_suspended(quick: FilesTestbed, verb: str) -> None:
    """Holding foreground writes is unsupported on files, and refused before any effect."""
    primary = quick.backend("primary")
    make_volume(primary.store, first=1)
    with pytest.raises(NotSupported, match="can't hold foreground writes"):
        run_job(primary.connect(OWNER), Job(verb, source="volume"), "1")
    assert files_of(primary.store) == ["volume.volume"]


def await_terminal(bed: FilesTestbed, connection: BackendConnection, handle: str) -> None:
    """Wait for an activity's end."""
    while not connection.status(handle).state.is_terminal:
        bed.runtime.sleep(SECOND // 1000)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drain.stall"),
        Fault("caller.pause", caller="host-1"),
        Fault("caller.pause", for_ns=1),
        Fault("job.fail", backend="nobody"),
        Fault("connection.break", nth=0),
    ],
)
def test_senseless_faults_are_refused(quick: FilesTestbed, fault: Fault) -> None:
    """A fault that can't be made raises ValueError."""
    with pytest.raises(ValueError, match=r"needs a volume|no backend|number 0|caller.pause needs the host"):
        quick.inject(fault)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("partition", backend="primary", for_ns=1, on="gate.hold"), "can't make the fault 'partition'"),
        (Fault("medium.error", backend="primary", volume="volume"), "it makes connection.break"),
        (Fault("connection.break", caller="host-1", at_ns=5), "exact instant"),
    ],
)
def test_faults_beyond_files_are_refused_at_once(quick: FilesTestbed, fault: Fault, says: str) -> None:
    """A fault that only a simulation can make is refused when it is injected, not when it is due."""
    with pytest.raises(ValueError, match=says):
        quick.inject(fault)


def test_backup_and_restore(quick: FilesTestbed) -> None:
    """A backup that was read chunk by chunk restores the content."""
    from harness.model import BackupChunk

    primary = quick.backend("primary")
    make_volume(primary.store, first=1, last=2)
    chunks: list[BackupChunk] = []

    class Sink:
        def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
            chunks.append(BackupChunk(offset, length, label, payload))

    connection = primary.connect(OWNER)
    run_job(connection, Job("read", source="volume", technique="zlib", sink=Sink()), "1")
    assert chunks and all(chunk.length <= CHUNK_BYTES for chunk in chunks)
    run_job(connection, Job("create_volume", target="restored", size=1), "2")
    run_job(connection, Job("write", target="restored", chunks=tuple(chunks)), "3")
    assert primary.inspect().images["restored"] == {FIRST: 1, LAST: 2}


def test_used_bytes_are_those_of_the_disk(quick: FilesTestbed) -> None:
    """An empty volume of 1 GiB takes next to nothing, a written block takes its room, and a deletion gives it back."""
    store = quick.backend("primary").store
    store.create_volume("volume", 1)
    empty = store.used_bytes()
    make_volume(store, "other", first=1, last=2)
    assert empty < 1 << 20
    assert store.used_bytes() >= empty + 8192
    store.delete("other")
    assert store.used_bytes() == empty


def test_odd_ids_stay_apart(quick: FilesTestbed) -> None:
    """Ids that mean something in file names are kept as they are, and none leaves the directory."""
    store = quick.backend("primary").store
    ids = ["../escape", "a@b", "a.snapshot", "ä/ö", ".."]
    for name in ids:
        store.create_volume(name, 1)
    assert [o.id for o in store.objects()] == sorted(ids)
    assert len(files_of(store)) == len(ids)


def test_close_leaves_no_process_and_no_file(bed: FilesTestbed, tmp_path: Path) -> None:
    """Closing in the middle of a copy ends its process and removes every file; closing again is harmless."""
    started_copy(bed)
    transfer = bed.backend("primary").store.running()[0]
    bed.close()
    assert process_state(transfer.pid) == ""
    assert list(tmp_path.iterdir()) == []
    bed.close()
    with pytest.raises(ConnectionLost):
        bed.backend("primary").connect(OWNER)


CHILD = """
import sys, time
from harness.real_targets.files.testbed import FilesTestbed
from harness.storage import CopyRequest
bed = FilesTestbed(seed=1, options={"directory": sys.argv[1], "whole_copy_s": 3000})
store = bed.backend("primary").store
store.create_volume("volume", 1)
print(store.begin_copy(CopyRequest("volume", "snap", "snapshot", True), store).pid, flush=True)
time.sleep(3600)
"""


def test_killed_parent_takes_its_processes_along(tmp_path: Path, open_bed: Callable[..., FilesTestbed]) -> None:
    """After the process that holds a testbed is killed, its copying process ends; the next testbed removes the rest."""
    parent = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        copier = int(parent.stdout.readline())
    assert process_state(copier) != ""
    bed = open_bed()
    assert len(list(tmp_path.iterdir())) == 2, "a living process's directory was removed"
    bed.close()
    parent.kill()
    parent.wait()
    while process_state(copier) not in ("", "Z"):
        time.sleep(0.001)
    assert list(tmp_path.iterdir()) != []
    bed = open_bed()
    assert list(tmp_path.iterdir()) == [bed.directory]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"whole_copy": 1}, "unknown option 'whole_copy'.*whole_copy_s"),
        ({"whole_copy_s": "soon"}, "a number of seconds"),
        ({"whole_copy_s": -1}, "above 0"),
        ({"snapshots_depend_on_volume": "perhaps"}, "true or false"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, object], message: str) -> None:
    """An option that is unknown or makes no sense raises ValueError that names it."""
    with pytest.raises(ValueError, match=message):
        FilesTestbed(seed=1, options=options)


def test_a_break_leaves_connections_alone_that_are_opened_while_it_goes_on(bed: FilesTestbed) -> None:
    """A break ends the connections that are there when it happens; one opened while it goes on stays."""
    first, *_, last = bed.families
    broken, opened = bed.backend(first).connect(OWNER), list[BackendConnection]()

    def reopen(event: Event) -> None:
        if event.kind == "connection.broken":
            opened.append(bed.backend(last).connect(OWNER))

    bed.recorder.listen(reopen)
    bed.inject(Fault("connection.break", caller=OWNER.host))
    while not opened:
        bed.runtime.sleep(SECOND // 1000)
    bed.runtime.sleep(SECOND // 100)
    assert not broken.is_open
    assert opened[0].is_open
