"""Runs one check inside a cell, and describes a driver there. What goes in and out is JSON."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from conformance.checks import CheckSpec, spec_of
from conformance.clauses import CLAUSES
from conformance.lab import Lab
from conformance.record import method_durations
from conformance.session import UsageProblem
from conformance.verdicts import CheckEnded, Ledger
from conformance.worlds import Worlds
from harness.contract import BackendActivityError
from harness.hosting import HostingError, NotPlayed
from harness.judging import combine
from harness.loading import Candidate, CandidateError, CandidateSpec
from harness.loading import describe as describe_candidate
from harness.names import nearest
from harness.process_state import ProcessState
from harness.process_state import in_words as name_changes
from harness.results import CheckResult, Description, Evidence, Finding, Outcome, Severity
from harness.runtime import Limits, RuntimeLimit
from harness.runtime.patches import seed as seed_randomness
from harness.schedule import Schedule
from harness.storage import StorageError
from harness.taskflow.ends import describe as in_words
from harness.taskflow.errors import DriverError, OutOfMemory, TaskflowError
from harness.testbed import Capability, Testbed

T = TypeVar("T")

LIMITS = Limits(wall_s=20.0)
"""What one check may use; the cell's own limits stand behind it."""


def _uncollected(called: Callable[..., T]) -> Callable[..., T]:
    """Keep the collector from running in a call: a finaliser at an unpredictable moment would be part of the run."""

    @functools.wraps(called)
    def call(**arguments: Any) -> T:
        gc.disable()
        try:
            return called(**arguments)
        finally:
            gc.enable()

    return call


@_uncollected
def run_check(
    *,
    module: str,
    function: str,
    parameters: dict[str, str],
    candidate: dict[str, Any],
    testbed: str,
    seed: int,
    schedule: dict[str, Any] | None = None,
    reproduce: str = "",
) -> dict[str, Any]:
    """Run one check and return its `CheckResult` as a dict.

    `schedule` replays saved choices. A failure of the driver is in the result, not raised; what is raised is ours.
    """
    started = time.perf_counter()
    check = getattr(importlib.import_module(module), function)
    spec = spec_of(check)
    if spec is None:
        raise LookupError(f"{module}:{function} is no check")
    loaded = load_candidate(_frozen(candidate))
    name = f"{function}[{','.join(parameters.values())}]" if parameters else function
    if schedule is None:
        plan = Schedule(seed, f"{module}:{name}")
    else:
        plan = Schedule(int(schedule["seed"]), f"{module}:{name}", dict(schedule["choices"]))
    ledger = Ledger(spec.clauses, Evidence.EXERCISED if loaded.vendor_code else Evidence.MODELLED)
    result = CheckResult(
        check=name,
        title=(check.__doc__ or "").strip().splitlines()[0],
        driver=loaded.spec.name,
        testbed=testbed,
        seed=plan.seed,
        outcome=Outcome.ERROR,
        reproduce=reproduce,
    )
    missing = [need for need in spec.needs if need not in testbed_class(testbed).offers]
    if missing:
        for clause in spec.clauses:
            reasons = ", ".join(sorted(need.value for need in missing))
            _quietly(ledger, f"testbed {testbed} does not offer {reasons}", clause)
    else:
        _run(check, spec, loaded, testbed, plan, parameters, ledger, result)
    result.clauses = ledger.results()
    result.findings = ledger.findings
    result.timeline = ledger.timeline
    result.rare_paths = ledger.rare_paths
    result.schedule = plan.to_dict()
    result.wall_s = time.perf_counter() - started
    if result.outcome is not Outcome.ERROR or not result.message:
        result.outcome = combine(c.outcome for c in result.clauses)
        # the most telling clause speaks for the check
        result.message = next(
            (f"{c.clause}: {c.message}" for c in result.clauses if c.outcome is result.outcome and c.message), ""
        )
    return result.model_dump(mode="json")


