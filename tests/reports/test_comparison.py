"""What `compare` finds between two reports, and what its gate makes of it."""

from __future__ import annotations

import io
import itertools
import json

import pytest
from report_samples import check, faulty, passed, reference, report
from rich.console import Console

from harness.results import CheckResult, ClauseResult, Evidence, Outcome, Report
from reports.comparison import Change, FailOn, classify, compare
from reports.comparison_text import comparison_json, print_comparison
from reports.markdown import comparison_markdown, escaped

P, F, N, U, W, E = (Outcome.PASSED, Outcome.FAILED, Outcome.NOT_APPLICABLE, Outcome.UNVERIFIABLE, Outcome.WAIVED,
                    Outcome.ERROR)  # fmt: skip

TABLE = {
    # old: what it becomes where new is (passed, failed, not applicable, unverifiable, waived, error, not run)
    P: "unchanged|new failure|newly skipped|newly skipped|newly skipped|new failure|vanished",
    F: "fixed|still failing|newly skipped|newly skipped|newly skipped|still failing|vanished",
    N: "newly passed|new failure|unchanged|newly skipped|newly skipped|new failure|vanished",
    U: "newly passed|new failure|unchanged|unchanged|unchanged|new failure|vanished",
    W: "newly passed|new failure|unchanged|unchanged|unchanged|new failure|vanished",
    E: "fixed|still failing|newly skipped|newly skipped|newly skipped|still failing|vanished",
    None: "newly passed|new failure|unchanged|newly skipped|newly skipped|new failure|unchanged",
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(TABLE, (P, F, N, U, W, E, None))))
def test_every_pair_of_outcomes_is_one_change(old: Outcome | None, new: Outcome | None) -> None:
    """Each pair of an old and a new outcome is the change that the table gives it."""
    expected = TABLE[old].split("|")[(P, F, N, U, W, E, None).index(new)]
    assert classify(old, new) == expected


def run(**outcomes: Outcome) -> Report:
    """A run of one driver with these checks."""
    driver = reference()
    driver.checks = [
        check("d", name, ClauseResult(clause="Q-9", outcome=outcome, evidence=Evidence.EXERCISED), outcome=outcome)
        for name, outcome in outcomes.items()
    ]
    return report(driver)


OLD = run(stays=P, breaks=P, broken=F, mended=F, lost=P, skipped=P, gains=U)
NEW = run(stays=P, breaks=F, broken=F, mended=P, skipped=U, gains=P, added=F)


def test_each_change_is_found() -> None:
    """Every check stands under what became of it, and those that stayed are counted."""
    found = compare(OLD, NEW)
    by_change = {change: [c.check for c in found.of(change)] for change in Change if found.of(change)}
    assert by_change == {
        Change.NEW_FAILURE: ["added", "breaks"],
        Change.STILL_FAILING: ["broken"],
        Change.NEWLY_SKIPPED: ["skipped"],
        Change.VANISHED: ["lost"],
        Change.FIXED: ["mended"],
        Change.NEWLY_PASSED: ["gains"],
    }
    assert found.unchanged == 1


@pytest.mark.parametrize(
    ("old", "new", "shut_by"),
    [
        (OLD, OLD, {FailOn.ANY_FAILURE}),
        (
            OLD,
            run(**{c.check: c.outcome for c in OLD.drivers[0].checks} | {"stays": F}),
            {FailOn.NEW_FAILURE, FailOn.ANY_FAILURE},
        ),
        (run(a=P), run(a=U), {FailOn.NEWLY_SKIPPED}),
        (run(a=P, b=P), run(a=P), {FailOn.NEWLY_SKIPPED}),
        (run(a=P), run(a=P, b=P), set()),
        (run(a=F), run(a=P), set()),
        (OLD, NEW, {FailOn.NEW_FAILURE, FailOn.ANY_FAILURE, FailOn.NEWLY_SKIPPED}),
    ],
    ids=["same", "one more failure", "skipped", "lost", "added", "fixed", "everything"],
)
def test_the_gate_is_shut_by_what_it_names(old: Report, new: Report, shut_by: set[FailOn]) -> None:
    """Each gate is shut by its own changes, and by no others; several shut when one of them does; never stays open."""
    found = compare(old, new)
    gates = [gate for gate in FailOn if gate is not FailOn.NEVER]
    assert {gate for gate in gates if found.reasons([gate])} == shut_by
    assert bool(found.reasons(gates)) == bool(shut_by)
    assert not found.reasons([FailOn.NEVER])


def test_an_error_of_the_run_is_a_new_failure() -> None:
    """A run that went wrong as a whole, or examined no driver, is a failure even where no check changed."""
    broken = OLD.model_copy(update={"errors": ["suite could not be collected"]})
    assert compare(OLD, broken).reasons([FailOn.NEW_FAILURE]) == ["1 new failure"]
    assert compare(OLD, OLD.model_copy(update={"drivers": []})).reasons([FailOn.NEW_FAILURE])


