"""The certificate of a run: what a vendor shows and a reviewer checks. All of it follows from `report.json`.

`certificate.schema.json` beside this file is its JSON Schema; `python -m reports.schema` writes it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.activity import HandleScope
from harness.attributes import KEYS
from harness.compression import TECHNIQUES
from harness.results import (
    Description,
    DriverReport,
    Evidence,
    Identity,
    Level,
    Outcome,
    Report,
    Verdict,
    Waiver,
)

SCHEMA: Final = "backend-activity/certificate/1"
"""The version of `certificate.json`."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CertifiedClause(_Model):
    """A clause's result over all testbeds. `checked` False: this version of the suites has no check of it."""

    clause: str
    outcome: Outcome
    evidence: Evidence | None
    mandatory: bool
    core: bool
    checked: bool
    testbeds: dict[str, Outcome]


class SkippedClause(_Model):
    """A clause that was not verified, and why."""

    clause: str
    core: bool
    reason: str


class CertifiedDriver(_Model):
    """What is certified of one driver.

    `identity` is the vendor's own word. Attributes are written as key, or as key.value where a key has several values:
    `stateless_activities.create_snapshot`, `handle_scope.user-specific`. `testbed_notes` say of a testbed what a reader
    of evidence gained on it has to know.
    """

    driver: str
    target: str
    vendor_code: bool
    identity: Identity | None
    driver_version: str | None
    configuration_digest: str
    profiles: dict[str, str]
    testbed_notes: dict[str, str] = Field(default_factory=dict)
    verdict: Verdict
    reasons: list[str]
    clause_counts: dict[str, int]
    check_counts: dict[str, int]
    supported_attributes: list[str]
    unsupported_attributes: list[str]
    clauses: list[CertifiedClause]
    skipped_clauses: list[SkippedClause]
    waived_clauses: list[Waiver]


class Certificate(_Model):
    """A run, certified: for which level, by which versions, with which results, and how to repeat it.

    `report_sha256` and `html_sha256` are of the bytes of `report.json` and `report.html`.
    """

    schema_version: Literal["backend-activity/certificate/1"] = SCHEMA
    specification_version: str
    harness_version: str
    python_version: str
    started_on: str
    level: Level
    seed: int
    testbeds: list[str]
    reproduce: str
    drivers: list[CertifiedDriver]
    errors: list[str]
    report_sha256: str
    html_sha256: str


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def make_certificate(report: Report, report_sha256: str, html_sha256: str) -> Certificate:
    """The certificate that follows from a report."""
    return Certificate(
        specification_version=report.specification_version,
        harness_version=report.harness_version,
        python_version=report.python_version,
        started_on=report.started_on,
        level=report.level,
        seed=report.seed,
        testbeds=report.testbeds,
        reproduce=report.command,
        drivers=[_driver(report, driver) for driver in report.drivers],
        errors=report.errors,
        report_sha256=report_sha256,
        html_sha256=html_sha256,
    )


def certificate_text(certificate: Certificate) -> str:
    """The text of `certificate.json`."""
    return json.dumps(certificate.model_dump(mode="json"), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _driver(report: Report, driver: DriverReport) -> CertifiedDriver:
    about = driver.description
    infos = {info.id: info for info in report.clauses}
    rows = [(row, infos[row.clause]) for row in driver.clauses if row.clause in infos]
    supported, unsupported = attributes(about)
    return CertifiedDriver(
        driver=about.driver,
        target=about.target,
        vendor_code=about.vendor_code,
        identity=driver.identity,
        driver_version=driver.driver_version,
        configuration_digest=driver.configuration_digest,
        profiles={check.testbed: check.profile for check in driver.checks if check.profile},
        testbed_notes=driver.testbed_notes,
        verdict=driver.verdict,
        reasons=driver.reasons,
        clause_counts=_counts(row.outcome for row in driver.clauses),
        check_counts=_counts(check.outcome for check in driver.checks),
        supported_attributes=supported,
        unsupported_attributes=unsupported,
        clauses=[
            CertifiedClause(
                clause=row.clause,
                outcome=row.outcome,
                evidence=row.evidence,
                mandatory=info.mandatory,
                core=info.core,
                checked=info.checked,
                testbeds=row.testbeds,
            )
            for row, info in rows
        ],
        skipped_clauses=[
            SkippedClause(clause=row.clause, core=info.core, reason=row.message)
            for row, info in rows
            if row.outcome is Outcome.UNVERIFIABLE
        ],
        waived_clauses=driver.waivers,
    )


def _counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    found = Counter(outcomes)
    return {outcome.value: found[outcome] for outcome in Outcome}


def attributes(about: Description) -> tuple[list[str], list[str]]:
    """The attributes that a driver supports, and those that it does not, by what it validly publishes."""
    supported: list[str] = []
    unsupported: list[str] = []
    known: dict[str, list[Any]] = {
        "stateless_activities": [plan.method for plan in about.methods],
        "snapshot_replication": [],
        "backup_compression_techniques": list(TECHNIQUES),
        "handle_scope": [scope.value for scope in HandleScope],
    }
    for key in KEYS:
        value = None if key in about.defaults else about.effective.get(key)
        values = value if isinstance(value, list) else [value] if isinstance(value, str) else []
        if not known[key]:
            (supported if value else unsupported).append(key)
        supported += [f"{key}.{each}" for each in values]
        unsupported += [f"{key}.{each}" for each in known[key] if each not in values]
    return supported, unsupported
