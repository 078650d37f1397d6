"""What changed from one report to another: for a gate in CI that lets no new failure through, and no lost check."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from harness.judging import combine
from harness.results import CheckResult, DriverReport, Outcome, Report, Verdict
from reports.digest import standing
from reports.timings import Timing, compare_timings

RUN = "the run as a whole"
"""Stands for a check's name where the run itself went wrong."""


class Change(enum.StrEnum):
    """What became of a check."""

    NEW_FAILURE = "new failure"
    STILL_FAILING = "still failing"
    NEWLY_SKIPPED = "newly skipped"
    VANISHED = "vanished"
    FIXED = "fixed"
    NEWLY_PASSED = "newly passed"
    UNCHANGED = "unchanged"


class FailOn(enum.StrEnum):
    """What makes `compare` fail."""

    NEW_FAILURE = "new-failure"
    ANY_FAILURE = "any-failure"
    NEWLY_SKIPPED = "newly-skipped"
    TIMING = "timing"
    NEVER = "never"


_BAD = (Outcome.FAILED, Outcome.ERROR)
_GATES = {
    FailOn.NEW_FAILURE: (Change.NEW_FAILURE,),
    FailOn.ANY_FAILURE: (Change.NEW_FAILURE, Change.STILL_FAILING),
    FailOn.NEWLY_SKIPPED: (Change.NEWLY_SKIPPED, Change.VANISHED),
}


@dataclass(frozen=True)
class CheckChange:
    """A check on a testbed, with its outcomes in the old and the new run (None: it was not run) and its message."""

    driver: str
    check: str
    testbed: str
    old: Outcome | None
    new: Outcome | None
    message: str = ""

    @property
    def change(self) -> Change:
        """What became of it."""
        return classify(self.old, self.new)


@dataclass(frozen=True)
class DriverChange:
    """A driver in both runs, or in one of them only; its verdicts, and the timings that could be compared.

    `was_called` is the name that it had in the old run, where that is another one.
    """

    driver: str
    old: Verdict | None
    new: Verdict | None
    timings: list[Timing] = field(default_factory=list)
    was_called: str | None = None


@dataclass
class Comparison:
    """All that changed between two runs; checks whose outcome stayed are counted only, unless they still fail."""

    drivers: list[DriverChange] = field(default_factory=list)
    checks: list[CheckChange] = field(default_factory=list)
    unchanged: int = 0
    notes: list[str] = field(default_factory=list)

    def of(self, change: Change) -> list[CheckChange]:
        """The checks of which that became."""
        return [check for check in self.checks if check.change is change]

    @property
    def timings(self) -> list[tuple[str, Timing]]:
        """The timings that left their interval, each with its driver."""
        return [(driver.driver, timing) for driver in self.drivers for timing in driver.timings if timing.changed]

    def reasons(self, fail_on: Collection[FailOn]) -> list[str]:
        """Why the gate is shut; empty if it is open."""
        if FailOn.NEVER in fail_on:
            return []
        lines = []
        for change in dict.fromkeys(c for gate in FailOn if gate in fail_on for c in _GATES.get(gate, ())):
            if found := self.of(change):
                lines.append(f"{len(found)} {change}")
        if FailOn.TIMING in fail_on and self.timings:
            lines.append(f"{len(self.timings)} timings changed")
        return lines


def classify(old: Outcome | None, new: Outcome | None) -> Change:
    """What became of a check; None means that it was not run.

    Not applicable, unverifiable and waived are all skips: a check that comes to one from anything else but a skip was
    lost. A check that is there for the first time and does not apply changes nothing.
    """
    if new in _BAD:
        return Change.STILL_FAILING if old in _BAD else Change.NEW_FAILURE
    if new is None:
        return Change.UNCHANGED if old is None else Change.VANISHED
    if new is Outcome.PASSED:
        if old in _BAD:
            return Change.FIXED
        return Change.UNCHANGED if old is Outcome.PASSED else Change.NEWLY_PASSED
    if old is Outcome.PASSED or old in _BAD:
        return Change.NEWLY_SKIPPED
    if new is not Outcome.NOT_APPLICABLE and old in (None, Outcome.NOT_APPLICABLE):
        return Change.NEWLY_SKIPPED
    return Change.UNCHANGED


def compare(old: Report, new: Report) -> Comparison:
    """Compare two runs, driver by driver; a lone driver in each is taken for the same, and if its name is
    another one, that is noted."""
    found = Comparison(notes=_notes(old, new))
    for name, before, after in _matched(old.drivers, new.drivers):
        timings = compare_timings(before.checks, after.checks) if before and after else []
        old_verdict, new_verdict = (each.verdict if each else None for each in (before, after))
        called = before.description.driver if before else name
        renamed = after is not None and called != after.description.driver
        if renamed:
            found.notes.append(
                f"driver: {called} before, {name} now; each run has but one driver, and the two are taken for the same"
            )
        found.drivers.append(DriverChange(name, old_verdict, new_verdict, timings, called if renamed else None))
        outcomes, later = _outcomes(old, before), _outcomes(new, after)
        for key in sorted(outcomes.keys() | later.keys()):
            was, now = outcomes.get(key, (None, "")), later.get(key, (None, ""))
            _add(found, CheckChange(name, key[0], key[1], was[0], now[0], now[1]))
    faulty = [Outcome.ERROR if report.errors or not report.drivers else Outcome.PASSED for report in (old, new)]
    if Outcome.ERROR in faulty:
        message = "; ".join(new.errors) or ("no driver was examined" if not new.drivers else "")
        _add(found, CheckChange("", RUN, "", faulty[0], faulty[1], message))
    return found


def _add(found: Comparison, check: CheckChange) -> None:
    if check.change is Change.UNCHANGED:
        found.unchanged += 1
    else:
        found.checks.append(check)


def _matched(
    old: list[DriverReport], new: list[DriverReport]
) -> Iterable[tuple[str, DriverReport | None, DriverReport | None]]:
    if len(old) == len(new) == 1:
        return [(new[0].description.driver, old[0], new[0])]
    before, after = _by_name(old), _by_name(new)
    return [(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]


def _by_name(drivers: list[DriverReport]) -> dict[str, DriverReport]:
    """Drivers by name; of several with one name the later ones carry their number."""
    found: dict[str, DriverReport] = {}
    for driver in drivers:
        name, number = driver.description.driver, 1
        while (key := name if number == 1 else f"{name} ({number})") in found:
            number += 1
        found[key] = driver
    return found


def _outcomes(report: Report, driver: DriverReport | None) -> dict[tuple[str, str], tuple[Outcome, str]]:
    mandatory = {info.id for info in report.clauses if info.mandatory}
    runs: dict[tuple[str, str], list[tuple[Outcome, CheckResult]]] = {}
    for check in driver.checks if driver else []:
        runs.setdefault((check.check, check.testbed), []).append((standing(check, mandatory), check))
    found = {}
    for key, several in runs.items():
        outcome = combine(each for each, _ in several)
        said = "" if outcome is Outcome.PASSED else next((c.message for each, c in several if each is outcome), "")
        found[key] = outcome, said
    return found


def _notes(old: Report, new: Report) -> list[str]:
    pairs = {
        "level": (old.level.value, new.level.value),
        "seed": (str(old.seed), str(new.seed)),
        "testbeds": (", ".join(old.testbeds), ", ".join(new.testbeds)),
        "harness": (old.harness_version, new.harness_version),
        "specification": (old.specification_version, new.specification_version),
    }
    return [f"{name}: {before} before, {after} now" for name, (before, after) in pairs.items() if before != after]
