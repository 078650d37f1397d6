"""The verdicts of specification section 8, as a table of cases, and of levels."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.judging import judge, summarise
from harness.results import (
    CheckResult,
    Description,
    Level,
    Severity,
    Verdict,
)
from tests.results.samples import (
    CLAUSES,
    DECLARED,
    GOOD,
    MODELLED,
    OTHERS,
    E,
    F,
    N,
    P,
    U,
    W,
    check,
    description,
    result,
    violation,
)


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