def test_an_advisory_failure_shuts_no_gate() -> None:
    """A check that failed on advisory clauses alone counts as passed."""
    advisory = check("d", "a", ClauseResult(clause="Q-12", outcome=F, message="could be listed"), outcome=F)
    driver = reference()
    driver.checks = [advisory]
    assert not compare(run(a=P), report(driver)).reasons([FailOn.ANY_FAILURE])


def test_drivers_are_matched_by_name() -> None:
    """Of several drivers each is compared with itself; one that is gone takes its checks with it."""
    found = compare(report(reference(), faulty()), report(faulty(), reference()))
    assert (found.checks != [], {c.change for c in found.checks}) == (True, {Change.STILL_FAILING})
    gone = compare(report(reference(), faulty()), report(reference()))
    assert {c.driver for c in gone.of(Change.VANISHED)} == {"acme-fast"}
    assert [(d.driver, d.new) for d in gone.drivers][1] == ("acme-fast", None)


def test_a_lone_driver_under_another_name_is_told() -> None:
    """A lone driver is compared with the lone one of the old run; text, Markdown and JSON say that the names differ."""
    old, new = run(a=P), run(a=F)
    new.drivers[0].description = new.drivers[0].description.model_copy(update={"driver": "renamed"})
    found = compare(old, new)
    assert [c.change for c in found.checks] == [Change.NEW_FAILURE]
    said = "lvm-publication before, renamed now"
    console = Console(file=io.StringIO(), width=200)
    print_comparison(found, [], console)
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert escaped(said) in comparison_markdown(found, [])
    document = json.loads(comparison_json(found, []))
    assert any(said in note for note in document["notes"])
    assert [(d["was_called"], d["driver"]) for d in document["drivers"]] == [("lvm-publication", "renamed")]
    assert not [note for note in compare(old, old).notes if "driver" in note]


def test_a_passed_check_has_no_message() -> None:
    """A check that passes now has nothing to tell, whatever its result carries."""
    old, new = run(a=F), run(a=P)
    new.drivers[0].checks[0].message = "Q-9: "
    assert [c.message for c in compare(old, new).of(Change.FIXED)] == [""]


def timed(factor: float, spread: float = 0.0, checks: int = 8) -> Report:
    """A run in which `clone` takes 10 ms in each check, times `factor`, up and down in turns by `spread`."""
    made = [
        CheckResult(
            check=f"c{n}",
            driver="d",
            testbed="iscsi-sim",
            seed=1,
            outcome=P,
            clauses=[passed("Q-9", Evidence.EXERCISED)],
            durations_ns={"clone": [round(1e7 * (1 + n) * factor * (1 + spread * (-1) ** n))]},
        )
        for n in range(checks)
    ]
    driver = reference()
    driver.checks = made
    return report(driver)


@pytest.mark.parametrize(
    ("new", "changed"),
    [
        (timed(1.0), False),
        (timed(1.3, spread=0.05), True),
        (timed(0.7, spread=0.05), True),
        (timed(1.1, spread=0.5), False),
        (timed(1.005), False),
        (timed(2.0, checks=4), False),
    ],
    ids=["same", "slower", "faster", "lost in the spread", "below one percent", "too few"],
)
def test_a_timing_changes_only_beyond_its_interval(new: Report, changed: bool) -> None:
    """A method's time has changed if its interval excludes no change, it changed by over 1 %, and checks suffice."""
    found = compare(timed(1.0), new)
    assert bool(found.timings) == changed
    assert bool(found.reasons([FailOn.TIMING])) == changed


def test_the_interval_holds_what_it_promises() -> None:
    """With no change but chance, about 1 comparison in 20 is called changed; with this seed at most 1 in 10."""
    import random

    dice = random.Random(4)
    alarms = 0
    for _ in range(200):
        old, new = timed(1.0), timed(1.0)
        for each in (*old.drivers[0].checks, *new.drivers[0].checks):
            each.durations_ns = {"clone": [round(1e9 * dice.lognormvariate(0.0, 0.3))]}
        alarms += bool(compare(old, new).timings)
    assert 1 <= alarms <= 20


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 10, 2.228),
        (0.995, 7, 3.499),
        (0.975, 120, 1.980),
    ],
)
def test_quantiles_of_student(probability: float, freedom: int, expected: float) -> None:
    """Quantiles of Student's t agree with the printed tables (Abramowitz and Stegun, table 26.10)."""
    from reports.timings import student_t

    assert student_t(probability, freedom) == pytest.approx(expected, abs=0.0006)


def test_what_a_driver_chose_is_no_markup() -> None:
    """Names with Markdown, HTML, pipes or new lines stay text, on one line of the table."""
    hostile = "a|b\n# c <script>x</script> [d](http://e) `f` *g*\x1b[31m"
    text = escaped(hostile)
    assert "\n" not in text
    assert "<script>" not in text.replace("\\<", "")
    for part in ("\\|", "\\#", "\\<script\\>", "\\[d\\]", "\\`", "\\*g\\*"):
        assert part in text
    assert "\x1b" not in text
    made = run(**{hostile: F})
    table = [line for line in comparison_markdown(compare(run(), made), []).splitlines() if "new failure" in line]
    assert len(table) == 1
    assert comparison_json(compare(run(), made), []).isascii()
