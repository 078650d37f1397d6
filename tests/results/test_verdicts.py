"""The verdicts of specification section 8, as a table of cases."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.judging import judge, judge_driver, summarise
from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    Description,
    DriverReport,
    Evidence,
    Finding,
    Level,
    Outcome,
    Report,
    Severity,
    Verdict,
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


@dataclass(frozen=True)
class Case:
    """What a run found, and the verdict that follows."""

    name: str
    verdict: Verdict
    checks: tuple[CheckResult, ...]
    about: Description = field(default_factory=description)
    errors: tuple[str, ...] = ()


CASES = [
    Case("all passed on the vendor's code", Verdict.CONFORMANT, (GOOD,)),
    Case("only a publication", Verdict.CONSISTENT, (GOOD,), description(vendor_code=False)),
    Case("a driver clause on modelled evidence", Verdict.CONSISTENT, (OTHERS, check("q", result("Q-9", P, MODELLED)))),
    Case("a driver clause on declared evidence", Verdict.CONSISTENT, (OTHERS, check("q", result("Q-9", P, DECLARED)))),
    Case("a driver clause without evidence", Verdict.CONSISTENT, (OTHERS, check("q", result("Q-9", P, None)))),
    Case(
        "one part exercised, another only modelled",
        Verdict.CONSISTENT,
        (GOOD, check("q", result("Q-9", P, MODELLED))),
    ),
    Case(
        "one check on two testbeds, exercised on one",
        Verdict.CONFORMANT,
        (GOOD, check("good", result("Q-9", P, MODELLED), testbed="files")),
    ),
    Case(
        "nothing but the publication was read",
        Verdict.CONSISTENT,
        (check("a", result("A-1", P, DECLARED), result("Q-1", P), result("Q-9", N), result("H-2", N)),),
    ),
    Case(
        "nothing of the driver's applies",
        Verdict.INCOMPLETE,
        (check("a", result("A-1", N), result("Q-1", P), result("Q-9", N), result("H-2", N)),),
    ),
    Case("a mandatory clause failed", Verdict.NON_CONFORMANT, (OTHERS, check("q", result("Q-9", F), outcome=F))),
    Case("failed on one of two testbeds", Verdict.NON_CONFORMANT, (GOOD, check("good", result("Q-9", F), outcome=F))),
    Case(
        "failed for a publication",
        Verdict.NON_CONFORMANT,
        (OTHERS, check("q", result("Q-9", F, MODELLED), outcome=F)),
        description(vendor_code=False),
    ),
    Case("a clause that binds both failed", Verdict.NON_CONFORMANT, (GOOD, check("h", result("H-2", F), outcome=F))),
    Case("an advisory clause failed", Verdict.CONFORMANT, (GOOD, check("adv", result("Q-12", F), outcome=F))),
    Case("an unchecked clause is open", Verdict.CONFORMANT, (GOOD, check("u", result("H-6", U), outcome=U))),
    Case("an advisory clause is waived", Verdict.CONFORMANT, (GOOD, check("adv", result("Q-12", W), outcome=W))),
    Case("unverifiable everywhere", Verdict.INCOMPLETE, (OTHERS, check("q", result("Q-9", U), outcome=U))),
    Case(
        "unverifiable on one testbed, passed on another",
        Verdict.CONFORMANT,
        (GOOD, check("good", result("Q-9", U), outcome=U, testbed="files")),
    ),
    Case(
        "one check of a clause unverifiable, another passed",
        Verdict.INCOMPLETE,
        (GOOD, check("q", result("Q-9", U), outcome=U)),
    ),
    Case("a clause not run", Verdict.INCOMPLETE, (OTHERS,)),
    Case("waived", Verdict.INCOMPLETE, (OTHERS, check("q", result("Q-9", W), outcome=W))),
    Case(
        "waived on one testbed, passed on another",
        Verdict.INCOMPLETE,
        (GOOD, check("good", result("Q-9", W), outcome=W, testbed="files")),
    ),
    Case("a whole check skipped", Verdict.INCOMPLETE, (GOOD, check("skipped", outcome=U, message="needs root"))),
    Case("a whole check waived", Verdict.INCOMPLETE, (GOOD, check("skipped", outcome=W))),
    Case(
        "a waived check keeps its violation to itself",
        Verdict.INCOMPLETE,
        (OTHERS, check("q", result("Q-9", W), outcome=W, findings=(violation("Q-9"),))),
    ),
    Case(
        "a waived check keeps a violation of no clause to itself",
        Verdict.INCOMPLETE,
        (GOOD, check("d", outcome=W, findings=(violation(None),))),
    ),
    Case("nothing was run", Verdict.HARNESS_ERROR, ()),
    Case("a taskflow clause failed", Verdict.HARNESS_ERROR, (GOOD, check("q", result("Q-1", F), outcome=F))),
    Case(
        "a taskflow clause failed beside a waived one of the driver",
        Verdict.INCOMPLETE,
        (OTHERS, check("q", result("Q-9", W), result("Q-1", F), outcome=F)),
    ),
    Case(
        "a taskflow clause failed beside a waived one that is advisory",
        Verdict.HARNESS_ERROR,
        (GOOD, check("q", result("Q-12", W), result("Q-1", F), outcome=F)),
    ),
    Case(
        "a taskflow clause failed beside a waived one of a publication without code",
        Verdict.HARNESS_ERROR,
        (OTHERS, check("q", result("Q-9", W), result("Q-1", F), outcome=F)),
        description(vendor_code=False),
    ),
    Case("a check broke", Verdict.HARNESS_ERROR, (GOOD, check("q", outcome=E, message="ZeroDivisionError"))),
    Case(
        "a clause of a failed check broke",
        Verdict.HARNESS_ERROR,
        (GOOD, check("q", result("Q-9", F), result("H-2", E), outcome=F)),
    ),
    Case(
        "a failure does not hide an error",
        Verdict.HARNESS_ERROR,
        (GOOD, check("q", result("Q-9", F), outcome=F), check("r", outcome=E)),
    ),
    Case("a result for a clause that is none", Verdict.HARNESS_ERROR, (GOOD, check("q", result("Q-99", P)))),
    Case("a waiver matched nothing", Verdict.HARNESS_ERROR, (GOOD,), errors=("waiver Q-9 matched nothing",)),
    Case("failed without a clause", Verdict.NON_CONFORMANT, (GOOD, check("d", outcome=F, message="digests differ"))),
    Case(
        "failed without a clause in our own driver",
        Verdict.HARNESS_ERROR,
        (GOOD, check("d", outcome=F)),
        description(vendor_code=False),
    ),
    Case("a violation without a clause", Verdict.NON_CONFORMANT, (GOOD, check("d", findings=(violation(None),)))),
    Case(
        "a violation without a clause in our own driver",
        Verdict.HARNESS_ERROR,
        (GOOD, check("d", findings=(violation(None),))),
        description(vendor_code=False),
    ),
    Case(
        "a violation of a clause that passed", Verdict.NON_CONFORMANT, (GOOD, check("d", findings=(violation("Q-9"),)))
    ),
    Case("a violation of an advisory clause", Verdict.CONFORMANT, (GOOD, check("d", findings=(violation("Q-12"),)))),
    Case("a warning", Verdict.CONFORMANT, (GOOD, check("d", findings=(violation("Q-9", Severity.WARNING),)))),
    Case("a violation in the publication", Verdict.NON_CONFORMANT, (GOOD,), description(violation("A-1"))),
    Case(
        "a violation in a publication without code",
        Verdict.NON_CONFORMANT,
        (GOOD,),
        description(violation(None), vendor_code=False),
    ),
    Case(
        "a violation in the publication, waived",
        Verdict.INCOMPLETE,
        (GOOD, check("a", result("A-1", W), outcome=W)),
        description(violation("A-1")),
    ),
    Case("advice on the publication", Verdict.CONFORMANT, (GOOD,), description(violation("A-1", Severity.ADVISORY))),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_gets_its_verdict(case: Case) -> None:
    """Each case of the table leads to the verdict that the specification gives it, with a reason."""
    rows = summarise(CLAUSES.values(), case.checks)
    verdict, reasons = judge(CLAUSES, rows, case.checks, case.about, case.errors)
    assert verdict is case.verdict, reasons
    assert reasons
    assert all(reasons)


LEVELS = {
    # what is open or broken beside GOOD's results: the verdict at core, the verdict at full
    "nothing": ((), Verdict.CONFORMANT, Verdict.CONFORMANT),
    "core clause open": ((result("Q-9", U),), Verdict.INCOMPLETE, Verdict.INCOMPLETE),
    "core clause waived": ((result("Q-9", W),), Verdict.INCOMPLETE, Verdict.INCOMPLETE),
    "core clause failed": ((result("Q-9", F),), Verdict.NON_CONFORMANT, Verdict.NON_CONFORMANT),
    "core clause only modelled": ((result("Q-9", P, MODELLED),), Verdict.CONSISTENT, Verdict.CONSISTENT),
    "other clause open": ((result("H-2", U),), Verdict.CONFORMANT, Verdict.INCOMPLETE),
    "other clause only modelled": ((result("H-2", P, MODELLED),), Verdict.CONFORMANT, Verdict.CONSISTENT),
    "other clause failed": ((result("H-2", F),), Verdict.NON_CONFORMANT, Verdict.NON_CONFORMANT),
    "taskflow clause failed": ((result("Q-1", F),), Verdict.HARNESS_ERROR, Verdict.HARNESS_ERROR),
}


@pytest.mark.parametrize("name", LEVELS)
def test_each_level_has_its_verdict(name: str) -> None:
    """What is open counts for the clauses of the level only; what failed counts at either level."""
    more, at_core, at_full = LEVELS[name]
    clauses = CLAUSES | {"Q-9": CLAUSES["Q-9"].model_copy(update={"core": True})}
    checks = [GOOD, check("more", *more, outcome=more[0].outcome if more else P)]
    rows = summarise(clauses.values(), checks)
    for level, expected in ((Level.CORE, at_core), (Level.FULL, at_full)):
        assert judge(clauses, rows, checks, description(), level=level)[0] is expected


@pytest.mark.parametrize("level", Level)
def test_a_core_clause_without_a_check_is_never_conformant(level: Level) -> None:
    """A core clause of which there is no check makes a run incomplete, at either level."""
    clauses = CLAUSES | {"H-6": CLAUSES["H-6"].model_copy(update={"core": True})}
    verdict, reasons = judge(clauses, summarise(clauses.values(), [GOOD]), [GOOD], description(), level=level)
    assert (verdict, len(reasons)) == (Verdict.INCOMPLETE, 1 if level is Level.FULL else len(reasons))
    assert any("H-6" in reason and "has no check" in reason for reason in reasons)


def test_every_core_clause_can_be_verified() -> None:
    """Each core clause of the specification is mandatory and has a check, so that the level core can be reached."""
    from conformance.clauses import CLAUSES as SPECIFIED

    core = [info for info in SPECIFIED.values() if info.core]
    assert len(core) > 10
    assert all(info.mandatory and info.checked for info in core)


def test_a_summary_names_what_decided_it() -> None:
    """A row carries the message of the result that decided it, each testbed's outcome, and its checks once each."""
    checks = [
        check("q[snapshot]", result("Q-9", P, message="fine")),
        check("q[snapshot]", result("Q-9", U, message="no virtual time"), testbed="files", outcome=U),
        check("q[clone]", result("Q-9", F, REAL, message="torn"), testbed="files", outcome=F),
    ]
    row = next(row for row in summarise(CLAUSES.values(), checks) if row.clause == "Q-9")
    assert (row.outcome, row.message, row.evidence) == (F, "torn", REAL)
    assert row.testbeds == {"iscsi-sim": P, "files": F}
    assert row.checks == ["q[clone]", "q[snapshot]"]


