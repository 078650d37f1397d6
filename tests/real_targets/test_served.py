"""Laws of every testbed behind a server, on tgt and on nfs-ganesha."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.activity import HandleScope
from harness.contract import ActivityUnknown
from harness.model import GIB, Caller
from harness.real_targets.backing.bed import WallTestbed
from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.programs import state_of
from harness.real_targets.tgt.testbed import TgtTestbed
from harness.runtime import SECOND
from harness.storage import BLOCK
from harness.testbed import Job, LoadSpec

from .work import OWNER, do, opening, programs, until, writes_of

LAST = GIB // BLOCK - 1
REACH = {
    HandleScope.CONNECTION: set[str](),
    HandleScope.SOURCE: {"same host"},
    HandleScope.USER: {"same user"},
    HandleScope.UNRESTRICTED: {"same host", "same user"},
}
"""Specification section 4, for a new connection of the same host with another user, and the other way round."""

Opens = Callable[..., WallTestbed[Any]]


@pytest.fixture(params=[TgtTestbed, GaneshaTestbed], ids=["tgt", "ganesha"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    """Opens testbeds in a directory of the test's own, and closes them."""
    with opening(request.param, tmp_path, whole_copy_s=0.05) as opens:
        yield opens


@pytest.fixture
def bed(opens: Opens) -> WallTestbed[Any]:
    """A testbed."""
    return opens()


def test_snapshot_under_writers_is_of_one_moment(bed: WallTestbed[Any]) -> None:
    """A snapshot under one writer shows exactly what was written up to some write, and nothing that came later."""
    do(bed, Job("create_volume", target="volume", size=1))
    attachment = bed.backend("primary").attach("volume", "host-1")
    blocks = tuple(range(0, LAST, LAST // 60))
    load = attachment.load(LoadSpec(blocks, streams=1, think_ns=SECOND // 5000))
    do(bed, *(Job("snapshot", source="volume", target=f"snapshot-{n}") for n in range(3)))
    load.stop()
    written = writes_of(bed, "volume")
    images = bed.backend("primary").inspect().images
    place = {stamp: number for number, (_, stamp) in enumerate(written)}
    for n in range(3):
        found = images[f"snapshot-{n}"]
        newest = max(place[stamp] for stamp in found.values())
        assert found == dict(written[: newest + 1])


def test_volume_moves_under_its_writers(bed: WallTestbed[Any]) -> None:
    """A volume that moves keeps its identity and every acknowledged write, and is gone from where it was."""
    do(bed, Job("create_volume", target="volume", size=1))
    primary, sibling = bed.backend("primary"), bed.backend("sibling")
    attachment = primary.attach("volume", "host-1")
    load = attachment.load(LoadSpec(tuple(range(0, LAST, LAST // 60)), think_ns=SECOND // 1000))
    before = primary.inspect().find("volume")
    do(bed, Job("move", source="volume", destination="sibling"))
    load.stop()
    attachment.write(1, 99)
    after = sibling.inspect()
    assert dict(after.images["volume"]) == dict(writes_of(bed, "volume"))
    assert (before is not None and before.identity) == after.find("volume").identity
    assert primary.inspect().find("volume") is None


@pytest.mark.parametrize("scope", HandleScope)
def test_scopes_follow_the_session(bed: WallTestbed[Any], scope: HandleScope) -> None:
    """New sessions reach an activity by the host and the user that the server knows them by."""
    do(bed, Job("create_volume", target="volume", size=1))
    backend = bed.backend("primary")
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


CHILD = """
import sys, time
from {module} import {name}
bed = {name}(seed=1, options={{"directory": sys.argv[1]}})
print(*(one.program.pid for one in getattr(bed, "servers", getattr(bed, "targets", {{}})).values()), flush=True)
time.sleep(3600)
"""


def test_killed_parent_takes_its_servers_along(tmp_path: Path, opens: Opens) -> None:
    """After the process that holds a testbed is killed, its servers and files go too; a testbed beside it goes on."""
    beside = opens()
    place = tmp_path / "killed"
    place.mkdir()
    child = CHILD.format(module=type(beside).__module__, name=type(beside).__name__)
    parent = subprocess.Popen([sys.executable, "-c", child, str(place)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        servers = [Path(f"/proc/{int(pid)}/stat") for pid in parent.stdout.readline().split()]
    assert len(servers) == 3
    assert all(state_of(stat) for stat in servers)
    assert list(place.iterdir())
    parent.kill()
    parent.wait()
    until(lambda: all(state_of(stat) in ("", "Z") for stat in servers) and not list(place.iterdir()))
    assert beside.backend("primary").connect(OWNER).is_open


def test_closing_ends_everything(tmp_path: Path, opens: Opens) -> None:
    """Closing in the middle of work ends the servers and removes every file; closing again is harmless."""
    bed = opens(whole_copy_s=30)
    do(bed, Job("create_volume", target="volume", size=1))
    bed.backend("primary").attach("volume", "host-1").write(0, 1)
    bed.backend("primary").connect(OWNER).start(Job("copy", source="volume", target="clone"), "request")
    started = programs(bed)
    assert len(started) == 3
    bed.close()
    assert not any(program.is_running for program in started)
    assert list(tmp_path.iterdir()) == []
    bed.close()
