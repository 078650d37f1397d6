"""Waivers: clauses that are set aside for some versions of a driver, for a reason and until a day.

    [[waiver]]
    clause = "Q-9"
    versions = ">=2.1,<2.3"          # of the driver, PEP 440
    reason = "snapshots of striped volumes are torn"
    owner = "storage-team@acme.example"
    bug = "https://bugs.acme.example/4711"
    expires = 2027-06-30             # the last day on which it holds
    driver = "acme_driver:AcmeDriver"   # optional

A waiver sets failures of its clause aside, which makes the verdict incomplete, never a pass. One that has expired,
matches nothing or is no longer needed is a harness error (specification section 8).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from conformance.session import DriverUnderTest, UsageProblem
from conformance.toml_files import read_toml, texts
from harness.judging import combine, in_level
from harness.names import did_you_mean
from harness.results import CheckResult, ClauseInfo, ClauseResult, Finding, Level, Outcome, Severity, Waiver

_KEYS = ("clause", "versions", "reason", "owner", "bug", "expires")


def read_waivers(path: str, clauses: Mapping[str, ClauseInfo]) -> list[Waiver]:
    """The waivers of a file, each checked. Raises `UsageProblem`."""
    tables = read_toml("--waivers", path)
    for key in tables:
        if key != "waiver":
            raise UsageProblem(f"--waivers {path}: the key {key!r} is not known; {did_you_mean(key, ['waiver'])}")
    entries = tables.get("waiver", [])
    if not isinstance(entries, list) or not entries:
        raise UsageProblem(
            f"--waivers {path}: it holds no waiver; write each as a table [[waiver]], or drop the option"
        )
    return [_waiver(f"--waivers {path}: waiver {n}", entry, clauses) for n, entry in enumerate(entries, 1)]


def _waiver(where: str, entry: object, clauses: Mapping[str, ClauseInfo]) -> Waiver:
    waiver = Waiver.model_validate(texts(where, entry, _KEYS, ("driver",)))
    info = clauses.get(waiver.clause)
    if info is None:
        raise UsageProblem(f"{where}: {waiver.clause!r} is not a clause; {did_you_mean(waiver.clause, list(clauses))}")
    if not info.binds_driver:
        raise UsageProblem(
            f"{where}: {info.id} binds the taskflow alone, so its failure is the harness's; report it instead"
        )
    try:
        SpecifierSet(waiver.versions)
    except InvalidSpecifier:
        raise UsageProblem(
            f"{where}: versions {waiver.versions!r} is no range of versions; write it as in '>=2.1,<2.3' (PEP 440)"
        ) from None
    try:
        datetime.date.fromisoformat(waiver.expires)
    except ValueError:
        raise UsageProblem(f"{where}: expires {waiver.expires!r} is no date; write it as in 2027-06-30") from None
    return waiver


def has_expired(waiver: Waiver, today: datetime.date) -> bool:
    """Whether the last day on which it holds lies before `today`."""
    return datetime.date.fromisoformat(waiver.expires) < today


class Waivers:
    """The waivers of a run: which ones hold for which driver, and which of them were needed."""

    def __init__(self, waivers: Sequence[Waiver], today: datetime.date) -> None:
        self.today = today
        self._waivers = list(waivers)
        self._holding: dict[int, dict[str, int]] = {}
        self._unfit: dict[int, list[str]] = {}

    def resolve(self, driver: DriverUnderTest, version: str | None) -> None:
        """Find out which waivers hold for a driver of that version; the first of a clause holds."""
        for number, waiver in enumerate(self._waivers):
            unfit = self._why_not(waiver, driver, version)
            if unfit is None:
                self._holding.setdefault(driver.index, {}).setdefault(waiver.clause, number)
            else:
                self._unfit.setdefault(number, []).append(f"{driver.label}: {unfit}")

    def to_json(self) -> list[Any]:
        """What was resolved, for a process that has read the same file."""
        return [[index, sorted(held.items())] for index, held in sorted(self._holding.items())]

    def take(self, resolved: Iterable[Any]) -> None:
        """Read what `to_json` wrote."""
        self._holding = {index: dict(held) for index, held in resolved}

    def holding(self, index: int) -> list[Waiver]:
        """The waivers that hold for a driver."""
        return [self._waivers[number] for number in sorted(self._holding.get(index, {}).values())]

    def apply(self, index: int, result: CheckResult) -> CheckResult:
        """The result with the waived clauses set aside; a violation that no waiver covers goes on counting."""
        held = self._holding.get(index, {})
        if result.outcome is Outcome.ERROR or not any(
            r.clause in held and r.outcome is Outcome.FAILED for r in result.clauses
        ):
            return result
        clauses = [self._set_aside(r, self._waivers[held[r.clause]]) if r.clause in held else r for r in result.clauses]
        findings = [_attributed(f, [r for r in result.clauses if r.clause in held]) for f in result.findings]
        outcome = combine(r.outcome for r in clauses)
        beyond = any(f.severity is Severity.VIOLATION and f.clause not in held for f in findings)
        if outcome is Outcome.WAIVED and beyond:
            outcome = Outcome.FAILED
        speaking = next(
            (f"{r.clause}: {r.message}" for r in clauses if r.outcome is outcome and r.message), result.message
        )
        changed = {"clauses": clauses, "findings": findings, "outcome": outcome, "message": speaking}
        return result.model_copy(update=changed)

    def used(self, index: int, checks: Iterable[CheckResult]) -> list[Waiver]:
        """The waivers that set something aside for a driver."""
        waived = {r.clause for check in checks for r in check.clauses if r.outcome is Outcome.WAIVED}
        return [waiver for waiver in self.holding(index) if waiver.clause in waived]

    def faults(
        self, checks: Mapping[int, Sequence[CheckResult]], clauses: Mapping[str, ClauseInfo], level: Level
    ) -> list[str]:
        """What is wrong with the waivers, after a run: expired, matching nothing, or no longer needed.

        `checks` are each driver's, by its index. A waiver of a clause outside of the level need not be needed.
        """
        lines = []
        for number, waiver in enumerate(self._waivers):
            name = f"waiver {number + 1} ({waiver.clause}, {waiver.bug}, owner {waiver.owner})"
            if has_expired(waiver, self.today):
                lines.append(f"{name} expired on {waiver.expires}; mend the driver, or have its owner renew it")
                continue
            holds_for = [index for index, held in self._holding.items() if held.get(waiver.clause) == number]
            if not holds_for:
                why = "; ".join(self._unfit.get(number, [])) or "another waiver of the clause comes before it"
                lines.append(f"{name} matched nothing: {why}; correct it or remove it")
            elif in_level(clauses[waiver.clause], level):
                spoken = [
                    r for i in holds_for for c in checks.get(i, ()) for r in c.clauses if r.clause == waiver.clause
                ]
                if not spoken:
                    lines.append(f"{name} matched nothing: no check of the clause was run; run them, or leave it out")
                elif not any(r.outcome is Outcome.WAIVED for r in spoken):
                    lines.append(f"{name} is no longer needed: {waiver.clause} did not fail; remove it")
        return lines

    def _why_not(self, waiver: Waiver, driver: DriverUnderTest, version: str | None) -> str | None:
        if waiver.driver is not None and waiver.driver not in (driver.option[1], driver.label):
            return f"it is for {waiver.driver} only"
        if has_expired(waiver, self.today):
            return "it has expired"
        if version is None:
            return "the driver states no version; publish one, or give --identity FILE"
        try:
            known = Version(version)
        except InvalidVersion:
            return f"the driver's version {version!r} can't be compared; number versions as PEP 440 does"
        if not SpecifierSet(waiver.versions).contains(known, prereleases=True):
            return f"the driver's version {version} is not in {waiver.versions!r}"
        return None

    def _set_aside(self, result: ClauseResult, waiver: Waiver) -> ClauseResult:
        if result.outcome is not Outcome.FAILED:
            return result
        found = f"; failed: {result.message}" if result.message else "; failed"
        said = f"waived until {waiver.expires} by {waiver.owner} ({waiver.bug}): {waiver.reason}{found}"
        return result.model_copy(update={"outcome": Outcome.WAIVED, "message": said})


def _attributed(finding: Finding, waived: Iterable[ClauseResult]) -> Finding:
    """The finding, given to the waived clause whose failure it only tells again, if it names none."""
    if finding.clause is None and finding.found:
        for result in waived:
            if result.outcome is Outcome.FAILED and result.message.startswith(finding.found):
                return finding.model_copy(update={"clause": result.clause})
    return finding