def test_a_clause_that_nobody_spoke_of_says_why() -> None:
    """A clause without results tells "not run" from "this version has no check of it"."""
    rows = {row.clause: row for row in summarise(CLAUSES.values(), [])}
    assert rows["Q-9"].outcome is U
    assert "was run" in rows["Q-9"].message
    assert "this version" in rows["H-6"].message


def test_reasons_name_the_weak_clauses() -> None:
    """A consistent verdict on a vendor's code names the clauses that were not exercised, so that it can be mended."""
    checks = [OTHERS, check("q", result("Q-9", P, MODELLED))]
    _, reasons = judge(CLAUSES, summarise(CLAUSES.values(), checks), checks, description())
    assert "Q-9 (modelled)" in reasons[0]
    assert "A-1" not in reasons[0]


def verdict(checks: list[CheckResult], about: Description) -> Verdict:
    """The verdict that these checks give."""
    return judge(CLAUSES, summarise(CLAUSES.values(), checks), checks, about)[0]


def test_a_warning_hides_no_violation() -> None:
    """A violation counts that comes after a mere warning of the publication."""
    about = description(violation("A-1", Severity.WARNING), violation(None))
    assert verdict([GOOD], about) is Verdict.NON_CONFORMANT


@pytest.mark.parametrize(("vendor_code", "expected"), [(True, Verdict.NON_CONFORMANT), (False, Verdict.HARNESS_ERROR)])
def test_whose_fault_a_broken_taskflow_clause_is(vendor_code: bool, expected: Verdict) -> None:
    """A broken taskflow clause beside a broken clause of the driver is the vendor's only where its code ran."""
    checks = [check("q", result("Q-9", F), result("Q-1", F), outcome=F)]
    assert verdict(checks, description(vendor_code=vendor_code)) is expected


