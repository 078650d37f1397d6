"""LIO of a host itself, proved in a virtual machine that stands for the host: it has configfs, root and rtslib-fb."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from harness.real_targets.lio.machine import Machine
from harness.real_targets.lio.testbed import KEPT
from harness.real_targets.missing import NotInstalled

from .guest_host import PLACE, await_file, begin, guest_host, must, python
from .work import until

pytestmark = pytest.mark.long

FOREIGN = "iqn.2001-04.com.example:archive"
MAKE_FOREIGN = f"""
from rtslib_fb import LUN, TPG, FabricModule, FileIOStorageObject, NetworkPortal, Target
group = TPG(Target(FabricModule("iscsi"), "{FOREIGN}"), 1)
LUN(group, 0, FileIOStorageObject("archive", "/tmp/archive", 1 << 20))
NetworkPortal(group, "0.0.0.0", 3260)
group.enable = True
"""
"""A target made by hand, on every address of the host."""

LIST = """
import json, os
found = {}
for directory, _, files in os.walk("/sys/kernel/config/target"):
    found[directory] = ""
    for path in (os.path.join(directory, name) for name in files):
        try:
            found[path] = open(path).read()
        except OSError:
            found[path] = ""
print(json.dumps({path: text for path, text in found.items() if "/statistics" not in path}))
"""
"""Prints all that is configured, with its values; counters are no configuration."""

OPEN = """
import time
from harness.driver_kit import run_job
from harness.model import Caller
from harness.real_targets.lio.testbed import LioTestbed
from harness.testbed import Job
bed = LioTestbed(seed=1, options={"where": "host"})
primary = bed.backend("primary")
run_job(primary.connect(Caller("host-1", "user-1")), Job("create_volume", target="volume", size=1), "1")
primary.attach("volume", "host-1").write(5, 11)
print(bed.place.mark, bed.place._process.pid, flush=True)
time.sleep(3600)
"""
"""A run that exports a volume, says by which mark its names are known, and its agent's process id, and waits."""

NOTHING = "conformance.honest.drivers"
AFTER_LOSS = "test_handles.py::test_scope_holds_after_the_first_connection_is_gone"
CHECKS = (
    f"test_quiescing.py::test_unlisted_method_works_on_a_quiesced_volume[{NOTHING}-Nothing-slow-lio-create_snapshot-blocking]",
    "test_quiescing.py::test_listed_copy_is_a_point_in_time_image[reference-slow-lio-create_snapshot-blocking]",
    "test_handles.py::test_handle_works_exactly_where_its_scope_says[reference-slow-lio-new connection-status]",
    f"{AFTER_LOSS}[reference-slow-lio-broken-new connection-status]",
    "test_replication.py::test_refusal_before_any_effect_permits_the_fallback[reference-slow-lio]",
)
"""A call on a quiesced volume, by a driver that publishes nothing, so that LIO itself makes its copies; a copy of one
moment under writes; a handle on another connection, and after a break; and a replication by the fallback."""


LAB = {
    f"{PLACE}/slow_lio.py": """
from dataclasses import replace
from harness.real_targets.lio.testbed import LioTestbed
from harness.runtime import SECOND

class SlowLio(LioTestbed):
    check_within_s = 600.0

    def prepare(self, directories):
        super().prepare(directories)
        self.profile = replace(self.profile, max_hold_ns=60 * SECOND, quiesce_timeout_ns=30 * SECOND)
""",
    f"{PLACE}/slow_lio-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: slow-lio\nVersion: 1\n",
    f"{PLACE}/slow_lio-1.dist-info/entry_points.txt": "[backend_activity.testbeds]\nslow-lio = slow_lio:SlowLio\n",
}
"""A lab of its own for the suites: the testbed `lio` with the patience that an emulated host needs."""
PATIENCE_S = 900
"""Seconds for what takes two minutes on an idle machine."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A host that has LIO, with a target of its own."""
    try:
        KEPT.machine.need()
        with guest_host(tmp_path_factory.mktemp("host")) as machine:
            must(machine, *python("-c", MAKE_FOREIGN))
            must(machine, "mkdir", f"{PLACE}/slow_lio-1.dist-info")
            for path, text in LAB.items():
                must(machine, "sh", "-c", 'printf "%s" "$2" > "$1"', "sh", path, text)
            yield machine
    except NotInstalled as lacks:
        pytest.skip(str(lacks))


def configured(machine: Machine) -> dict[str, str]:
    """All that LIO of the host has configured."""
    found: dict[str, str] = json.loads(must(machine, *python("-c", LIST)))
    assert any(path.endswith(FOREIGN) for path in found)
    return found


def test_suites_on_a_host(host: Machine) -> None:
    """Checks of the suites pass on the host's own LIO, the report says so, and afterwards the host's configuration is
    what it was."""
    before = configured(host)
    suites = python(
        "-m", "pytest", *(f"{PLACE}/conformance/{check}" for check in CHECKS), "-q", "-p", "no:cacheprovider",
        "--driver", "reference", "--driver", f"{NOTHING}:Nothing", "--testbed", "slow-lio",
        "--report", "/tmp/report", "--check-timeout", "600",
    )  # fmt: skip
    begin(host, "suites", suites)
    status = await_file(host, "/tmp/suites.status", PATIENCE_S)
    printed = must(host, "cat", "/tmp/suites.out")
    drivers = json.loads(must(host, "cat", "/tmp/report/report.json"))["drivers"]
    checks = [check for driver in drivers for check in driver["checks"]]
    outcomes = [check["outcome"] for check in checks]
    assert outcomes == ["passed"] * len(CHECKS), f"status {status}{printed}"
    notes = {check["testbed_note"] for check in checks}
    assert len(notes) == 1
    assert notes.pop().endswith(" of this host")
    assert configured(host) == before


def begun_run(machine: Machine, name: str) -> tuple[str, str, str]:
    """A run that was begun, once it has exported its volume: its mark, its process id, and its agent's."""
    said = await_file(machine, f"/tmp/{name}.out", PATIENCE_S).split()
    assert len(said) == 2, said
    return said[0], must(machine, "cat", f"/tmp/{name}.pid").strip(), said[1]


def marked(configuration: dict[str, str], mark: str) -> bool:
    """Whether anything is configured that bears a run's mark."""
    return any(f":{mark}" in path or f"/{mark}" in path for path in configuration)


def test_what_dead_runs_left_is_removed_and_nothing_else(host: Machine) -> None:
    """`lio up` removes what a run left that was killed with its agent, and leaves a living run's targets alone and one
    made by hand; a run that is killed alone is cleaned up after by its agent; the shell is the host's targetcli."""
    before = configured(host)
    for name in ("dead", "living"):
        begin(host, name, python("-c", OPEN))
    dead, dead_run, dead_agent = begun_run(host, "dead")
    living, run, _ = begun_run(host, "living")
    must(host, "sh", "-c", f"kill -9 {dead_run} {dead_agent}")
    there = configured(host)
    assert marked(there, dead)
    assert marked(there, living)
    lio = python("-c", "import typer; from harness.real_targets.lio.commands import lio; typer.run(lio)")
    up = must(host, *lio, "up")
    assert "LIO is up after" in up
    assert "of this host" in up
    there = configured(host)
    assert not marked(there, dead)
    assert marked(there, living)
    must(host, "sh", "-c", f"kill -9 {run}")
    until(lambda: not marked(configured(host), living), within_s=60)
    assert FOREIGN in must(host, *lio, "shell", "targetcli", "ls")
    assert must(host, *lio, "down") == "LIO is down\n"
    assert configured(host) == before
