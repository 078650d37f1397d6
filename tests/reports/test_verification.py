"""A certificate holds only as it was made, and only what follows from its report."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certified import TABLE, certify_again, changed, places, small_report, write
from hypothesis import given
from hypothesis import strategies as st

from harness.judging import judge_driver
from harness.results import CheckResult, Outcome, Report, Verdict
from reports.all_checks import Whole
from reports.verification import verify


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the small report."""
    return write(tmp_path_factory.mktemp("certified"))


@pytest.fixture
def copied(certified: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    shutil.copytree(certified.parent, tmp_path / "copy")
    return tmp_path / "copy" / "certificate.json"


def problems(path: Path, **more: Any) -> str:
    """What is wrong with a certificate, in one text."""
    return "\n".join(verify(path, TABLE, **more).problems)


def test_a_certificate_holds_as_it_was_made(certified: Path) -> None:
    """An untouched certificate has no problem, and what can't be checked is noted."""
    found = verify(certified, TABLE)
    assert not found.problems
    assert any("vendor's own word" in note for note in found.notes)
    assert any("no signature was checked" in note for note in found.notes)


def test_every_altered_field_is_noticed(copied: Path) -> None:
    """Each value of the certificate, altered or removed alone, is noticed: every place of it, inner ones too."""
    document = json.loads(copied.read_text())
    count = 0
    for place in places(document):
        for other in changed(document, place):
            copied.write_text(json.dumps(other))
            assert verify(copied, TABLE).problems, f"{place} was altered unnoticed"
            count += 1
    assert count > 400


WORDS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from([*Outcome, *Verdict]))