def test_what_follows_from_a_waived_failure_is_told() -> None:
    """The reasons name the waived clause, and the taskflow's as what may follow from it; a failure outweighs both."""
    checks = [OTHERS, check("q", result("Q-9", W), result("Q-1", F, message="late"), outcome=F)]
    _, reasons = judge(CLAUSES, summarise(CLAUSES.values(), checks), checks, description())
    assert reasons[0].startswith("Q-9: waived")
    assert reasons[1] == "Q-1 binds the taskflow and failed, as may follow from what was waived (Q-9): late"
    assert verdict([*checks, check("h", result("H-2", F), outcome=F)], description()) is Verdict.NON_CONFORMANT


def test_a_pass_without_evidence_lends_none() -> None:
    """A clause of which one check passed without evidence has none, whatever the others had."""
    checks = [check("a", result("Q-9", P, None)), check("b", result("Q-9", P, REAL))]
    row = next(row for row in summarise(CLAUSES.values(), checks) if row.clause == "Q-9")
    assert (row.outcome, row.evidence) == (P, None)


def test_a_failure_stands_on_what_showed_it() -> None:
    """The evidence of a failed clause is that of its failure, not that of a pass of the same check elsewhere."""
    checks = [check("q", result("Q-9", F, MODELLED), outcome=F), check("q", result("Q-9", P, REAL), testbed="files")]
    row = next(row for row in summarise(CLAUSES.values(), checks) if row.clause == "Q-9")
    assert (row.outcome, row.evidence) == (F, MODELLED)


