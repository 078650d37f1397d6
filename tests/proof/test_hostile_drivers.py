"""Whatever a driver does to its process, the check that ran gets a result for it, and the next check works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import reports
from conformance.clauses import CLAUSES
from conformance.execution import CheckCall, Executor
from conformance.session import Place, Settings, make_settings
from conformance.suite import cases
from harness.contract import ACTIVITY_HOOKS, METHODS
from harness.loading import CandidateSpec
from harness.results import CheckResult, Description, DriverReport, Outcome, Report, Severity, Verdict
from reports.plain import load_report
from tests.proof.support import cell, run

ROOT = Path(__file__).parents[2]

DELETES = "test_publication_stays_as_it_was[blocking]"
"""A check that deletes a snapshot, and reads the publication again and again."""

FAILS = [
    ("SwallowsEverything", "without waiting"),
    ("InterruptsInAThread", "KeyboardInterrupt"),
    ("Interrupts", "KeyboardInterrupt"),
    ("KillsItsParent", "SIGKILL"),
    ("Recurses", "RecursionError"),
    ("SetsATimer", "SIGALRM"),
    ("ClosesEverything", "it was closed"),
    ("Traces", "traced"),
    ("ReplacesBuiltins", "builtins.isinstance"),
    ("FillsTheDisk", "OSError"),
    ("RaisesFury", "Fury: (its text can't be had)"),
    ("RaisesMarkup", "RuntimeError"),
    ("RaisesHugeText", "RuntimeError: xxx"),
    ("RaisesTouchyText", "RuntimeError: (its text can't be had)"),
    ("NamelessClass", "Fury"),
    ("RaisesFromGetattribute", "looking it up raised Fury"),
    ("RaisesFromEquality", "Fury"),
    ("NamedInMarkup", "RuntimeError"),
    ("PublishesChange", "differs from what was read first"),
]
"""Drivers that fail the check, and what it says."""

HANGS = ["SpinsInAThread", "PublishesEndlessly", "RecursesWithoutLimit", "PublishesTenMillionInADict"]
"""Drivers that fail it by hanging, or by running out of memory first: they take their time."""

CHANGES = {
    "ChangesDirectory": "the working directory",
    "ChangesEnvironment": "environment variables",
    "ChangesUmask": "the umask",
    "ChangesSignals": "the handler of SIGTERM",
    "StopsTheClock": "time.sleep",
    "EmptiesModules": "sys.modules['re']",
    "Profiles": "the profile function",
    "CollectsAlways": "the garbage collector's thresholds",
    "LowersTheRecursionLimit": "the recursion limit",
    "ClosesStandardStreams": "the standard descriptors",
    "TakesStandardOutput": "sys.stdout and sys.stderr",
    "ReplacesJson": "json.dumps",
    "ForbidsFiles": "resource limits",
    "Forks": "child processes",
}
"""Drivers that change their process, and what they change."""

PUBLISHES = {
    "PublishesTenMillion": "it has more than 1000 keys",
    "PublishesItself": "unknown key 'itself'",
    "PublishesDepth": "it holds a dict",
    "PublishesLaughs": "unknown key 'laughs'",
    "PublishesFury": "raised Fury",
    "PublishesTouchy": "a Touchy, not a mapping",
    "PublishesLies": "a Liar, not a mapping",
    "PublishesTouchyDict": "reading it raised Fury",
    "PublishesTouchyValues": "it is a Touchy",
    "PublishesTouchyTexts": "can be changed",
}
"""Drivers whose publication is hostile, and what is found."""


class Bench:
    """One driver on iscsi-sim, in cells of its own."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self.settings: Settings = make_settings(
            drivers=[f"tests.proof.hostile:{name}"], testbeds=["iscsi-sim"], timeout_s=timeout_s
        )
        self.place = Place(self.settings.drivers[0], "iscsi-sim")
        self.executor = Executor(self.settings, CLAUSES)

    def run(self, check: str = DELETES) -> CheckResult:
        """Run a check."""
        case = next(case for case in cases() if case.name == check)
        arguments = dict(case.parameters)
        call = CheckCall(case.module, case.function, arguments, case.clauses, "title", self.place, "pytest …")
        return self.executor.run(call, repeat=False)

    def describe(self) -> Description:
        """Have the driver describe itself."""
        return self.executor.describe(self.place.driver, "iscsi-sim")


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """The bench of the driver that the test is about; its cells end with the test."""
    made = Bench(request.node.callspec.params["name"], timeout_s=30.0)
    request.addfinalizer(made.executor.close)
    return made


