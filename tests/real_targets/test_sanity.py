"""libiscsi's own tests against tgt and LIO: what fails is known, with its reason."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from harness.real_targets.iscsi.testbed import IscsiTestbed

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


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_iscsi_test_cu(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Exactly the known tests of iscsi-test-cu fail on the target, and at least 100 pass without being skipped."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed; install Debian's package {PACKAGE}")
    bed: IscsiTestbed = request.getfixturevalue(name)
    found = outcomes(bed.backend("primary").store.target, tmp_path)
    count = {what: sum(outcome == what for outcome in found.values()) for what in ("passed", "skipped", "failed")}
    print(f"iscsi-test-cu on {name}: {count}")
    assert {test for test, outcome in found.items() if outcome == "failed"} == set(KNOWN[name])
    assert count["passed"] >= 100
