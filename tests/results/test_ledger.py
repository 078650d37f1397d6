"""The ledger of a check: which judgement of a clause stands, and what a clause is that nobody judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.verdicts import CheckEnded, Ledger
from harness.results import ClauseResult, Evidence, Outcome

Q9, Q10, Q1 = "Q-9", "Q-10", "Q-1"  # the last one binds the taskflow only
PASSED, FAILED, NOT_APPLICABLE, UNVERIFIABLE = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.NOT_APPLICABLE,
    Outcome.UNVERIFIABLE,
)


@pytest.fixture
def ledger() -> Ledger:
    """The ledger of a check of three clauses, run with the vendor's code."""
    return Ledger((Q9, Q10, Q1), Evidence.EXERCISED)


def outcomes(ledger: Ledger) -> list[Outcome]:
    """What became of the three clauses, in their order."""
    results = ledger.results()
    assert [result.clause for result in results] == [Q9, Q10, Q1]
    return [result.outcome for result in results]


def of(ledger: Ledger, clause: str) -> ClauseResult:
    """One clause's result."""
    return next(result for result in ledger.results() if result.clause == clause)


def ends(call: Callable[..., None], *args: Any) -> None:
    """The call ends the check."""
    with pytest.raises(CheckEnded):
        call(*args)


def test_a_clause_that_was_not_judged_is_unverifiable(ledger: Ledger) -> None:
    """A check that asserts nothing proves nothing, and says so."""
    ledger.expect(Q9, True, "")
    assert outcomes(ledger) == [PASSED, UNVERIFIABLE, UNVERIFIABLE]
    assert of(ledger, Q10).message == "the check came to no judgement of it"
    assert of(ledger, Q10).evidence is None


def test_a_pass_and_a_failure(ledger: Ledger) -> None:
    """A pass has its evidence and no words, a failure its message and witness; the condition is handed back."""
    assert ledger.expect(Q9, True, "it is torn", {"block": 1})
    assert not ledger.expect(Q10, False, "it is torn", {"block": 1})
    passed, failed = of(ledger, Q9), of(ledger, Q10)
    assert passed == ClauseResult(clause=Q9, outcome=PASSED, evidence=Evidence.EXERCISED)
    expected = {"outcome": FAILED, "message": "it is torn", "witness": {"block": 1}, "evidence": Evidence.EXERCISED}
    assert failed == ClauseResult(clause=Q10, **expected)


def test_evidence_of_one_judgement(ledger: Ledger) -> None:
    """A judgement that rests on other evidence than the check says so."""
    ledger.expect(Q9, True, "", evidence=Evidence.DECLARED)
    ledger.expect(Q10, False, "wrong", evidence=Evidence.MODELLED)
    assert (of(ledger, Q9).evidence, of(ledger, Q10).evidence) == (Evidence.DECLARED, Evidence.MODELLED)


def test_the_evidence_of_a_pass_is_that_of_the_last_one(ledger: Ledger) -> None:
    """Where a clause holds time and again, the evidence is that of the last judgement."""
    ledger.expect(Q9, True, "", evidence=Evidence.DECLARED)
    ledger.expect(Q9, True, "")
    assert of(ledger, Q9).evidence is Evidence.EXERCISED


def test_the_first_failure_stands(ledger: Ledger) -> None:
    """Neither a pass, nor another failure, nor setting it aside covers the first failure of a clause."""
    ledger.expect(Q9, False, "first")
    ledger.expect(Q9, True, "")
    ledger.expect(Q9, False, "second")
    ledger.set_aside(Q9, "no claim")
    ends(ledger.unverifiable, "no fault", Q9)
    ledger.fail_rest("the driver raised")
    assert (of(ledger, Q9).outcome, of(ledger, Q9).message) == (FAILED, "first")


def test_a_failure_after_a_pass_counts(ledger: Ledger) -> None:
    """A clause that held at first and was broken later is failed."""
    ledger.expect(Q9, True, "")
    ledger.expect(Q9, False, "later")
    assert of(ledger, Q9).message == "later"


def test_a_clause_that_was_not_declared(ledger: Ledger) -> None:
    """Judging a clause that the check does not declare is the check's mistake, and names those that it declares."""
    with pytest.raises(LookupError, match="does not declare clause H-1; it declares Q-9, Q-10, Q-1"):
        ledger.expect("H-1", True, "")


def test_setting_aside_goes_on(ledger: Ledger) -> None:
    """A clause that is set aside is not applicable, with its reason and without evidence; the others stay open."""
    ledger.set_aside(Q9, "nothing is listed")
    ledger.expect(Q10, True, "")
    assert outcomes(ledger) == [NOT_APPLICABLE, PASSED, UNVERIFIABLE]
    assert of(ledger, Q9) == ClauseResult(clause=Q9, outcome=NOT_APPLICABLE, message="nothing is listed")


@pytest.mark.parametrize(("way", "outcome"), [("not_applicable", NOT_APPLICABLE), ("unverifiable", UNVERIFIABLE)])
def test_ending_a_check_closes_what_is_open(ledger: Ledger, way: str, outcome: Outcome) -> None:
    """Ended without naming clauses, a check keeps what it knows, and the rest gets the reason."""
    ledger.expect(Q9, True, "")
    ends(getattr(ledger, way), "the reason")
    assert outcomes(ledger) == [PASSED, outcome, outcome]
    assert of(ledger, Q10).message == "the reason"


@pytest.mark.parametrize(("way", "outcome"), [("not_applicable", NOT_APPLICABLE), ("unverifiable", UNVERIFIABLE)])
def test_ending_a_check_for_named_clauses(ledger: Ledger, way: str, outcome: Outcome) -> None:
    """Ended for named clauses, a pass of theirs is taken back, and no other clause gets the reason."""
    ledger.expect(Q9, True, "")
    ledger.expect(Q10, True, "")
    ends(getattr(ledger, way), "the reason", Q10)
    assert outcomes(ledger) == [PASSED, outcome, UNVERIFIABLE]
    assert of(ledger, Q1).message == "the check came to no judgement of it"


def test_a_reason_that_was_given_first_stands(ledger: Ledger) -> None:
    """Ending a check for a clause that was set aside leaves the first reason."""
    ledger.set_aside(Q9, "nothing is listed")
    ends(ledger.unverifiable, "no fault", Q9)
    assert of(ledger, Q9).message == "nothing is listed"


def test_a_driver_that_breaks_the_check_off(ledger: Ledger) -> None:
    """What binds the driver fails, passes so far included; what binds the taskflow alone is left open."""
    ledger.expect(Q9, True, "")
    ledger.fail_rest("the driver raised")
    assert outcomes(ledger) == [FAILED, FAILED, UNVERIFIABLE]
    assert {result.message for result in ledger.results()} == {"the driver raised"}


def test_breaking_off_takes_nothing_back_that_is_not_the_driver_s() -> None:
    """A taskflow's pass, and what was set aside before, stay as they are when the driver breaks the check off."""
    ledger = Ledger((Q9, Q10, Q1), Evidence.EXERCISED)
    ledger.expect(Q1, True, "")
    ledger.set_aside(Q10, "nothing is listed")
    ledger.fail_rest("the driver raised")
    assert outcomes(ledger) == [FAILED, NOT_APPLICABLE, PASSED]
