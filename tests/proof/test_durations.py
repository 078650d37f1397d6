"""Checks on simulated testbeds tell how long methods took, in virtual time."""

from __future__ import annotations

import time
from typing import Any

from harness.loading import CandidateSpec
from harness.model import Context, Snapshot
from harness.reference_driver import ReferenceDriver
from harness.results import DriverReport, Report, Verdict
from reports.comparison import compare
from tests.proof.support import cell, run, single

PAUSE_S = 30.0


class SlowSnapshots(ReferenceDriver):
    """Takes half a minute longer for each snapshot; nothing else is wrong with it."""

    def create_snapshot(self, snapshot: Snapshot) -> None:
        """Take a snapshot, and dawdle."""
        time.sleep(PAUSE_S)
        super().create_snapshot(snapshot)

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start a method, and dawdle before a snapshot."""
        if method == "create_snapshot":
            time.sleep(PAUSE_S)
        return super().start_activity(context, method, arguments, request_id=request_id)


def report_on(spec: CandidateSpec, seed: int) -> Report:
    """A report of the checks of replication, with this seed."""
    with cell() as where:
        checks = [run(where, spec, case, "iscsi-sim", seed) for case in single("R-3", "R-4", "R-8")]
        described = where.call("conformance.runner:describe", {"candidate": spec.to_dict()}, "describe", 60.0)
    driver = DriverReport(description=described.value, verdict=Verdict.CONSISTENT, checks=checks)
    return Report(harness_version="0", python_version="3", seed=seed, testbeds=["iscsi-sim"], command="", clauses=[],
                  drivers=[driver])  # fmt: skip


def snapshots_ns(report: Report) -> list[int]:
    """How long each snapshot took, in nanoseconds."""
    return [
        ns
        for check in report.drivers[0].checks
        for method, times in check.durations_ns.items()
        for ns in times
        if method.startswith("create_snapshot")
    ]


def test_a_slower_method_is_found_by_its_timing() -> None:
    """A method that became slower leaves its interval and no other does; with another seed alone none does."""
    honest = CandidateSpec.for_driver("reference")
    slow = CandidateSpec.for_driver(f"{__name__}:SlowSnapshots")
    old, other_seed, slower = report_on(honest, 1), report_on(honest, 2), report_on(slow, 2)
    assert 0 < min(snapshots_ns(old)) <= max(snapshots_ns(old)) < PAUSE_S * 1e9 <= min(snapshots_ns(slower))
    assert compare(old, other_seed).drivers[0].timings
    assert not compare(old, other_seed).timings
    found = [timing.method for _, timing in compare(old, slower).timings]
    assert found == ["create_snapshot", "create_snapshot as an activity"]
