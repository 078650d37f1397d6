"""A realistic report: an honest reference driver, and a faulty one whose snapshots are torn."""

from __future__ import annotations

import random

from harness.judging import judge, summarise
from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    Description,
    DriverReport,
    Evidence,
    Finding,
    MethodPlan,
    Outcome,
    Report,
    Severity,
    Timeline,
    TimelineStep,
)

MS = 1_000_000

CLAUSES = [
    ClauseInfo(id=name, who=who, mandatory=mandatory, title=title, checked=checked)
    for name, who, mandatory, title, checked in (
        ("A-1", "D", True, "The attribute is a mapping with string keys", True),
        ("A-3", "D", True, "Its keys are known, or ignored with a warning", True),
        ("A-5", "D", True, "Values have the types that the specification gives", True),
        ("A-9", "D", True, "The handle scope is one of the four", True),
        ("A-10", "T", True, "A publication is judged per driver and configuration", False),
        ("Q-1", "T", True, "A method that is not listed runs on a quiesced volume", True),
        ("Q-3", "T", True, "The volume is released on every exit", True),
        ("Q-9", "D", True, "A copy of a volume that is being written is a point-in-time image", True),
        ("Q-10", "D", True, "A copy of a quiesced volume equals the content at the quiesce point", True),
        ("Q-12", "D", False, "An unlisted method that could be listed is reported", True),
        ("R-2", "T", True, "The fallback clones, migrates, snapshots and deletes, in that order", True),
        ("R-3", "D", True, "The destination snapshot equals the source snapshot", True),
        ("R-8", "D,T", True, "The destination snapshot survives deletion of its volume", True),
        ("H-1", "D", True, "Where the scope says yes, status and abort work", True),
        ("H-2", "D", True, "Where the scope says no, they are refused as an unknown handle is", True),
        ("H-7", "D", True, "A finished activity's outcome stays readable", False),
        ("C-5", "D", True, "Each chunk carries the label of the technique that was used", True),
    )
]


def fallback_timeline() -> Timeline:
    """A snapshot replicated by the fallback, then a snapshot taken of the quiesced volume while it is written."""
    dice = random.Random(7)
    writes = []
    at = 0
    while at < 900 * MS:
        at += int(dice.expovariate(1 / (6 * MS)))
        held = 640 * MS <= at < 760 * MS
        writes.append((at, (760 * MS if held else at) + dice.randrange(400_000, 1_900_000)))
    return Timeline(
        title="Replicating a snapshot by the fallback",
        steps=[
            TimelineStep(label="clone from the snapshot", start_ns=20 * MS, end_ns=150 * MS, kind="step"),
            TimelineStep(label="migrate to the destination", start_ns=150 * MS, end_ns=560 * MS, kind="step"),
            TimelineStep(label="copy job", start_ns=165 * MS, end_ns=548 * MS, kind="activity"),
            TimelineStep(label="quiesce", start_ns=640 * MS, end_ns=760 * MS, kind="quiesce"),
            TimelineStep(label="take a snapshot", start_ns=645 * MS, end_ns=755 * MS, kind="step"),
            TimelineStep(label="delete both volumes", start_ns=780 * MS, end_ns=830 * MS, kind="step"),
        ],
        writes_ns=writes,
    )


def check(driver: str, name: str, *clauses: ClauseResult, testbed: str = "iscsi-sim", **more: object) -> CheckResult:
    """A check with the outcome that its clauses give it."""
    outcomes = [result.outcome for result in clauses]
    values: dict[str, object] = {
        "title": "what the check shows",
        "outcome": Outcome.FAILED if Outcome.FAILED in outcomes else outcomes[0] if outcomes else Outcome.PASSED,
        "digest": "9f2c41d07be6aa1543",
        "run_ns": 912 * MS,
        "wall_s": 0.0417,
        "reproduce": f"pytest conformance --driver {driver} --testbed {testbed} --seed 20240611 -k '{name}'",
    }
    return CheckResult.model_validate(
        {
            "check": name,
            "driver": driver,
            "testbed": testbed,
            "seed": 20240611,
            "clauses": list(clauses),
            **values,
            **more,
        }
    )


def passed(clause: str, evidence: Evidence) -> ClauseResult:
    """A clause that was kept."""
    return ClauseResult(clause=clause, outcome=Outcome.PASSED, evidence=evidence)


def _checks(driver: str, evidence: Evidence) -> list[CheckResult]:
    found = []
    for testbed in ("iscsi-sim", "nfs-sim"):
        for info in CLAUSES:
            if not info.checked or (driver == "acme-fast" and info.id in ("Q-9", "C-5")):
                continue
            result = passed(info.id, Evidence.DECLARED if info.id.startswith("A-") else evidence)
            if info.id == "Q-12":
                result = ClauseResult(clause="Q-12", outcome=Outcome.NOT_APPLICABLE, message="every method is listed")
            timeline = fallback_timeline() if info.id == "R-2" else None
            found.append(
                check(driver, f"test_{info.id.lower().replace('-', '_')}", result, testbed=testbed, timeline=timeline)
            )
    return found