def test_reasons_say_what_no_clause_accounts_for() -> None:
    """A check that failed as a whole is told with its message, a finding on a publication as one of the publication."""
    about = description(violation(None))
    checks = [GOOD, check("whole", outcome=F, message="it went wrong"), check("silent", outcome=F)]
    _, reasons = judge(CLAUSES, summarise(CLAUSES.values(), checks), checks, about)
    assert reasons == [
        "publication: something wrong",
        "silent [iscsi-sim]: failed",
        "whole [iscsi-sim]: it went wrong",
    ]


@pytest.mark.parametrize(
    ("checks", "deselected", "unreached", "expected", "says"),
    [
        ([GOOD], 0, 0, Verdict.CONFORMANT, ["every applicable mandatory clause passed on the vendor's own code"]),
        ([GOOD], 2, 0, Verdict.INCOMPLETE, ["2 checks were deselected"]),
        ([GOOD], 0, 1, Verdict.INCOMPLETE, ["1 checks were not reached"]),
        ([GOOD], 2, 1, Verdict.INCOMPLETE, ["2 checks were deselected", "1 checks were not reached"]),
        ([check("whole", outcome=F)], 0, 0, Verdict.NON_CONFORMANT, ["whole [iscsi-sim]: failed"]),
        (
            [check("whole", outcome=F)],
            3,
            0,
            Verdict.NON_CONFORMANT,
            ["whole [iscsi-sim]: failed", "3 checks were deselected"],
        ),
    ],
)
def test_what_was_left_out_keeps_from_a_pass(
    checks: list[CheckResult], deselected: int, unreached: int, expected: Verdict, says: list[str]
) -> None:
    """A run that left checks out is no pass and says how many; a failure stays one, and says it too."""
    left_out = {name: n for name, n in (("deselected", deselected), ("unreached", unreached)) if n}
    driver = DriverReport(description=description(), verdict=Verdict.CONFORMANT, checks=checks, **left_out)
    report = Report(
        harness_version="1",
        python_version="3",
        seed=1,
        testbeds=["iscsi-sim"],
        command="",
        clauses=list(CLAUSES.values()),
        drivers=[driver],
    )
    _, judged, reasons = judge_driver(report, driver)
    assert (judged, reasons) == (expected, says)


def test_a_testbed_of_which_readers_have_to_know_something_is_told_with_it() -> None:
    """A report tells a testbed's note beside its name, and of other testbeds the name alone."""
    checks = [check("writes", testbed="tgt").model_copy(update={"testbed_note": "I/O real"})]
    driver = DriverReport(description=description(), verdict=Verdict.CONFORMANT, checks=checks)
    report = Report(harness_version="0", python_version="3", seed=1, testbeds=["tgt", "files"], command="", clauses=[],
                    drivers=[driver])  # fmt: skip
    assert report.told_testbeds == ["tgt (I/O real)", "files"]