def _run(
    check: Any,
    spec: CheckSpec,
    candidate: Candidate,
    testbed: str,
    plan: Schedule,
    parameters: dict[str, str],
    ledger: Ledger,
    result: CheckResult,
) -> None:
    bed_class, options = testbed_class(testbed), testbed_options(candidate)
    limits = limits_of(bed_class)
    repeats = Capability.DIGESTS in bed_class.offers

    def open_bed(seed: int) -> Testbed:
        found: Testbed = bed_class(seed=seed, options=options)
        result.testbed_note = getattr(found, "evidence_note", "")  # a lab of somebody's own may know nothing of it
        return found

    close: list[Callable[[], None]] = []
    run: Callable[[], object]
    if spec.worlds:
        worlds = Worlds(open_bed, candidate, plan, ledger, limits, repeats)
        close.append(lambda: _note_run(result, worlds.run_ns, worlds.digest))
        run = functools.partial(check, worlds, **parameters)
    else:
        seed_randomness(plan.source("random").getrandbits(64))
        bed = open_bed(plan.source("testbed").getrandbits(32))
        lab = Lab(bed, candidate, plan, ledger)
        close.append(lambda: _note_run(result, bed.runtime.now(), bed.recorder.digest() if repeats else None))
        close.append(lambda: _note_durations(result, bed, repeats))
        close.append(bed.close)
        run = functools.partial(bed.runtime.run, lambda: check(lab, **parameters), limits)
    state = ProcessState()
    raised: BaseException | None = None
    try:
        run()
    except BaseException as error:
        raised = error
    changes = state.restore()  # before anything else is called
    try:
        if changes:
            ledger.findings.append(_changed(changes))
        if raised is not None:
            _end_badly(raised, changes, spec, candidate, ledger, result)
    finally:
        for each in close:
            each()


def _note_durations(result: CheckResult, bed: Testbed, repeats: bool) -> None:
    result.profile = bed.profile.name
    if repeats:
        result.durations_ns = method_durations(bed.recorder)


def _note_run(result: CheckResult, run_ns: int, digest: str | None) -> None:
    if digest is not None:
        result.run_ns, result.digest = run_ns, digest


def _end_badly(
    error: BaseException, changes: list[str], spec: CheckSpec, candidate: Candidate, ledger: Ledger, result: CheckResult
) -> None:
    """Say whose fault it is that a check did not come to its end, and of what the cell has to know raise it again."""
    match error:
        case CheckEnded():
            return
        case OutOfMemory():
            raise MemoryError(str(error)) from None  # for the cell, which knows what that means
        case MemoryError() | SystemExit():
            raise error
        case HostingError():
            result.outcome, result.message = Outcome.ERROR, in_words(error)
        case NotPlayed():
            for clause in spec.clauses:
                _quietly(ledger, str(error), clause)
        case TaskflowError() | BackendActivityError() | RuntimeLimit() | StorageError():
            what = f"{type(error).__name__}: {error}"
            ledger.fail_rest(what)
            if isinstance(error, RuntimeLimit):
                remedy = "make the driver return, or raise one of the contract's exceptions"
                ledger.findings.append(
                    Finding(severity=Severity.VIOLATION, subject=type(error).__name__, found=what[:500], remedy=remedy)
                )
            if not any(CLAUSES[clause].binds_driver for clause in spec.clauses) and not candidate.vendor_code:
                result.outcome, result.message = Outcome.ERROR, what
        case _ if candidate.vendor_code and (changes or not isinstance(error, Exception)):
            # the harness raises no KeyboardInterrupt and its like, and can't work in a process that was turned over
            why = f"after the driver had changed {name_changes(changes)}" if changes else "in a thread of the driver"
            what = f"the check broke down {why}: {in_words(error)}"
            ledger.fail_rest(what)
            remedy = "change nothing that belongs to the whole process, and let threads end by exceptions only"
            ledger.findings.append(
                Finding(severity=Severity.VIOLATION, subject="process", found=what[:500], remedy=remedy)
            )
        case _:
            told = "".join(traceback.format_exception(error, limit=-6))
            result.outcome, result.message = Outcome.ERROR, f"{in_words(error)}\n{told}"


def _changed(changes: list[str]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        subject="process",
        found=f"the driver changed what belongs to the whole process: {name_changes(changes)}",
        remedy="leave it as it is, or change it while the driver's module is imported; others live there, too",
    )


