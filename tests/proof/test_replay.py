"""A run repeats: from its seed, from a saved schedule, and under another hash seed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.suite import CheckCase, cases
from harness.loading import CandidateSpec
from tests.proof.support import cell, run, single

ROOT = Path(__file__).parents[2]
FAULTY = "conformance.faulty.quiescing:CrawlingSnapshot"


def certify(directory: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the suites in a process of their own; the exit status and the report."""
    command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-p", "no:cacheprovider", "--driver", FAULTY]
    command += ["--testbed", "iscsi-sim", "--report", str(directory), *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, json.loads((directory / "report.json").read_text(encoding="utf-8"))


def failures(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, message and digest of the failed checks."""
    checks = report["drivers"][0]["checks"]
    return [(c["check"], c["message"], c["digest"]) for c in checks if c["outcome"] == "failed"]


def test_failure_is_replayed_from_its_saved_schedule(tmp_path: Path) -> None:
    """The saved schedule of a failed check shows the same failure again, event for event, whatever --seed says."""
    status, report = certify(tmp_path / "first", "-k", "listed_copy and blocking", "--seed", "11")
    (schedule,) = (tmp_path / "first" / "schedules").glob("*.json")
    again_status, again = certify(tmp_path / "again", "--schedule", str(schedule), "--seed", "12")
    assert (status, again_status) == (1, 1)
    assert failures(report) == failures(again)
    assert len(failures(again)) == 1


def test_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    """The same seed gives the same failure, another seed another one."""
    _, one = certify(tmp_path / "one", "-k", "listed_copy", "--seed", "3")
    _, same = certify(tmp_path / "same", "-k", "listed_copy", "--seed", "3")
    _, other = certify(tmp_path / "other", "-k", "listed_copy", "--seed", "4")
    assert failures(one) == failures(same)
    assert failures(one) != failures(other)


BATCH_0 = [case for case in cases("Q-3") if ("batch", "batch 0") in case.parameters]


@pytest.mark.parametrize("testbed", ["iscsi-sim", "nfs-sim"])
@pytest.mark.parametrize(
    "checks",
    [pytest.param([*single(), *BATCH_0], id="quick"), pytest.param(list(cases()), marks=pytest.mark.long, id="all")],
)
def test_digest_does_not_depend_on_the_hash_seed(checks: list[CheckCase], testbed: str) -> None:
    """Every check gives the same digest in a fresh process with another PYTHONHASHSEED; here with one batch drawn."""
    spec = replace(CandidateSpec.for_driver("reference"), config={"publication": {"handle_scope": "source-specific"}})
    digests: list[dict[str, str | None]] = []
    for hash_seed in (1, 4711):
        with cell(hash_seed=hash_seed) as where:
            digests.append({case.name: run(where, spec, case, testbed, 5).digest for case in checks})
    assert digests[0] == digests[1]
    assert all(digests[0].values())
