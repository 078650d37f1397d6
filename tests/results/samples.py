"""Clauses, results, checks and descriptions of which the tests of verdicts are made."""

from __future__ import annotations

from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    Description,
    Evidence,
    Finding,
    Outcome,
    Severity,
)

CLAUSES = {
    info.id: info
    for info in (
        ClauseInfo(id="A-1", who="D", mandatory=True, title="a mapping"),
        ClauseInfo(id="Q-1", who="T", mandatory=True, title="quiesced first"),
        ClauseInfo(id="Q-9", who="D", mandatory=True, title="point in time"),
        ClauseInfo(id="Q-12", who="D", mandatory=False, title="under-claimed"),
        ClauseInfo(id="H-2", who="D,T", mandatory=True, title="refused"),
        ClauseInfo(id="H-6", who="D", mandatory=True, title="unique", checked=False),
    )
}

P, F, N, U, W, E = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.NOT_APPLICABLE,
    Outcome.UNVERIFIABLE,
    Outcome.WAIVED,
    Outcome.ERROR,
)
DECLARED, MODELLED, EXERCISED, REAL = Evidence


def result(clause: str, outcome: Outcome, evidence: Evidence | None = EXERCISED, message: str = "") -> ClauseResult:
    """One clause result."""
    return ClauseResult(clause=clause, outcome=outcome, evidence=evidence, message=message)


def check(
    name: str,
    *clauses: ClauseResult,
    outcome: Outcome = P,
    testbed: str = "iscsi-sim",
    findings: tuple[Finding, ...] = (),
    message: str = "",
) -> CheckResult:
    """One check that spoke of these clauses."""
    return CheckResult(
        check=name,
        driver="d",
        testbed=testbed,
        seed=1,
        outcome=outcome,
        clauses=list(clauses),
        findings=list(findings),
        message=message,
    )


def description(*findings: Finding, vendor_code: bool = True) -> Description:
    """A driver with these findings on its publication."""
    return Description(
        driver="d",
        target="acme:Driver",
        vendor_code=vendor_code,
        published={},
        effective={},
        defaults=[],
        findings=list(findings),
    )


def violation(clause: str | None, severity: Severity = Severity.VIOLATION) -> Finding:
    """One finding."""
    return Finding(severity=severity, clause=clause, found="something wrong")


GOOD = check(
    "good",
    result("A-1", P, DECLARED),
    result("Q-1", P, MODELLED),
    result("Q-9", P),
    result("Q-12", N, None),
    result("H-2", P, REAL),
)
OTHERS = check("others", result("A-1", P, DECLARED), result("Q-1", P, MODELLED), result("H-2", P))
"""As GOOD, but for Q-9."""
