"""What verdicts, outcomes and evidence are called, and what they mean to somebody who reads a report."""

from __future__ import annotations

from harness.results import DriverReport, Evidence, Outcome, Severity, Verdict
from reports.text import one_line

VERDICT_MEANING: dict[Verdict, str] = {
    Verdict.CONFORMANT: "Every applicable mandatory clause passed, exercised on the vendor's own code.",
    Verdict.CONSISTENT: (
        "Every applicable mandatory clause passed, but on declared or modelled evidence: "
        "what is published fits together; the vendor's own code was not, or not fully, put to the test."
    ),
    Verdict.NON_CONFORMANT: "At least one mandatory clause failed.",
    Verdict.INCOMPLETE: (
        "No failure counts, but at least one applicable mandatory clause could not be verified, was skipped, or failed "
        "and was waived. This is not a pass."
    ),
    Verdict.HARNESS_ERROR: (
        "The harness itself, its taskflow or its configuration went wrong. "
        "This says nothing about the driver, neither good nor bad."
    ),
}

NOTHING_FAILED = (
    "Nothing failed, but at least one applicable mandatory clause could not be verified, or was skipped. "
    "This is not a pass."
)
FAILURES_WAIVED = "Clauses failed, and whoever ran this has waived them: {clauses}. This is not a pass."


def verdict_meaning(driver: DriverReport) -> str:
    """What a driver's verdict means; where failures were waived, that they were."""
    if driver.verdict is not Verdict.INCOMPLETE:
        return VERDICT_MEANING[driver.verdict]
    waived = [row.clause for row in driver.clauses if row.outcome is Outcome.WAIVED]
    if waived:
        return FAILURES_WAIVED.format(clauses=one_line(", ".join(waived), 200))
    failed = any(row.outcome in (Outcome.FAILED, Outcome.ERROR) for row in driver.clauses)
    return VERDICT_MEANING[driver.verdict] if failed else NOTHING_FAILED


OUTCOME_SYMBOL: dict[Outcome, str] = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.NOT_APPLICABLE: "–",
    Outcome.UNVERIFIABLE: "?",
    Outcome.WAIVED: "~",
    Outcome.ERROR: "!",
}

VERDICT_SYMBOL: dict[Verdict, str] = {
    Verdict.CONFORMANT: "✓",
    Verdict.CONSISTENT: "≈",
    Verdict.NON_CONFORMANT: "✗",
    Verdict.INCOMPLETE: "?",
    Verdict.HARNESS_ERROR: "!",
}

OUTCOME_MEANING: dict[Outcome, str] = {
    Outcome.PASSED: "checked, and kept",
    Outcome.FAILED: "checked, and broken",
    Outcome.NOT_APPLICABLE: "the publication makes no claim that the clause tests; does not count",
    Outcome.UNVERIFIABLE: "claimed, but could not be exercised",
    Outcome.WAIVED: "set aside by a waiver of whoever ran this",
    Outcome.ERROR: "the harness went wrong; says nothing about the driver",
}

EVIDENCE_MEANING: dict[Evidence, str] = {
    Evidence.DECLARED: "read from the publication",
    Evidence.MODELLED: "a reference driver acted the publication out on a simulated backend",
    Evidence.EXERCISED: "the vendor's own code ran on a simulated backend",
    Evidence.REAL: "ran on a real target",
}

SEVERITY_WORD: dict[Severity, str] = {
    Severity.VIOLATION: "Violation",
    Severity.WARNING: "Warning",
    Severity.ADVISORY: "Advice",
}

SECTION_TITLE: dict[str, str] = {
    "A": "Publication",
    "Q": "Quiescing",
    "R": "Snapshot replication",
    "H": "Activity handles",
    "C": "Backup compression",
}


def binds(who: str) -> str:
    """Whom a clause binds, in words."""
    return " and ".join({"D": "driver", "T": "taskflow"}.get(part, part) for part in who.split(","))