def told(result: CheckResult | Description) -> str:
    """All that is said of a driver."""
    message = [result.message] if isinstance(result, CheckResult) else []
    return " ".join([*message, *(finding.found for finding in result.findings)])


@pytest.mark.parametrize(("name", "word"), FAILS)
def test_a_hostile_driver_fails_the_check_that_ran(bench: Bench, name: str, word: str) -> None:
    """A driver that raises, crashes or turns its process over fails the check, and the message says how."""
    result = bench.run()
    assert result.outcome is Outcome.FAILED, told(result)
    assert word in told(result)


@pytest.mark.long
@pytest.mark.parametrize("name", HANGS)
def test_a_driver_without_an_end_fails_the_check_that_ran(name: str) -> None:
    """A driver that never ends, or takes all there is, fails the check by its time or by its memory."""
    made = Bench(name, timeout_s=5.0)
    try:
        result = made.run()
    finally:
        made.executor.close()
    assert result.outcome is Outcome.FAILED
    assert {finding.subject for finding in result.findings} & {"hung", "killed", "out of memory"}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_driver_changes_is_told_and_undone(bench: Bench, name: str) -> None:
    """A driver that changes what belongs to the whole process is told so, and the next check does not suffer."""
    first = bench.run()
    assert first.outcome is Outcome.PASSED, told(first)
    warnings = [finding.found for finding in first.findings if finding.severity is Severity.WARNING]
    assert any(CHANGES[name] in found for found in warnings), warnings
    second = bench.run("test_progress_and_outcome_are_kept")
    assert (second.outcome, second.findings) == (Outcome.PASSED, [])


@pytest.mark.parametrize("name", PUBLISHES)
def test_a_hostile_publication_is_described(bench: Bench, name: str) -> None:
    """A publication that is endless, contains itself, or fails when touched is described, and checks run on it."""
    description = bench.describe()
    assert PUBLISHES[name] in told(description)
    result = bench.run("test_publication_is_well_formed")
    assert result.outcome in (Outcome.PASSED, Outcome.FAILED, Outcome.NOT_APPLICABLE), told(result)


@pytest.mark.parametrize("name", ["RaisesFromGetattr"])
def test_getattr_is_never_asked(bench: Bench, name: str) -> None:
    """A driver's `__getattr__` may raise what it likes: nobody asks it."""
    assert bench.run().outcome is Outcome.PASSED


@pytest.mark.parametrize("name", ["FloodsStandardOutput"])
def test_a_flood_of_output(bench: Bench, name: str) -> None:
    """A driver that prints 260 MB passes, with a finding and no more than 64 KiB of it kept."""
    result = bench.run()
    assert result.outcome is Outcome.PASSED
    assert "printed to standard output" in told(result)
    assert len(result.output) <= 64 << 10


@pytest.mark.parametrize("name", ["NamedInMarkup"])
def test_the_report_on_a_driver_of_markup_is_safe(bench: Bench, name: str, tmp_path: Path) -> None:
    """Names, keys, errors and output made of markup and escapes get into the page as harmless text."""
    description, result = bench.describe(), bench.run()
    report = Report(
        harness_version="1", python_version="3", seed=1, testbeds=["iscsi-sim"], command="pytest", clauses=[],
        drivers=[DriverReport(description=description, verdict=Verdict.NON_CONFORMANT, checks=[result])],
    )  # fmt: skip
    page = reports.write_report(report, tmp_path).read_text(encoding="utf-8")
    assert "alert(1)" in page
    for danger in ("<script>alert", "<img src=x", "\x1b", "\x07", "\u202e"):
        assert danger not in page
    assert load_report(tmp_path / "report.json") == report


