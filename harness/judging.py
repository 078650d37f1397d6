"""What follows from the results of checks: a row for each clause, and the verdicts of specification section 8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    ClauseSummary,
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

_COMMON = (Outcome.FAILED, Outcome.ERROR, Outcome.WAIVED)
_ONE_CHECK = (*_COMMON, Outcome.PASSED, Outcome.UNVERIFIABLE, Outcome.NOT_APPLICABLE)
_ALL_CHECKS = (*_COMMON, Outcome.UNVERIFIABLE, Outcome.PASSED, Outcome.NOT_APPLICABLE)
_EVIDENCE = tuple(Evidence)


def _first(order: Iterable[Outcome], outcomes: Iterable[Outcome]) -> Outcome:
    found = set(outcomes)
    return next((outcome for outcome in order if outcome in found), Outcome.UNVERIFIABLE)


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of one check over testbeds and seeds: passed on one outweighs unverifiable on another.

    A failure outweighs all, an error all else; a waiver is never covered by a pass.
    """
    return _first(_ONE_CHECK, outcomes)


def conjoin(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of different checks together: one that was unverifiable is not made good by another that passed."""
    return _first(_ALL_CHECKS, outcomes)


def _place(check: CheckResult) -> tuple[str, str, int]:
    return check.check, check.testbed, check.seed


def _violations(check: CheckResult) -> list[Finding]:
    """The violations that a check found, unless it is waived and they with it."""
    if check.outcome is Outcome.WAIVED:
        return []
    return [f for f in check.findings if f.severity is Severity.VIOLATION]


def _spoken(check: CheckResult) -> list[ClauseResult]:
    """What a check says of clauses: its results, and its violations of clauses that these don't show as failed."""
    results = list(check.clauses)
    settled = {r.clause for r in results if r.outcome in (Outcome.FAILED, Outcome.WAIVED)}
    for finding in _violations(check):
        if finding.clause is not None and finding.clause not in settled:
            results.append(ClauseResult(clause=finding.clause, outcome=Outcome.FAILED, message=finding.found))
    return results


def _evidence_of_pass(by_check: Iterable[list[ClauseResult]]) -> Evidence | None:
    """For each check its strongest, over checks the weakest of these: a claim is as good as its weakest part."""
    best = []
    for results in by_check:
        grades = [_EVIDENCE.index(r.evidence) for r in results if r.outcome is Outcome.PASSED and r.evidence]
        if any(r.outcome is Outcome.PASSED for r in results):
            best.append(max(grades, default=-1))
    weakest = min(best)  # a clause has passed by some check
    return _EVIDENCE[weakest] if weakest >= 0 else None


def _summary(info: ClauseInfo, results: list[tuple[CheckResult, ClauseResult]]) -> ClauseSummary:
    by_check: dict[str, list[ClauseResult]] = {}
    by_testbed: dict[str, dict[str, list[Outcome]]] = {}
    for check, result in results:
        by_check.setdefault(check.check, []).append(result)
        by_testbed.setdefault(check.testbed, {}).setdefault(check.check, []).append(result.outcome)
    outcomes = {check: combine(r.outcome for r in found) for check, found in by_check.items()}
    outcome = conjoin(outcomes.values())
    speaking = [r for c, r in results if outcomes[c.check] is outcome and r.outcome is outcome]
    if outcome is Outcome.PASSED:
        evidence = _evidence_of_pass(by_check.values())
    else:  # a failure stands on whatever showed it
        evidence = max((r.evidence for r in speaking if r.evidence), key=_EVIDENCE.index, default=None)
    return ClauseSummary(
        clause=info.id,
        outcome=outcome,
        evidence=evidence,
        message=next((r.message for r in speaking if r.message), ""),
        testbeds={name: conjoin(map(combine, found.values())) for name, found in by_testbed.items()},
        checks=list(by_check),
    )


def summarise(clauses: Iterable[ClauseInfo], checks: Iterable[CheckResult]) -> list[ClauseSummary]:
    """One row for each clause, over all checks; a clause that no check spoke of is unverifiable ("not run")."""
    by_clause: dict[str, list[tuple[CheckResult, ClauseResult]]] = {}
    for check in sorted(checks, key=_place):
        for result in _spoken(check):
            by_clause.setdefault(result.clause, []).append((check, result))
    rows = []
    for info in clauses:
        if results := by_clause.get(info.id):
            rows.append(_summary(info, results))
            continue
        message = "no check of it was run" if info.checked else "this version of the suites has no check of it"
        rows.append(ClauseSummary(clause=info.id, outcome=Outcome.UNVERIFIABLE, message=message))
    return rows


def _line(subject: str, message: str) -> str:
    return f"{subject}: {message}" if message else subject


def _harness_faults(clauses: Mapping[str, ClauseInfo], checks: Iterable[CheckResult]) -> list[str]:
    """What went wrong on the harness's side, check by check: errors, and clauses that nobody knows."""
    faults = []
    for check in checks:
        name = f"{check.check} [{check.testbed}]"
        if check.outcome is Outcome.ERROR:
            faults.append(_line(name, check.message))
        else:
            faults += [_line(f"{name} {r.clause}", r.message) for r in check.clauses if r.outcome is Outcome.ERROR]
        unknown = {r.clause for r in _spoken(check)} - set(clauses)
        faults += [f"{name} speaks of {clause!r}, which is not a clause" for clause in sorted(unknown)]
    return faults


def _unattributed(checks: Iterable[CheckResult]) -> list[str]:
    """Failures that belong to no clause: a run that differs from its repetition, a check that failed as a whole."""
    lines = []
    for check in checks:
        name = f"{check.check} [{check.testbed}]"
        lines += [_line(name, f.found) for f in _violations(check) if f.clause is None]
        attributed = _violations(check) or any(r.outcome is Outcome.FAILED for r in check.clauses)
        if check.outcome is Outcome.FAILED and not attributed:
            lines.append(_line(name, check.message or "failed"))
    return lines


def in_level(info: ClauseInfo, level: Level) -> bool:
    """Whether a verdict for `level` needs the clause."""
    return info.mandatory and (info.core or (level is Level.FULL and info.checked))


def _of_driver(info: ClauseInfo) -> bool:
    return info.mandatory and info.binds_driver


def _missing(
    clauses: Mapping[str, ClauseInfo], rows: list[ClauseSummary], checks: list[CheckResult], level: Level
) -> list[str]:
    """What keeps a run without failures from being complete; a core clause counts at every level, checked or not."""
    open_outcomes = (Outcome.UNVERIFIABLE, Outcome.WAIVED)
    lines = [
        _line(f"{row.clause}: {row.outcome}", row.message)
        for row in rows
        if row.outcome in open_outcomes and in_level(clauses[row.clause], level)
    ]
    whole: dict[str, list[CheckResult]] = {}
    for check in checks:
        whole.setdefault(check.check, []).append(check)
    for name, runs in whole.items():
        outcome = combine(run.outcome for run in runs)
        if outcome in open_outcomes and not any(run.clauses for run in runs):
            lines.append(_line(f"{name}: {outcome}", next((run.message for run in runs if run.message), "")))
    return lines


def _strong(row: ClauseSummary) -> bool:
    """Whether a pass carries "conformant"; section A is about the publication, so reading it exercises it."""
    if row.clause.startswith("A-"):
        return row.evidence is not None
    return row.evidence in (Evidence.EXERCISED, Evidence.REAL)


def judge(
    clauses: Mapping[str, ClauseInfo],
    summaries: Iterable[ClauseSummary],
    checks: Iterable[CheckResult],
    description: Description,
    errors: Iterable[str] = (),
    level: Level = Level.FULL,
) -> tuple[Verdict, list[str]]:
    """The verdict on a driver for a level, and its reasons (specification section 8).

    A failure of any mandatory clause counts, whatever the level; what is open counts for the clauses of the level only.

    `errors` are faults of the run as a whole, such as a waiver that matched nothing. They, an error in a check, no
    checks at all, and a broken taskflow clause while the vendor's code kept all of its own, make a harness error, which
    outweighs every other verdict. Where the vendor's code broke a clause that was waived, a broken taskflow clause is
    taken for its consequence, and the verdict is incomplete.
    """
    checks = sorted(checks, key=_place)
    rows = list(summaries)
    if not checks:
        return Verdict.HARNESS_ERROR, [*errors, "no check was run"]
    faults = [*errors, *_harness_faults(clauses, checks)]
    failures: list[str] = []
    ours: list[tuple[str, str]] = []
    waived = [row.clause for row in rows if row.outcome is Outcome.WAIVED and _of_driver(clauses[row.clause])]
    rows_by_id = {row.clause: row for row in rows}
    for row in rows:
        info = clauses[row.clause]
        if row.outcome is Outcome.FAILED and info.mandatory:
            if info.binds_driver:
                failures.append(_line(row.clause, row.message))
            else:
                ours.append((f"{row.clause} binds the taskflow and failed", row.message))
    for finding in description.findings:
        known = clauses.get(finding.clause) if finding.clause else None
        settled = rows_by_id[known.id].outcome if known and known.id in rows_by_id else None
        if finding.severity is not Severity.VIOLATION or settled in (Outcome.FAILED, Outcome.WAIVED):
            continue
        if known is None or known.mandatory:
            failures.append(_line(finding.clause or "publication", finding.found))
    # where only our own reference driver ran, a failure that no clause accounts for is ours
    (failures if description.vendor_code else faults).extend(_unattributed(checks))
    # a vendor's code that breaks what the taskflow builds on breaks the taskflow's clauses with it, waived
    # or not
    broken = [_line(*each) for each in ours]
    follows = description.vendor_code and not failures and bool(waived)
    if not follows:
        (failures if description.vendor_code and failures else faults).extend(broken)
    if faults:
        return Verdict.HARNESS_ERROR, faults
    if failures:
        return Verdict.NON_CONFORMANT, failures
    missing = _missing(clauses, rows, checks, level)
    if follows:
        beside = f", as may follow from what was waived ({', '.join(waived)})"
        missing += [_line(f"{subject}{beside}", message) for subject, message in ours]
    if missing:
        return Verdict.INCOMPLETE, missing
    counted = [info.id for info in clauses.values() if in_level(info, level) and info.binds_driver]
    passed = [row for row in rows if row.outcome is Outcome.PASSED and row.clause in counted]
    if not passed:
        return Verdict.INCOMPLETE, ["no clause that binds the driver was put to the test"]
    if not description.vendor_code:
        return Verdict.CONSISTENT, ["every applicable mandatory clause passed, but none of the vendor's code was run"]
    weak = [f"{row.clause} ({row.evidence or 'no evidence stated'})" for row in passed if not _strong(row)]
    if weak:
        return Verdict.CONSISTENT, ["every applicable mandatory clause passed, but not by exercise: " + ", ".join(weak)]
    if not any(row.evidence in (Evidence.EXERCISED, Evidence.REAL) for row in passed):
        return Verdict.CONSISTENT, ["every applicable mandatory clause passed, by what the driver declares only"]
    return Verdict.CONFORMANT, ["every applicable mandatory clause passed on the vendor's own code"]


def judge_driver(report: Report, driver: DriverReport) -> tuple[list[ClauseSummary], Verdict, list[str]]:
    """The rows, the verdict and the reasons that follow from a driver's checks, whatever the report says they are.

    What was left out keeps a driver from a pass.
    """
    clauses = {info.id: info for info in report.clauses}
    rows = summarise(report.clauses, driver.checks)
    verdict, reasons = judge(clauses, rows, driver.checks, driver.description, report.errors, report.level)
    left_out = []
    if driver.deselected:
        left_out.append(f"{driver.deselected} checks were deselected")
    if driver.unreached > 0:
        left_out.append(f"{driver.unreached} checks were not reached")
    if left_out and verdict in (Verdict.CONFORMANT, Verdict.CONSISTENT):
        return rows, Verdict.INCOMPLETE, left_out
    return rows, verdict, reasons + left_out