@given(data=st.data())
def test_any_other_value_is_noticed(
    certified: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever other value stands in the place of one, the certificate does not hold."""
    document = json.loads(certified.read_text())
    place = data.draw(st.sampled_from(list(places(document))))
    around = document
    for name in place[:-1]:
        around = around[name]
    value = data.draw(WORDS)
    if json.dumps(around[place[-1]]) == json.dumps(value):
        return
    around[place[-1]] = value
    directory = tmp_path_factory.mktemp("forged")
    shutil.copy(certified.with_name("report.json"), directory)
    shutil.copy(certified.with_name("report.html"), directory)
    (directory / "certificate.json").write_text(json.dumps(document))
    assert verify(directory / "certificate.json", TABLE).problems


def _spoil(name: str) -> Callable[[Path], object]:
    return lambda path: path.with_name(name).write_bytes(path.with_name(name).read_bytes() + b" ")


def _set(change: Callable[[Report], None]) -> Callable[[Path], object]:
    def forge(path: Path) -> object:
        made = small_report()
        change(made)
        return certify_again(path.parent, made)

    return forge


def _verdict(made: Report) -> None:
    made.drivers[0].verdict = Verdict.CONFORMANT


def _row(made: Report) -> None:
    row = next(row for row in made.drivers[0].clauses if row.outcome is Outcome.FAILED)
    row.outcome = Outcome.PASSED


def _advisory(made: Report) -> None:
    next(info for info in made.clauses if info.id == "Q-9").mandatory = False


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text(path.read_text()[:-20]), "schema: is not complete JSON"),
        (lambda path: path.write_text(path.read_text().replace("{", '{"seed": 1, ', 1)), "'seed' stands twice"),
        (lambda path: path.write_text(path.read_text().replace("te/1", "te/9", 1)), "this version reads"),
        (lambda path: path.write_text("{}"), "schema: has no schema_version"),
        (_spoil("report.json"), "report: .*has the SHA-256 [0-9a-f]{64}, the certificate is of one with"),
        (_spoil("report.html"), "page: .*has the SHA-256"),
        (lambda path: path.with_name("report.json").unlink(), "report: .*there is no such file.*name it with --report"),
        (lambda path: path.with_name("report.json").write_text("{"), "report: .*is not complete JSON"),
        (_set(_verdict), "verdict: the report says of acme-fast conformant, its checks come to non-conformant"),
        (_set(_row), "verdict: the report says of acme-fast Q-9 passed, its checks come to Q-9 failed"),
        (_set(_advisory), r"clauses: .*its table of clauses is another one \(Q-9\)"),
    ],
    ids=["cut", "twice", "version", "no version", "report", "page", "no report", "half report", "verdict", "row",
         "clause table"],
)  # fmt: skip
def test_each_way_to_fail_has_its_message(copied: Path, spoil: Callable[[Path], object], said: str) -> None:
    """A certificate that was spoilt, or forged with its report, fails with a message that says in what."""
    spoil(copied)
    assert re.search(said, problems(copied)), problems(copied)


def test_a_report_elsewhere(copied: Path, tmp_path: Path) -> None:
    """The report may lie elsewhere, and a page that is not there is noted."""
    moved = copied.with_name("report.json").rename(tmp_path / "moved.json")
    copied.with_name("report.html").unlink()
    found = verify(copied, TABLE, report=moved)
    assert not found.problems
    assert any("report.html is not beside the certificate" in note for note in found.notes)


def test_identity_is_the_vendors_word(copied: Path) -> None:
    """An identity that was altered in report and certificate alike holds, and is noted as the vendor's own word."""

    def rename(made: Report) -> None:
        assert made.drivers[0].identity is not None
        made.drivers[0].identity.vendor = "Somebody else"

    _set(rename)(copied)
    found = verify(copied, TABLE)
    assert not found.problems
    assert any("own word" in note for note in found.notes)


def _whole(made: Report) -> Report:
    """The report as a run of a suite that has just its checks writes it."""
    made.schedules = 200
    for driver in made.drivers:
        driver.testbeds = list(made.testbeds)
        names = {check.check for check in driver.checks}
        there = {(check.check, check.testbed) for check in driver.checks}
        driver.deselected = len([1 for name in names for testbed in made.testbeds if (name, testbed) not in there])
        _, driver.verdict, driver.reasons = judge_driver(made, driver)
    return made


def _suite(made: Report) -> Whole:
    checks = {c.check: tuple(r.clause for r in c.clauses) for driver in made.drivers for c in driver.checks}
    return lambda level, schedules: checks


def _without(made: Report, wanted: Callable[[CheckResult], bool]) -> None:
    driver = made.drivers[0]
    driver.checks = [check for check in driver.checks if not wanted(check)]
    driver.clauses, driver.verdict, driver.reasons = judge_driver(made, driver)


def _failed(check: CheckResult) -> bool:
    return check.outcome is Outcome.FAILED


def _without_clause(made: Report) -> None:
    check = next(check for check in made.drivers[0].checks if _failed(check))
    check.clauses, check.outcome = [], Outcome.PASSED
    _without(made, lambda check: False)


def _one_testbed(made: Report) -> None:
    made.drivers[0].testbeds = []
    _without(made, lambda check: False)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda made: None, ""),
        (lambda made: _without(made, _failed), r"test_q_9\[create_snapshot\] \[iscsi-sim\]"),
        (lambda made: _without(made, lambda check: check.testbed == "nfs-sim"), r"checks are absent.*\[nfs-sim\]"),
        (_without_clause, "says nothing of Q-9"),
        (_one_testbed, "does not say on which of its testbeds"),
        (lambda made: setattr(made, "schedules", None), "does not say how many schedules"),
    ],
    ids=["as it was", "failed ones removed", "testbed removed", "clause removed", "no testbeds", "no schedules"],
)  # fmt: skip
def test_a_report_by_this_version_has_all_its_checks(copied: Path, forge: Callable[[Report], None], said: str) -> None:
    """A report from which a check, or what it says of a clause, was removed does not hold, however well redone."""
    made = _whole(small_report())
    whole = _suite(made)
    forge(made)
    text = problems(certify_again(copied.parent, made), whole=whole)
    assert (text == "") == (said == ""), text
    assert re.search(said, text)


def test_checks_of_another_version_are_not_known(copied: Path) -> None:
    """Of a report by another version it is noted that nobody can tell whether its checks are all there."""
    made = _whole(small_report())
    whole = _suite(made)
    made.harness_version = "0.0.1"
    _without(made, _failed)
    found = verify(certify_again(copied.parent, made), TABLE, whole=whole)
    assert not found.problems
    assert any("whether it has all checks of that version can't be told" in note for note in found.notes)
