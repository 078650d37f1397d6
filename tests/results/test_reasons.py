"""What a summary and a verdict's reasons say: what decided, whose fault it is, and what was left out."""

from __future__ import annotations

import pytest

from harness.judging import judge, judge_driver, summarise
from harness.results import (
    CheckResult,
    Description,
    DriverReport,
    Report,
    Severity,
    Verdict,
)
from tests.results.samples import (
    CLAUSES,
    GOOD,
    MODELLED,
    OTHERS,
    REAL,
    F,
    P,
    U,
    W,
    check,
    description,
    result,
    violation,
)


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
