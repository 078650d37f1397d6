"""The testbed `tgt`: what hosts write reaches the LUNs, callers are who the target says, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from harness.contract import ConnectionLost
from harness.model import GIB
from harness.real_targets.iscsi.session import CommandFailed, Login, LoginRefused, Session, SessionLost
from harness.real_targets.iscsi.target import DATA_USER, LUN, TargetFailed, host_name, serial_number
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.tgt.testbed import TgtTestbed
from harness.recorder import Event
from harness.schedule import Fault
from harness.stamps import block_bytes, read_stamp
from harness.storage import BLOCK
from harness.testbed import Job

from .work import OWNER, do, until

LAST = GIB // BLOCK - 1


def test_writes_are_on_the_lun(tgt: IscsiTestbed) -> None:
    """What an attachment writes is read back by another initiator, and from snapshots that were taken in between."""
    do(tgt, Job("create_volume", target="volume", size=1))
    backend = tgt.backend("primary")
    attachment = backend.attach("volume", "host-1")
    attachment.write(0, 11)
    attachment.write(LAST, 12)
    do(tgt, Job("snapshot", source="volume", target="snapshot"))
    attachment.write(0, 13)
    images = backend.inspect().images
    assert images["volume"] == {0: 13, LAST: 12}
    assert images["snapshot"] == {0: 11, LAST: 12}
    with pytest.raises(CommandFailed, match="sense 5h/21h"):
        Session(backend.store.exported_file("volume").export().login("other")).read(LUN, GIB, BLOCK)


def test_identity_and_size_are_those_of_the_lun(tgt: IscsiTestbed) -> None:
    """An inspection shows the serial number and the size that the target tells hosts, whatever the store knows."""
    do(tgt, Job("create_volume", target="volume", size=1))
    backend = tgt.backend("primary")
    file = backend.store.exported_file("volume")
    assert (seen := backend.inspect().find("volume")) is not None
    assert (seen.identity, seen.size) == (f"serial:{serial_number('volume')}", 1)
    other = tgt.directory / "other"
    other.touch()
    os.truncate(other, 2 * GIB)
    backend.store.server.detach_file(file.export().name)
    backend.store.server.attach_file(file.export().name, other, "0123456789abcdef", True)
    assert (seen := backend.inspect().find("volume")) is not None
    assert (seen.identity, seen.size) == ("serial:0123456789abcdef", 2)


def test_ranges_are_those_of_the_lun(tgt: IscsiTestbed) -> None:
    """What an inspection and a host find is what the LUN holds, also where the volume's own file has a hole."""
    do(tgt, Job("create_volume", target="volume", size=1))
    backend = tgt.backend("primary")
    attachment = backend.attach("volume", "host-1")
    attachment.write(0, 11)
    name = backend.store.exported_file("volume").export().name
    other = tgt.directory / "other"
    with open(other, "wb") as file:
        file.truncate(GIB)
        for block in (5000, LAST):
            file.seek(block * BLOCK)
            file.write(block_bytes(block, 12))
    backend.store.server.detach_file(name)
    backend.store.server.attach_file(name, other, "0123456789abcdef", True)
    assert backend.inspect().images["volume"] == {5000: 12, LAST: 12}
    assert list(attachment.extents()) == [(5000 * BLOCK, BLOCK), (LAST * BLOCK, BLOCK)]


@pytest.mark.parametrize("breaks", ["socket", "target"])
def test_breaks_are_real(open_tgt: Callable[..., IscsiTestbed], breaks: str) -> None:
    """A connection counts as broken once its session is gone at the target, without a logout; a new login works."""
    bed = open_tgt(breaks=breaks)
    backend = bed.backend("primary")
    connection = backend.connect(OWNER)
    (nexus,) = backend.store.server.sessions()
    still_there: list[bool] = []

    def look(event: Event) -> None:
        if event.kind == "connection.broken":  # nobody has logged out by then
            still_there.append(nexus in backend.store.server.sessions())

    bed.recorder.listen(look)
    bed.inject(Fault("connection.break", caller=OWNER.host))
    until(lambda: bool(still_there))
    assert still_there == [False]
    with pytest.raises(ConnectionLost):
        connection.status("any")
    assert backend.connect(OWNER).is_open


def test_session_that_the_target_ends_is_noticed(tgt: IscsiTestbed) -> None:
    """When the target ends a session by itself, the next call on its connection raises ConnectionLost."""
    backend = tgt.backend("primary")
    connection = backend.connect(OWNER)
    (nexus,) = backend.store.server.sessions()
    backend.store.server.drop(nexus)
    with pytest.raises(ConnectionLost):
        connection.status("any")
    assert not connection.is_open


def test_login_that_the_target_fails_over_is_logged_out(tgt: IscsiTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the target can't say who has logged in, no session is left behind."""

    def sessions(name: str = "") -> NoReturn:
        raise TargetFailed("it says nothing")

    backend = tgt.backend("primary")
    with monkeypatch.context() as patch:
        patch.setattr(backend.store.server, "sessions", sessions)
        with pytest.raises(TargetFailed, match="it says nothing"):
            backend.connect(OWNER)
    until(lambda: backend.store.server.sessions() == [])


def test_hosts_log_in_again(tgt: IscsiTestbed) -> None:
    """A host whose session to a volume was cut writes on after a new login; a wrong CHAP secret is refused."""
    do(tgt, Job("create_volume", target="volume", size=1))
    backend = tgt.backend("primary")
    attachment = backend.attach("volume", "host-1")
    target = backend.store.server
    for nexus in target.sessions():
        target.drop(nexus)
    attachment.write(7, 1)
    assert read_stamp(attachment.read(7 * BLOCK, BLOCK)) == (7, 1)
    export = backend.store.exported_file("volume").export()
    with pytest.raises(LoginRefused, match=r"[Aa]uthentication"):
        Session(Login(export.portal, export.name, host_name("host-1"), DATA_USER, "not the secret"))


def test_cut_session_fails_its_command(tgt: IscsiTestbed) -> None:
    """A command on a session that was cut raises SessionLost, again and again, and the session can still be closed."""
    do(tgt, Job("create_volume", target="volume", size=1))
    session = Session(tgt.backend("primary").store.exported_file("volume").export().login("host-1"))
    assert session.capacity(LUN) == GIB
    session.cut()
    for _ in range(2):
        with pytest.raises(SessionLost):
            session.read(LUN, 0, BLOCK)
    session.close()
    session.close()


def test_calibration_needs_a_place_for_its_profile(tmp_path: Path) -> None:
    """A directory that is not there is named before anything is measured."""
    output = str(tmp_path / "nowhere" / "profile.toml")
    argv = [sys.executable, "-m", "harness.cli", "calibrate", "--testbed", "tgt", "--output", output]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert "there is no directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tgtd is not installed, the testbed says so and names Debian's package."""
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    assert "tgtd is not installed; install Debian's package tgt" in (TgtTestbed.missing() or "")
