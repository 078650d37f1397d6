"""The testbed `ganesha`: what hosts write is on the server, callers are who it says, breaks are real."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.activity import ConnectionIdentity
from harness.contract import ConnectionLost
from harness.model import GIB
from harness.real_targets.backing.sessions import SessionStands
from harness.real_targets.ganesha.daemon import need_killer, parse_clients
from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.missing import first_missing
from harness.real_targets.nfs.rpc import Credential, SessionLost, Wire
from harness.real_targets.nfs.server import CONTROL, DATA_UID, FIRST_USER_UID, SHELF, ServerFailed
from harness.real_targets.nfs.session import ACCESS_DENIED, CHUNK, Login, OperationFailed, Session
from harness.real_targets.nfs.xdr import Reader, u32
from harness.recorder import Event
from harness.runtime import SECOND, Limits
from harness.schedule import Fault
from harness.stamps import block_bytes, read_stamp
from harness.storage import BLOCK, StorageError
from harness.testbed import Job

from .relay import Relay
from .work import OWNER, do, until

LAST = GIB // BLOCK - 1
NUMBERS = itertools.count(1)
DATA = Credential("host-1", DATA_UID, DATA_UID)


def session_at(
    bed: GaneshaTestbed, credential: Credential = DATA, reconnects: bool = False, timeout_s: float = 20
) -> Session:
    """A session with the primary backend's server."""
    login = Login(bed.servers["primary"].address, f"host-1:{next(NUMBERS)}", credential)
    return Session(login, reconnects, timeout_s)


def place_of(bed: GaneshaTestbed, object_id: str) -> tuple[tuple[str, ...], str]:
    """Where the server shows an object: directory and name."""
    export = bed.backend("primary").store.served_file(object_id).export()
    return export.path, export.name


def test_sizes_are_written_and_read_back(ganesha: GaneshaTestbed) -> None:
    """What a session writes, in every size that is used here, another one reads, and so does the server's machine."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    writer, reader = session_at(ganesha), session_at(ganesha)
    written, read = (each.open(*place_of(ganesha, "volume"), each is writer) for each in (writer, reader))
    for size in (512, BLOCK, CHUNK - BLOCK, CHUNK, CHUNK + BLOCK, 1 << 20):
        data = os.urandom(size)
        writer.write(written, GIB - size, data)
        assert reader.read(read, GIB - size, size) == data
        assert ganesha.backend("primary").store.volume_file("volume").read(GIB - size, size) == data
    writer.close()
    reader.close()


def test_failing_writes_and_reads_raise(ganesha: GaneshaTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is refused, or is done in part or without being stable, raises; so does a read beyond the end."""
    do(ganesha, Job("create_volume", target="volume", size=1), Job("snapshot", source="volume", target="snapshot"))
    session = session_at(ganesha)
    try:
        with pytest.raises(OperationFailed, match="NFS4ERR_ACCESS"):
            session.open(*place_of(ganesha, "snapshot"), True)
        with pytest.raises(OperationFailed, match="NFS4ERR_OPENMODE"):
            session.write(session.open(*place_of(ganesha, "snapshot"), False), 0, bytes(BLOCK))
        file = session.open(*place_of(ganesha, "volume"), True)
        with pytest.raises(OperationFailed, match=f"the end of the file at byte {GIB}"):
            session.read(file, GIB - BLOCK, 2 * BLOCK)
        for answer in ((BLOCK - 1, 2), (BLOCK, 0)):
            monkeypatch.setattr(session, "call", lambda *wanted, answer=answer: [answer])
            with pytest.raises(OperationFailed, match=f"wrote {answer[0]}, with stability {answer[1]}"):
                session.write(file, 0, bytes(BLOCK))
    finally:
        monkeypatch.undo()
        session.close()