@_uncollected
def describe(*, candidate: dict[str, Any], testbed: str = "") -> dict[str, Any]:
    """Describe a driver: its publication with defaults applied, findings, and what follows for each method.

    Raises `CandidateError` for a driver that can't be imported, `UsageProblem` for options that the testbed does not
    take, `DriverError` where the driver raises or stalls; anything else is the harness's own.
    """
    try:
        loaded = load_candidate(_frozen(candidate))
    except Exception:
        raise
    except BaseException as error:
        text = f"{candidate['reference']} raised {in_words(error)} while it was imported ({_where(error)})"
        raise CandidateError(f"{text}; mend it there") from error
    testbed = testbed or "iscsi-sim"
    try:
        bed = testbed_class(testbed)(seed=0, options=testbed_options(loaded))
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError) as error:
        if not testbed_options(loaded):
            raise
        raise _unusable_options(testbed, testbed_options(loaded), error) from error
    lab = Lab(bed, loaded, Schedule(0, "describe"), Ledger((), Evidence.DECLARED))
    state = ProcessState()
    raised: BaseException | None = None
    described: Description | None = None
    try:
        described = bed.runtime.run(lambda: describe_candidate(loaded, lab.open_driver()), limits_of(type(bed)))
    except BaseException as error:
        raised = error
    changes = state.restore()  # before anything else is called
    bed.close()
    if described is None:
        match raised:
            case OutOfMemory():
                raise MemoryError(str(raised)) from None  # for the cell, which knows what that means
            case DriverError() | BackendActivityError() | RuntimeLimit():
                raise _broken_setup(loaded, raised) from raised
            case Exception() | SystemExit() if not (changes and isinstance(raised, Exception)):
                raise raised
        assert raised is not None
        raise _broken_setup(loaded, raised) from raised  # the harness raises none of these
    if changes:
        described.findings.append(_changed(changes))
    dumped: dict[str, Any] = described.model_dump(mode="json")
    return dumped


def _unusable_options(testbed: str, options: Mapping[str, Any], error: Exception) -> UsageProblem:
    told = str(error)
    words = re.findall(r"[A-Za-z_]\w+", told)
    named = next((word for word in words if word in options), "")
    like = nearest(named, [word for word in words if word not in options])
    near = f"; for {named!r}, did you mean {like!r}?" if named and like is not None else ""
    given = ", ".join(f"{name} = {value!r}" for name, value in options.items())
    what = f"the testbed {testbed} does not take the options of the table [testbed] ({given})"
    return UsageProblem(f"{what}: {type(error).__name__}: {told}{near}")


def _broken_setup(candidate: Candidate, error: BaseException) -> DriverError:
    if isinstance(error, DriverError):
        if isinstance(error.cause, MemoryError):
            raise MemoryError(str(error)) from None
        place = "" if error.cause is None else _where(error.cause)
        what = str(error).removeprefix(f"{error.driver}.{error.method}: ")
        return DriverError(error.driver, error.method, f"{what} ({place})" if place else what, error.cause)
    place = _where(error)
    told = f"raised {in_words(error)}" + (f" ({place})" if place else "")
    return DriverError(candidate.spec.name, "its setup or its publication", told, error)


def _where(error: BaseException) -> str:
    """File and line of the innermost frame that is not this harness's own, or "" if there is none."""
    own = Path(__file__).parents[1]
    ours = tuple(f"{own / package}/" for package in ("harness", "conformance", "simulated_backends"))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*ours, "<"))]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def _quietly(ledger: Ledger, reason: str, clause: str) -> None:
    try:
        ledger.unverifiable(reason, clause)
    except CheckEnded:
        return


def _frozen(candidate: dict[str, Any]) -> str:
    return json.dumps(candidate, sort_keys=True)


@functools.cache
def load_candidate(text: str) -> Candidate:
    """The candidate of a spec given as JSON; loaded once for each cell."""
    return CandidateSpec.from_dict(json.loads(text)).load()


def testbed_options(candidate: Candidate) -> dict[str, Any]:
    """What a driver's configuration asks of the testbed: its table `testbed`, if it has one."""
    return dict(candidate.testbed_options)


def limits_of(bed_class: Any) -> Limits:
    """What a check may use on such a testbed, which may give it another time (`check_within_s`, in seconds)."""
    return replace(LIMITS, wall_s=getattr(bed_class, "check_within_s", LIMITS.wall_s))


@functools.cache
def testbed_class(name: str) -> Any:
    """The testbed class registered under that name. Raises LookupError that lists the known ones."""
    known = entry_points(group="backend_activity.testbeds")
    for entry in known:
        if entry.name == name:
            return entry.load()
    raise LookupError(f"no testbed {name!r}; known are {', '.join(sorted(e.name for e in known))}")
