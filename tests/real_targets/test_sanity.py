"""libiscsi's own tests against tgt and LIO: what fails is known, with its reason."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.real_targets.iscsi.libiscsi import library
from harness.real_targets.iscsi.target import Target
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.lio.image import image
from harness.real_targets.lio.machine import OwnMachine
from harness.real_targets.lio.target import LioTarget
from harness.real_targets.lio.testbed import KEPT
from harness.real_targets.missing import first_missing

from .sanity import PACKAGE, PROGRAM, outcomes, read

KNOWN = tomllib.loads(Path(__file__).with_name("known_failures.toml").read_text())

PRINTED = """
Suite: Unmap
  Test: Simple ...passed
  Test: VPD ...    [SKIPPED] Logical unit is fully provisioned. Skipping test
passed
  Test: ZeroBlocks ...    [FAILED] UNMAP failed
FAILED
    1. test_unmap.c:38  - CU_ASSERT_EQUAL(_r,0)
Suite: Verify10
  Test: Simple ...FAILED
"""


def test_skips_are_no_passes() -> None:
    """Reading what the program prints tells passed, skipped and failed tests apart."""
    assert dict(read(PRINTED)) == {
        "Unmap.Simple": "passed",
        "Unmap.VPD": "skipped",
        "Unmap.ZeroBlocks": "failed",
        "Verify10.Simple": "failed",
    }


@pytest.fixture
def own_lio() -> Iterator[Target]:
    """LIO in a machine of its own: a LUN on which a test hung can't be taken back, so the machine ends with it."""
    lacks = first_missing(library, KEPT.machine.need)
    if lacks:
        pytest.skip(lacks)
    own = OwnMachine(image())
    yield LioTarget(own.machine, "sanity")
    own.close()


def judge(target: Target, name: str, directory: Path) -> None:
    """Run iscsi-test-cu, and compare with what is known of that target."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed; install Debian's package {PACKAGE}")
    hanging = KNOWN["hangs"].get(name, {})
    found = outcomes(target, directory, hanging)
    count = {what: sum(o == what for o in found.values()) for what in ("passed", "skipped", "failed", "hung")}
    print(f"iscsi-test-cu on {name}: {count}")
    assert {test for test, outcome in found.items() if outcome == "hung"} == set(hanging)
    failed = {test for test, outcome in found.items() if outcome == "failed"}
    assert failed - set(KNOWN["now_and_then"].get(name, {})) == set(KNOWN["failures"][name])
    assert count["passed"] >= 100


@pytest.mark.long
def test_iscsi_test_cu_on_tgt(tgt: IscsiTestbed, tmp_path: Path) -> None:
    """Exactly the known tests of iscsi-test-cu fail on tgt, and at least 100 pass without being skipped."""
    judge(tgt.targets["primary"], "tgt", tmp_path)


@pytest.mark.long
def test_iscsi_test_cu_on_lio(own_lio: Target, tmp_path: Path) -> None:
    """Exactly the known tests of iscsi-test-cu fail or hang on LIO, and at least 100 pass without being skipped."""
    judge(own_lio, "lio", tmp_path)