def test_writes_are_on_the_server(ganesha: GaneshaTestbed) -> None:
    """Inspections show what hosts see: name and size as the server tells them, and what was written, snapshots too."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    backend = ganesha.backend("primary")
    attachment = backend.attach("volume", "host-1")
    attachment.write(0, 11)
    attachment.write(LAST, 12)
    do(ganesha, Job("snapshot", source="volume", target="snapshot"))
    attachment.write(0, 13)
    images = backend.inspect().images
    assert images == {"volume": {0: 13, LAST: 12}, "snapshot": {0: 11, LAST: 12}}
    with pytest.raises(StorageError, match="beyond the end"):
        attachment.write(LAST + 1, 14)
    (_, directory), name = place_of(ganesha, "volume")
    shown = backend.store.server.shelf / directory
    assert (seen := backend.inspect().find("volume")) is not None
    assert (seen.identity, seen.size) == (f"nfs:{name}", 1)
    os.truncate(shown / name, 2 * GIB)
    (shown / "other").touch()
    assert (seen := backend.inspect().find("volume")) is not None
    assert (set(seen.identity.removeprefix("nfs:").split(",")), seen.size) == ({name, "other"}, 2)


def test_stamps_are_those_of_the_export(ganesha: GaneshaTestbed) -> None:
    """A server that shows another file than the volume's is found out beside what was written."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    backend = ganesha.backend("primary")
    backend.attach("volume", "host-1").write(1000, 11)
    (_, directory), name = place_of(ganesha, "volume")
    shown = backend.store.server.shelf / directory / name
    shown.unlink()
    with open(shown, "wb") as file:
        os.fchown(file.fileno(), DATA_UID, DATA_UID)
        file.truncate(GIB)
        for block in (999, 1001):
            file.seek(block * BLOCK)
            file.write(block_bytes(block, 12))
    assert backend.inspect().images["volume"] == {999: 12, 1001: 12}


@pytest.fixture
def killer() -> None:
    """Skips a test where connections can't be ended from the server's side."""
    if lacks := first_missing(need_killer):
        pytest.skip(lacks)


@pytest.mark.parametrize("breaks", ["socket", "server"])
def test_breaks_are_real(
    open_ganesha: Callable[..., GaneshaTestbed], breaks: str, request: pytest.FixtureRequest
) -> None:
    """A connection counts as broken once the server has it no more, though the client has not logged out."""
    if breaks == "server":
        request.getfixturevalue("killer")
    bed = open_ganesha(breaks=breaks)
    backend, server = bed.backend("primary"), bed.servers["primary"]
    connected: set[tuple[str, int]] = set()
    is_connected, seen = server.is_connected, []
    server.is_connected = lambda end: connected.add(end) or is_connected(end)  # type: ignore[method-assign]
    connection = backend.connect(OWNER)

    def look(event: Event) -> None:
        if event.kind == "connection.broken":
            (end,) = connected
            seen.append((is_connected(end), len(server.client_owners())))

    bed.recorder.listen(look)
    bed.inject(Fault("connection.break", caller=OWNER.host))
    until(lambda: bool(seen))
    assert seen == [(False, 1)]
    with pytest.raises(ConnectionLost):
        connection.status("any")
    assert backend.connect(OWNER).is_open