def _methods(listed: tuple[str, ...]) -> list[MethodPlan]:
    return [
        MethodPlan(
            method=method,
            implemented=True,
            listed=method in listed,
            plan="invoke while hosts write" if method in listed else "quiesce, invoke, release",
            reason="listed in stateless_activities" if method in listed else "not listed, so it may change the state",
        )
        for method in ("create_snapshot", "create_cloned_volume", "migrate_volume", "extend_volume")
    ]


def _report_on(description: Description, checks: list[CheckResult]) -> DriverReport:
    rows = summarise(CLAUSES, checks)
    verdict, reasons = judge({info.id: info for info in CLAUSES}, rows, checks, description)
    return DriverReport(description=description, verdict=verdict, reasons=reasons, clauses=rows, checks=checks)


def reference() -> DriverReport:
    """The reference driver on a publication: consistent."""
    published = {
        "stateless_activities": ["create_snapshot", "create_cloned_volume"],
        "snapshot_replication": False,
        "handle_scope": "user-specific",
    }
    return _report_on(
        Description(
            driver="lvm-publication",
            target="conformance/publications/lvm.toml",
            vendor_code=False,
            published=published,
            effective={**published, "backup_compression_techniques": []},
            defaults=["backup_compression_techniques"],
            findings=[
                Finding(
                    severity=Severity.ADVISORY,
                    clause="A-1",
                    subject="backend_activity_attributes",
                    found="the published dict can be changed by whoever reads it",
                    remedy="publish a types.MappingProxyType",
                )
            ],
            methods=_methods(("create_snapshot", "create_cloned_volume")),
            sources=["conformance/publications/lvm.toml, line 12"],
        ),
        _checks("lvm-publication", Evidence.MODELLED),
    )


def faulty() -> DriverReport:
    """A driver that copies block by block while claiming to be stateless: torn images, non-conformant."""
    torn = ClauseResult(
        clause="Q-9",
        outcome=Outcome.FAILED,
        evidence=Evidence.EXERCISED,
        message=(
            "the image of volume-1 is torn: it shows write 418 to block 7 (issued at place 1203), but not write 391 "
            "to block 96, which was acknowledged before that (place 1187)"
        ),
        witness={
            "volume": "volume-1",
            "shown_write": {"stamp": 418, "block": 7, "issued at place": 1203},
            "missing_write": {"stamp": 391, "block": 96, "acknowledged at place": 1187},
            "method": "create_snapshot",
            "already copied": False,
        },
    )
    label = ClauseResult(
        clause="C-5",
        outcome=Outcome.UNVERIFIABLE,
        message="published lzo, for which no standard decoder is installed",
    )
    checks = [
        *_checks("acme-fast", Evidence.EXERCISED),
        check(
            "acme-fast",
            "test_q_9[create_snapshot]",
            torn,
            output="copying block 0\ncopying block 1\n",
            timeline=fallback_timeline(),
        ),
        check("acme-fast", "test_c_5", label),
    ]
    published = {
        "stateless_activities": ["create_snapshot"],
        "snapshot_replication": True,
        "backup_compression_techniques": ["zlib", "lzo"],
        "handle_scope": "source-specific",
        "handel_scope": "unrestricted",
    }
    effective = {name: value for name, value in published.items() if name != "handel_scope"}
    return _report_on(
        Description(
            driver="acme-fast",
            target="acme.cinder.driver:FastDriver",
            vendor_code=True,
            published=published,
            effective=effective,
            defaults=[],
            findings=[
                Finding(
                    severity=Severity.WARNING,
                    clause="A-3",
                    subject="handel_scope",
                    found="the key is unknown and was ignored; the nearest known key is handle_scope",
                    remedy="remove it",
                )
            ],
            methods=_methods(("create_snapshot",)),
            sources=["acme/cinder/driver.py, line 41"],
        ),
        checks,
    )


def report(*drivers: DriverReport, errors: tuple[str, ...] = ()) -> Report:
    """A run over these drivers; over the reference and the faulty one if none are given."""
    return Report(
        harness_version="0.1.0",
        python_version="3.11.9",
        seed=20240611,
        testbeds=["iscsi-sim", "nfs-sim"],
        command="pytest conformance --driver lvm-publication --driver acme-fast --seed 20240611",
        clauses=CLAUSES,
        drivers=list(drivers) or [reference(), faulty()],
        errors=list(errors),
    )