CHECKS_OF = {
    **{method: f"test_method_has_its_defined_effect_and_no_other[{method}]" for method in METHODS},
    "create_snapshot": "test_listed_copy_is_a_point_in_time_image[create_snapshot,blocking]",
    "create_cloned_volume": "test_listed_copy_is_a_point_in_time_image[create_cloned_volume,blocking]",
    "copy_volume_to_image": "test_listed_copy_is_a_point_in_time_image[copy_volume_to_image,blocking]",
    "backup_volume": "test_listed_copy_is_a_point_in_time_image[backup_volume,blocking]",
    "migrate_volume": "test_listed_move_loses_no_acknowledged_write[migrate_volume,blocking]",
    "retype": "test_listed_move_loses_no_acknowledged_write[retype,blocking]",
    "restore_backup": "test_method_has_its_defined_effect_and_no_other[restore_backup]",
    "do_setup": DELETES,
    "check_for_setup_error": DELETES,
    **dict.fromkeys(ACTIVITY_HOOKS, "test_progress_and_outcome_are_kept"),
    "abort_activity": "test_failure_is_reported_as_failure",
}
"""For each method and hook a check that calls it."""


QUICK = ("liar", "dict", "pair", "status")
"""The answers that are tried each time, by their names in hostile.py (which no test imports: its objects fail wherever
they are touched)."""

OTHERS = ("touchy", "text", "dict of nonsense", "generator", "class", "number", "markup")
"""The other answers: they take longer to tell nothing new."""


@pytest.mark.parametrize("method", CHECKS_OF)
def test_nonsense_for_an_answer(method: str) -> None:
    """Whatever a method answers, the check judges the driver by it: no answer is an error of the harness."""
    answer_with(method, *QUICK)


@pytest.mark.long
@pytest.mark.parametrize("method", CHECKS_OF)
def test_more_nonsense_for_an_answer(method: str) -> None:
    """The same with every kind of nonsense that there is."""
    answer_with(method, *OTHERS)


def answer_with(method: str, *answers: str) -> None:
    """Let a driver answer one method with each of these, and look at what its check makes of it."""
    case = next(case for case in cases() if case.name == CHECKS_OF[method])
    reference = f"tests.proof.hostile:Answers_{method}"
    with cell() as where:
        for answer in answers:
            result = run(where, CandidateSpec("x", "class", "x", reference, {"answer": answer}), case, "iscsi-sim", 1)
            assert result.outcome in (Outcome.PASSED, Outcome.FAILED), f"{answer}: {told(result)}"
            assert "the check broke down" not in told(result), f"{answer}: {told(result)}"
            if method in ("start_activity", "get_activity") and answer not in ("text", "markup"):
                assert result.outcome is Outcome.FAILED, answer


def test_what_pytest_shows_of_a_driver_of_markup_is_safe(tmp_path: Path) -> None:
    """Neither the terminal nor junit.xml gets a driver's control characters, and the report is whole."""
    names = ("NamedInMarkup", "RaisesMarkup", "FloodsStandardOutput")
    command = [sys.executable, "-m", "pytest", "conformance/", "-p", "no:cacheprovider", "--testbed", "iscsi-sim"]
    command += ["--report", str(tmp_path), "-k", "stays_as_it_was and blocking", "-rA"]
    for name in names:
        command += ["--driver", f"tests.proof.hostile:{name}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    shown = ended.stdout + ended.stderr
    assert ended.returncode == 1, shown
    assert "alert(1)" in shown
    for danger in "\x1b\x07\u202e":
        assert danger not in shown
    cases_of_junit = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    assert sum(1 for _ in cases_of_junit) == len(names)
    report = load_report(tmp_path / "report.json")
    assert [len(driver.checks) for driver in report.drivers] == [1, 1, 1]
    assert "<script>alert" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_inspect_shows_of_a_driver_of_markup_is_safe() -> None:
    """Looking at a driver shows its attributes and findings without its control characters."""
    command = [sys.executable, "-m", "harness.cli", "inspect", "tests.proof.hostile:NamedInMarkup"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "alert(1)" in ended.stdout
    for danger in "\x1b\x07\u202e":
        assert danger not in ended.stdout + ended.stderr
