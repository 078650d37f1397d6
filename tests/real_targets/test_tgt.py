"""The testbed `tgt`: what hosts write reaches the LUNs, callers are who the target says, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.activity import HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.driver_kit import run_job
from harness.model import GIB, Caller
from harness.real_targets.iscsi.session import CommandFailed, Login, LoginRefused, Session, SessionLost
from harness.real_targets.iscsi.target import DATA_USER, LUN, host_name, serial_number
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.programs import state_of
from harness.real_targets.tgt.daemon import TgtTarget
from harness.real_targets.tgt.testbed import TgtTestbed
from harness.recorder import Event
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.stamps import block_bytes, read_stamp
from harness.storage import BLOCK
from harness.testbed import Job, LoadSpec

OWNER = Caller("host-1", "user-1")
LAST = GIB // BLOCK - 1
REACH = {
    HandleScope.CONNECTION: set[str](),
    HandleScope.SOURCE: {"same host"},
    HandleScope.USER: {"same user"},
    HandleScope.UNRESTRICTED: {"same host", "same user"},
}
"""Specification section 4, for a new connection of the same host with another user, and the other way round."""


def do(bed: IscsiTestbed, *jobs: Job) -> None:
    """Carry jobs out on the primary backend, one after the other."""
    connection = bed.backend("primary").connect(OWNER)
    for number, job in enumerate(jobs):
        run_job(connection, job, f"request-{number}")
    connection.close()


def writes_of(bed: IscsiTestbed, volume: str) -> list[tuple[int, int]]:
    """The writes to a volume, (block, stamp), in the order in which they were issued."""
    log = bed.recorder.writes(volume)
    return list(zip(log.blocks, log.stamps, strict=True))


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
    backend.store.target.detach_file(file.export().name)
    backend.store.target.attach_file(file.export().name, other, "0123456789abcdef", True)
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
    backend.store.target.detach_file(name)
    backend.store.target.attach_file(name, other, "0123456789abcdef", True)
    assert backend.inspect().images["volume"] == {5000: 12, LAST: 12}
    assert list(attachment.extents()) == [(5000 * BLOCK, BLOCK), (LAST * BLOCK, BLOCK)]


def test_snapshot_under_writers_is_of_one_moment(tgt: IscsiTestbed) -> None:
    """A snapshot under one writer shows exactly what was written up to some write, and nothing that came later."""
    do(tgt, Job("create_volume", target="volume", size=1))
    attachment = tgt.backend("primary").attach("volume", "host-1")
    blocks = tuple(range(0, LAST, LAST // 60))
    load = attachment.load(LoadSpec(blocks, streams=1, think_ns=SECOND // 5000))
    do(tgt, *(Job("snapshot", source="volume", target=f"snapshot-{n}") for n in range(3)))
    load.stop()
    written = writes_of(tgt, "volume")
    images = tgt.backend("primary").inspect().images
    place = {stamp: number for number, (_, stamp) in enumerate(written)}
    for n in range(3):
        found = images[f"snapshot-{n}"]
        newest = max(place[stamp] for stamp in found.values())
        assert found == dict(written[: newest + 1])


def test_volume_moves_under_its_writers(tgt: IscsiTestbed) -> None:
    """A volume that moves keeps its serial number and every acknowledged write, and is gone from where it was."""
    do(tgt, Job("create_volume", target="volume", size=1))
    attachment = tgt.backend("primary").attach("volume", "host-1")
    load = attachment.load(LoadSpec(tuple(range(0, LAST, LAST // 60)), think_ns=SECOND // 1000))
    do(tgt, Job("move", source="volume", destination="sibling"))
    load.stop()
    attachment.write(1, 99)
    sibling = tgt.backend("sibling")
    assert dict(sibling.inspect().images["volume"]) == dict(writes_of(tgt, "volume"))
    assert tgt.backend("primary").inspect().find("volume") is None
    session = Session(sibling.store.exported_file("volume").export().login("other"))
    assert session.serial_number(LUN) == serial_number("volume")
    session.close()


@pytest.mark.parametrize("scope", HandleScope)
def test_scopes_follow_the_session(tgt: IscsiTestbed, scope: HandleScope) -> None:
    """New sessions reach an activity by the initiator name and CHAP account with which they logged in."""
    do(tgt, Job("create_volume", target="volume", size=1))
    backend = tgt.backend("primary")
    connection = backend.connect(OWNER)
    handle = connection.start(Job("snapshot", source="volume", target="snapshot", scope=scope), "request")
    others = {"same host": Caller("host-1", "user-2"), "same user": Caller("host-2", "user-1")}
    reached = set()
    for name, caller in others.items():
        other = backend.connect(caller)
        assert (other.identity.caller.host, other.identity.caller.user) == (caller.host, caller.user)
        try:
            other.status(handle)
            reached.add(name)
        except ActivityUnknown:
            pass
    assert reached == REACH[scope]


@pytest.mark.parametrize("breaks", ["socket", "target"])
def test_breaks_are_real(open_tgt: Callable[..., IscsiTestbed], breaks: str) -> None:
    """A connection counts as broken once its session is gone at the target, without a logout; a new login works."""
    bed = open_tgt(breaks=breaks)
    backend = bed.backend("primary")
    connection = backend.connect(OWNER)
    (nexus,) = backend.store.target.sessions()
    still_there: list[bool] = []

    def look(event: Event) -> None:
        if event.kind == "connection.broken":  # nobody has logged out by then
            still_there.append(nexus in backend.store.target.sessions())

    bed.recorder.listen(look)
    bed.inject(Fault("connection.break", caller=OWNER.host))
    while not still_there:
        bed.runtime.sleep(SECOND // 1000)
    assert still_there == [False]
    with pytest.raises(ConnectionLost):
        connection.status("any")
    assert backend.connect(OWNER).is_open


def test_session_that_the_target_ends_is_noticed(tgt: IscsiTestbed) -> None:
    """When the target ends a session by itself, the next call on its connection raises ConnectionLost."""
    backend = tgt.backend("primary")
    connection = backend.connect(OWNER)
    (nexus,) = backend.store.target.sessions()
    backend.store.target.drop(nexus)
    with pytest.raises(ConnectionLost):
        connection.status("any")
    assert not connection.is_open


def test_hosts_log_in_again(tgt: IscsiTestbed) -> None:
    """A host whose session to a volume was cut writes on after a new login; a wrong CHAP secret is refused."""
    do(tgt, Job("create_volume", target="volume", size=1))
    backend = tgt.backend("primary")
    attachment = backend.attach("volume", "host-1")
    target = backend.store.target
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


CHILD = """
import sys, time
from harness.real_targets.tgt.testbed import TgtTestbed
bed = TgtTestbed(seed=1, options={"directory": sys.argv[1]})
print(*(target.program.pid for target in bed.targets.values()), flush=True)
time.sleep(3600)
"""


def test_killed_parent_takes_its_targets_along(tmp_path: Path, open_tgt: Callable[..., IscsiTestbed]) -> None:
    """After the process that holds a testbed is killed, its targets and files go too; a testbed beside it goes on."""
    beside = open_tgt()
    place = tmp_path / "killed"
    place.mkdir()
    parent = subprocess.Popen([sys.executable, "-c", CHILD, str(place)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        targets = [Path(f"/proc/{int(pid)}/stat") for pid in parent.stdout.readline().split()]
    assert all(state_of(stat) for stat in targets)
    assert list(place.iterdir())
    parent.kill()
    parent.wait()
    while any(state_of(stat) not in ("", "Z") for stat in targets) or list(place.iterdir()):
        time.sleep(0.001)
    assert beside.backend("primary").connect(OWNER).is_open


def test_closing_ends_everything(tmp_path: Path, open_tgt: Callable[..., IscsiTestbed]) -> None:
    """Closing in the middle of work ends the targets and removes every file; closing again is harmless."""
    bed = open_tgt(whole_copy_s=30)
    do(bed, Job("create_volume", target="volume", size=1))
    bed.backend("primary").attach("volume", "host-1").write(0, 1)
    bed.backend("primary").connect(OWNER).start(Job("copy", source="volume", target="clone"), "request")
    programs = [target.program for target in bed.targets.values() if isinstance(target, TgtTarget)]
    assert len(programs) == 3
    bed.close()
    assert not any(program.is_running for program in programs)
    assert list(tmp_path.iterdir()) == []
    bed.close()


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