def test_restart_breaks_what_the_old_server_had(ganesha: GaneshaTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart leaves a connection alone that is opened on the new server as soon as that is there."""
    backend, server = ganesha.backend("primary"), ganesha.servers["primary"]
    restart, after = server.restart, []
    before = backend.connect(OWNER)
    monkeypatch.setattr(server, "restart", lambda: (restart(), after.append(backend.connect(OWNER))))
    ganesha._restart("primary")
    assert [before.is_open, after[0].is_open] == [False, True]


def test_server_that_stays_away_ends_the_run(ganesha: GaneshaTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server does not come back from a restart, the run ends with its error."""

    def restart() -> None:
        raise ServerFailed("it stays away")

    def main() -> None:
        ganesha.inject(Fault("server.restart", backend="primary"))
        ganesha.runtime.sleep(60 * SECOND)

    monkeypatch.setattr(ganesha.servers["primary"], "restart", restart)
    with pytest.raises(ServerFailed, match="it stays away"):
        ganesha.runtime.run(main, Limits(wall_s=120))


def test_job_that_meets_a_dead_server_ends_with_the_run(ganesha: GaneshaTestbed) -> None:
    """A copy that begins when the server is dead ends the run with the server's error; no driver sees it fail."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    engine, program = ganesha.backend("primary").engine, ganesha.servers["primary"].program
    program.kill()
    until(lambda: not program.is_running)

    def main() -> None:
        identity = ConnectionIdentity(OWNER, "connection")
        engine.start(identity, Job("snapshot", source="volume", target="snapshot"), "request")
        ganesha.runtime.sleep(60 * SECOND)

    with pytest.raises(ServerFailed, match="nfsd has ended"):
        ganesha.runtime.run(main, Limits(wall_s=120))
    assert [view.state for view in engine.views() if view.verb == "snapshot"] == ["running"]


def test_connection_stands_until_the_server_closes_it(ganesha: GaneshaTestbed) -> None:
    """A connection that its client has ended is there until the server, not just its kernel, has noticed."""
    server, session = ganesha.servers["primary"], session_at(ganesha)
    with server.frozen():
        session.cut()
        assert server.is_connected(session.client_end)
    until(lambda: not server.is_connected(session.client_end))
    session.close()


def test_break_that_nobody_notices_ends_the_run(ganesha: GaneshaTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server keeps a connection that was broken, it does not count as broken, and the run ends."""
    monkeypatch.setattr("harness.real_targets.backing.sessions.GONE_WITHIN_S", 0.05)
    monkeypatch.setattr(ganesha.servers["primary"], "is_connected", lambda end: True)

    def main() -> None:
        ganesha.backend("primary").connect(OWNER)
        ganesha.inject(Fault("connection.break", caller=OWNER.host))
        ganesha.runtime.sleep(60 * SECOND)

    with pytest.raises(SessionStands, match="still has the session primary-1"):
        ganesha.runtime.run(main, Limits(wall_s=120))
    assert [event for event in ganesha.recorder.events if event.kind == "connection.broken"] == []


def test_restart_of_the_server_is_real(ganesha: GaneshaTestbed) -> None:
    """After a restart another process serves, connections are lost, hosts go on, and what was written is there."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    backend, server = ganesha.backend("primary"), ganesha.servers["primary"]
    attachment, connection = backend.attach("volume", "host-1"), backend.connect(OWNER)
    attachment.write(1, 11)
    before = server.program
    ganesha.inject(Fault("server.restart", backend="primary"))
    until(lambda: not connection.is_open)
    attachment.write(2, 12)
    assert not before.is_running
    assert server.program.is_running
    assert backend.inspect().images["volume"] == {1: 11, 2: 12}
    assert backend.connect(OWNER).is_open


@pytest.mark.usefixtures("killer")
def test_host_writes_on_after_its_connection_is_lost(ganesha: GaneshaTestbed) -> None:
    """A host whose connection the server's side ends goes on in its session; one that may not reconnect has lost it."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    server = ganesha.servers["primary"]
    for reconnects in (True, False):
        session = session_at(ganesha, reconnects=reconnects)
        file = session.open(*place_of(ganesha, "volume"), True)
        server.drop(session.client_end)
        with pytest.raises(SessionLost):
            session.write(file, 0, bytes(BLOCK))
        if reconnects:
            session.write(file, 0, b"x" * BLOCK)
            assert session.read(file, 0, BLOCK) == b"x" * BLOCK
        else:
            with pytest.raises(SessionLost):
                session.write(file, 0, bytes(BLOCK))
        session.close()


def test_write_whose_answer_is_lost_is_done_once(ganesha: GaneshaTestbed) -> None:
    """A write that was done, but not answered, is not done again when its session goes on, whoever wrote meanwhile."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    relay = Relay(ganesha.servers["primary"].address)
    first = Session(Login(relay.address, "host-1:relayed", DATA), reconnects=True)
    second = session_at(ganesha)
    behind_relay, direct = (each.open(*place_of(ganesha, "volume"), True) for each in (first, second))
    relay.loses_answers = True
    with pytest.raises(SessionLost):
        first.write(behind_relay, 0, b"1" * BLOCK)
    assert second.read(direct, 0, BLOCK) == b"1" * BLOCK
    second.write(direct, 0, b"2" * BLOCK)
    assert first.read(behind_relay, 0, BLOCK) == b"2" * BLOCK
    first.close()
    second.close()
    relay.close()


@pytest.mark.parametrize("answer", [u32(10008), b""], ids=["delayed for ever", "broken"])
def test_connecting_again_ends(ganesha: GaneshaTestbed, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """A server that never gets done, or answers nonsense, on a new connection costs that only: it is closed."""
    session = session_at(ganesha, reconnects=True, timeout_s=0.25)
    closed = []

    class Answers(Wire):
        def compound(self, body: bytes) -> Reader:
            return Reader(answer)

        def close(self) -> None:
            super().close()
            closed.append(self)

    with ganesha.servers["primary"].frozen(), pytest.raises(SessionLost):
        session.ping()
    with monkeypatch.context() as patch:
        patch.setattr("harness.real_targets.nfs.session.Wire", Answers)
        with pytest.raises(SessionLost):
            session.ping()
    assert len(closed) == 1
    session.ping()
    session.close()


def test_closed_session_is_not_made_anew(ganesha: GaneshaTestbed) -> None:
    """A session that is closed after its connection broke does not connect again, whoever still has it."""
    relay = Relay(ganesha.servers["primary"].address)
    session = Session(Login(relay.address, "host-1:relayed", DATA), reconnects=True)
    relay.loses_answers = True
    with pytest.raises(SessionLost):
        session.ping()
    session.close()
    with pytest.raises(SessionLost):
        session.ping()
    relay.close()


def test_fenced_host_acknowledges_nothing_more(ganesha: GaneshaTestbed) -> None:
    """Once a volume has moved, a session that had it open is lost, and its host writes where the volume is now."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    attachment = ganesha.backend("primary").attach("volume", "host-1")
    before = ganesha.backend("primary").store.served_file("volume").open_at("other")
    do(ganesha, Job("move", source="volume", destination="sibling"))
    with pytest.raises(SessionLost):
        before.write(0, bytes(BLOCK))
    attachment.write(7, 1)
    assert read_stamp(attachment.read(7 * BLOCK, BLOCK)) == (7, 1)
    assert ganesha.backend("sibling").inspect().images["volume"] == {7: 1}


def test_frozen_server_does_nothing(ganesha: GaneshaTestbed) -> None:
    """While a server is frozen it answers nobody and a write is not done; once it goes on, writes are."""
    do(ganesha, Job("create_volume", target="volume", size=1))
    store = ganesha.backend("primary").store
    hasty, patient = session_at(ganesha, timeout_s=0.25), session_at(ganesha)
    hasty_file, patient_file = (each.open(*place_of(ganesha, "volume"), True) for each in (hasty, patient))
    with store.served_file("volume").frozen():
        with pytest.raises(SessionLost):
            hasty.write(hasty_file, 0, b"x" * BLOCK)
        assert store.volume_file("volume").read(0, BLOCK) == bytes(BLOCK)
    patient.write(patient_file, BLOCK, b"y" * BLOCK)
    assert store.volume_file("volume").read(BLOCK, BLOCK) == b"y" * BLOCK
    for session in (hasty, patient):
        session.close()


def test_nobody_logs_in_as_another_user(ganesha: GaneshaTestbed) -> None:
    """The server refuses a login in a user's directory to everybody else."""
    connection = ganesha.backend("primary").connect(OWNER)
    stranger = session_at(ganesha, Credential("host-1", FIRST_USER_UID + 1, FIRST_USER_UID + 1))
    with pytest.raises(OperationFailed) as refused:
        stranger.open((SHELF, CONTROL, str(FIRST_USER_UID)), "login", True, create=True)
    assert refused.value.status == ACCESS_DENIED
    stranger.close()
    assert connection.identity.caller.user == OWNER.user


def test_login_that_is_not_on_record_leaves_nothing(ganesha: GaneshaTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver whom the server does not know is refused, logged out, and its login removed."""
    backend, server = ganesha.backend("primary"), ganesha.servers["primary"]
    with monkeypatch.context() as patch:
        patch.setattr(server, "client_owners", list)
        with pytest.raises(ConnectionLost, match="no record"):
            backend.connect(OWNER)
    assert server.client_owners() == []
    assert list((server.shelf / CONTROL).glob("*/*")) == []


def test_client_owners_are_read_from_stable_storage() -> None:
    """Client owners are found in what nfs-ganesha names its records of clients."""
    names = ["::ffff:127.0.0.1-(16:host-1:primary-1)", "something else"]
    assert list(parse_clients(names)) == ["host-1:primary-1"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the server or a capability is missing, the testbed says so, and what to do."""
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    assert "ganesha.nfsd is not installed; install Debian's package nfs-ganesha" in (GaneshaTestbed.missing() or "")
    monkeypatch.setattr("shutil.which", lambda name, path: f"/usr/bin/{name}")
    monkeypatch.setattr("harness.real_targets.ganesha.testbed.need_vfs", lambda: None)
    (tmp_path / "status").write_text("Name:\tpython\nCapEff:\t00000000a80425fb\n")
    monkeypatch.setattr("harness.real_targets.ganesha.daemon.STATUS", tmp_path / "status")
    assert "as root with CAP_DAC_READ_SEARCH" in (GaneshaTestbed.missing() or "")
