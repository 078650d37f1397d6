"""LIO in its machine: the testbed, and the machine that stands."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.driver_kit import run_job
from harness.model import GIB, Caller
from harness.real_targets.iscsi.session import CommandFailed, Session
from harness.real_targets.iscsi.target import LUN
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.lio import standing
from harness.real_targets.lio.testbed import LioTestbed
from harness.real_targets.programs import state_of
from harness.schedule import Fault
from harness.stamps import block_bytes
from harness.storage import BLOCK
from harness.testbed import Job

from .work import until

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
OWNER = Caller("host-1", "user-1")

pytestmark = pytest.mark.long


@pytest.mark.parametrize("breaks", ["socket", "target"])
def test_writes_moves_and_breaks(lio: IscsiTestbed, breaks: str) -> None:
    """What hosts write is on the LUN, stays there through a move, and a broken connection has lost its session."""
    lio.backend("primary")._breaks = breaks
    primary = lio.backend("primary")
    connection = primary.connect(OWNER)
    run_job(connection, Job("create_volume", target="volume", size=1), "1")
    attachment = primary.attach("volume", "host-1")
    attachment.write(5, 11)
    run_job(connection, Job("snapshot", source="volume", target="snapshot"), "2")
    attachment.write(5, 12)
    run_job(connection, Job("move", source="volume", destination="sibling"), "3")
    attachment.write(6, 13)
    assert primary.inspect().images == {"snapshot": {5: 11}}
    assert lio.backend("sibling").inspect().images == {"volume": {5: 12, 6: 13}}
    before = [nexus for nexus in primary.store.server.sessions() if ":control:" in nexus.target]
    lio.inject(Fault("connection.break", caller=OWNER.host))
    until(lambda: not connection.is_open)
    assert len(before) == 1
    assert before[0] not in primary.store.server.sessions()
    assert primary.connect(OWNER).is_open


def test_stamps_are_those_of_the_lun(lio: IscsiTestbed) -> None:
    """A LUN that shows another file than the volume's is found out: beside what was written, and anywhere if all of it
    is read."""
    primary = lio.backend("primary")
    run_job(primary.connect(OWNER), Job("create_volume", target="volume", size=1), "1")
    primary.attach("volume", "host-1").write(1000, 11)
    name = primary.store.exported_file("volume").export().name
    other = lio.directory / "other"
    with open(other, "wb") as file:
        file.truncate(GIB)
        for block in (999, 1001, 70000):
            file.seek(block * BLOCK)
            file.write(block_bytes(block, 12))
    primary.store.server.detach_file(name)
    primary.store.server.attach_file(name, other, "0123456789abcdef", True)
    shown = primary.inspect().images["volume"]
    assert shown[999] == shown[1001] == 12
    assert 1000 not in shown
    assert primary.store.exported_file("volume").look(whole=True).image == {999: 12, 1001: 12, 70000: 12}


def test_refused_command_holds_up_no_removal(lio: IscsiTestbed) -> None:
    """A LUN is taken away while a host that was refused a command says nothing, not once LIO gave its session up."""
    primary = lio.backend("primary")
    run_job(primary.connect(OWNER), Job("create_volume", target="volume", size=1), "1")
    export = primary.store.exported_file("volume").export()
    with contextlib.closing(Session(export.login("host-1"))) as session:
        assert session.mapped_ranges(LUN, GIB) is None  # LIO refuses GET LBA STATUS for a disk that is not thin
        primary.store.server.detach_file(export.name)
        with pytest.raises(CommandFailed, match="sense 5h/25h"):  # it still has its session, and no LUN
            session.test_unit_ready(LUN)


CHILD = """
import sys, time
from harness.real_targets.lio.testbed import LioTestbed
bed = LioTestbed(seed=1, options={"directory": sys.argv[1], "where": "machine"})
print((bed.place.directory / "qemu.pid").read_text().strip(), bed.place.directory, flush=True)
time.sleep(3600)
"""


def test_killed_parent_takes_its_machine_along(lio: IscsiTestbed, tmp_path: Path) -> None:
    """After the process that holds a machine is killed, the machine and its files go too; one beside it goes on."""
    parent = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid, directory = parent.stdout.readline().split()
    stat = Path(f"/proc/{pid}/stat")
    assert state_of(stat)
    assert Path(directory).is_dir()
    parent.kill()
    parent.wait()
    until(lambda: state_of(stat) in ("", "Z") and not Path(directory).exists())
    assert lio.backend("primary").connect(OWNER).is_open


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of the test's own for the machine that stands, with the image that was built before."""
    lacks = LioTestbed.missing()
    if lacks:
        pytest.skip(lacks)
    mine = tmp_path / "backend-activity-harness" / "lio"
    mine.parent.mkdir()
    mine.mkdir()
    for path in standing.cache_directory().iterdir():
        if path.is_dir() and path.name != "up":  # the machine that stands may be somebody's
            (mine / path.name).symlink_to(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield mine
    standing.down()


def test_commands_of_the_readme(cache: Path) -> None:
    """The README's commands for the machine work in their order, and nothing is left of it."""
    (block,) = re.findall(r"^```console\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    printed = ""
    for line in block.splitlines():
        program, *words = line.split()
        path = Path(sys.executable).with_name(program)
        done = subprocess.run([str(path), *words], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    assert "portal 127." in printed
    assert "Linux version" in printed
    assert not (cache / "up").exists()


def test_two_starts_at_once_make_one_machine(cache: Path) -> None:
    """Of two `lio up` at once one starts the machine and the other finds it, and `lio down` ends it."""
    program = str(Path(sys.executable).with_name("activity-harness"))
    starts = [
        subprocess.Popen([program, "lio", "up", "--where", "machine"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [start.communicate(timeout=300)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0], printed
    assert sorted("LIO is up already" in text for text in printed) == [False, True]
    (found,) = {line for text in printed for line in text.splitlines() if line.startswith("portal ")}
    stands = standing.standing()
    assert isinstance(stands, standing.Standing) and stands.address in found
    assert standing.down()
    assert state_of(Path(f"/proc/{stands.pid}/stat")) in ("", "Z")
    assert standing.standing() is None
