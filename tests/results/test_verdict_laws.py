"""Laws that hold for every set of results, whatever the table of cases forgets."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from harness.judging import combine, conjoin, judge, summarise
from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    Description,
    Evidence,
    Outcome,
    Verdict,
)

CLAUSES = {
    name: ClauseInfo(id=name, who=who, mandatory=mandatory, title=name, checked=checked)
    for name, who, mandatory, checked in (
        ("A-1", "D", True, True),
        ("Q-1", "T", True, True),
        ("Q-9", "D", True, True),
        ("Q-12", "D", False, True),
        ("H-2", "D,T", True, True),
        ("H-6", "D", True, False),
    )
}
BADNESS = {
    Verdict.CONFORMANT: 0,
    Verdict.CONSISTENT: 1,
    Verdict.INCOMPLETE: 2,
    Verdict.NON_CONFORMANT: 3,
    Verdict.HARNESS_ERROR: 4,
}
WORSE = {
    Outcome.PASSED: (Outcome.UNVERIFIABLE, Outcome.WAIVED, Outcome.FAILED, Outcome.ERROR),
    Outcome.UNVERIFIABLE: (Outcome.FAILED, Outcome.ERROR),
    Outcome.WAIVED: (Outcome.FAILED, Outcome.ERROR),
    Outcome.NOT_APPLICABLE: (Outcome.UNVERIFIABLE, Outcome.WAIVED, Outcome.FAILED, Outcome.ERROR),
    Outcome.FAILED: (Outcome.ERROR,),
    Outcome.ERROR: (),
}

# mostly good results: random ones would nearly always be harness errors, where no law can break
good = st.sampled_from([Outcome.PASSED] * 8 + [Outcome.NOT_APPLICABLE, Outcome.UNVERIFIABLE, Outcome.FAILED])
evidence = st.sampled_from([Evidence.EXERCISED] * 4 + [Evidence.REAL, Evidence.MODELLED, Evidence.DECLARED, None])


@st.composite
def check_lists(draw: st.DrawFn) -> list[CheckResult]:
    """Checks that between them speak of every clause, plus some more on either of two testbeds."""
    checks = []
    for index, names in enumerate(
        [list(CLAUSES), *draw(st.lists(st.lists(st.sampled_from(list(CLAUSES)), unique=True), max_size=4))]
    ):
        results = [ClauseResult(clause=name, outcome=draw(good), evidence=draw(evidence)) for name in names]
        checks.append(
            CheckResult(
                check=draw(st.sampled_from(["one", "two", "three"])),
                driver="d",
                testbed=draw(st.sampled_from(["iscsi-sim", "files"])),
                seed=index,
                outcome=conjoin(r.outcome for r in results) if results else Outcome.PASSED,
                clauses=results,
            )
        )
    return checks


def verdict_of(checks: list[CheckResult], vendor_code: bool = True) -> Verdict:
    """The verdict that these checks lead to."""
    about = Description(driver="d", target="d", vendor_code=vendor_code, published={}, effective={}, defaults=[])
    return judge(CLAUSES, summarise(CLAUSES.values(), checks), checks, about)[0]


@given(check_lists(), st.booleans(), st.data())
def test_a_worse_result_never_improves_the_verdict(
    checks: list[CheckResult], vendor: bool, data: st.DataObject
) -> None:
    """Making one clause's result in one check worse leaves the verdict as it was or makes it worse.

    But for one step that section 8 wants: what looked like the harness's own failure is the driver's once the driver is
    seen to break what the taskflow builds on, whether that is waived or not.
    """
    before = verdict_of(checks, vendor)
    check = data.draw(st.sampled_from([c for c in checks if c.clauses]))
    result = data.draw(st.sampled_from(check.clauses))
    if not WORSE[result.outcome]:
        return
    result.outcome = data.draw(st.sampled_from(WORSE[result.outcome]))
    check.outcome = conjoin(r.outcome for r in check.clauses)
    after = verdict_of(checks, vendor)
    blamed = vendor and before is Verdict.HARNESS_ERROR and after in (Verdict.NON_CONFORMANT, Verdict.INCOMPLETE)
    assert BADNESS[after] >= BADNESS[before] or (blamed and CLAUSES[result.clause].binds_driver)


@given(check_lists(), st.booleans(), st.data())
def test_weaker_evidence_never_improves_the_verdict(
    checks: list[CheckResult], vendor: bool, data: st.DataObject
) -> None:
    """Weakening the evidence of one result leaves the verdict as it was or makes it worse."""
    before = verdict_of(checks, vendor)
    result = data.draw(st.sampled_from([r for c in checks for r in c.clauses]))
    grades = [None, *Evidence]
    result.evidence = data.draw(st.sampled_from(grades[: grades.index(result.evidence) + 1]))
    assert BADNESS[verdict_of(checks, vendor)] >= BADNESS[before]


@given(check_lists(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_checks_does_not_matter(checks: list[CheckResult], vendor: bool, shuffler: random.Random) -> None:
    """The same results in another order give the same verdict, the same reasons and the same rows."""
    about = Description(driver="d", target="d", vendor_code=vendor, published={}, effective={}, defaults=[])
    shuffled = list(checks)
    shuffler.shuffle(shuffled)
    rows, other_rows = (summarise(CLAUSES.values(), some) for some in (checks, shuffled))
    assert rows == other_rows
    assert judge(CLAUSES, rows, checks, about) == judge(CLAUSES, other_rows, shuffled, about)


@given(check_lists())
def test_a_publication_alone_is_never_conformant(checks: list[CheckResult]) -> None:
    """Without the vendor's code no results whatever make a driver conformant."""
    assert verdict_of(checks, vendor_code=False) is not Verdict.CONFORMANT


@given(st.lists(st.sampled_from(Outcome), min_size=1))
def test_both_ways_to_join_outcomes_differ_on_unverifiable_only(outcomes: list[Outcome]) -> None:
    """Joining never invents an outcome, and the two ways agree unless a pass stands beside an unverifiable."""
    assert combine(outcomes) in outcomes
    assert conjoin(outcomes) in outcomes
    worse = {Outcome.FAILED, Outcome.ERROR, Outcome.WAIVED}
    torn = {Outcome.PASSED, Outcome.UNVERIFIABLE} <= set(outcomes) and not worse & set(outcomes)
    assert (combine(outcomes) is not conjoin(outcomes)) == torn
    if torn:
        assert (combine(outcomes), conjoin(outcomes)) == (Outcome.PASSED, Outcome.UNVERIFIABLE)


def test_joining_nothing_is_unverifiable() -> None:
    """No outcome at all is no pass."""
    assert combine([]) is Outcome.UNVERIFIABLE
    assert conjoin([]) is Outcome.UNVERIFIABLE
