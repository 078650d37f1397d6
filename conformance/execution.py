"""Runs checks in cells and makes a `CheckResult` of whatever comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from conformance.session import DriverUnderTest, Place, Settings, UsageProblem, check_name, is_virtual
from harness.cell import Cell, CellError, CellLimits, CellOutcome, Kind
from harness.hosting import host_of_reference
from harness.results import (
    CheckResult,
    ClauseInfo,
    ClauseResult,
    Description,
    Finding,
    Outcome,
    Severity,
)
from harness.taskflow.errors import DriverError

RUNNER = "conformance.runner"
"""The module whose `run_check` and `describe` are called in the cell."""

VIRTUAL_LIMITS = CellLimits(wall_s=30.0, file_bytes=256 << 20)  # nothing but logs is written under that clock
HOSTED_LIMITS = CellLimits(wall_s=120.0, file_bytes=256 << 20)  # each of a hosted driver's calls is many commands
WALL_LIMITS = CellLimits(wall_s=60.0)

HANGS_ENOUGH = 3
"""After so many checks that hung, a driver's other checks on that testbed are not run: the run has to end in time."""

_USAGE_ERRORS = ("CandidateError", "PublicationFileError", "UsageProblem")
"""What `describe` raises in the cell for what the user can't use; for what the driver raises it is a `DriverError`."""

_REMEDIES = {
    Kind.HUNG: "find what the driver waits or loops for (the stack shows where it stood), and bound it",
    Kind.EXITED: "raise an exception instead of ending the process; a driver lives in its host's process",
    Kind.KILLED: "find the native code that crashed, or the signal that the driver sends",
    Kind.OUT_OF_MEMORY: "bound what the driver keeps in memory",
    Kind.GARBLED: "write only to descriptors that the driver itself has opened, and close no others",
}


@dataclass(frozen=True)
class CheckCall:
    """One check, as it is called in a cell: its function, its clauses, where it runs, and how to rerun it."""

    module: str
    function: str
    parameters: Mapping[str, str]
    clauses: tuple[str, ...]
    title: str
    place: Place
    reproduce: str

    @property
    def name(self) -> str:
        """The check's name in results."""
        return check_name(self.function, self.parameters)


class Executor:
    """Holds the warm cells of one process, and runs checks in them.

    There is one for each driver and clock, and another one, with another hash seed, for checks that are repeated.
    """

    def __init__(self, settings: Settings, clauses: Mapping[str, ClauseInfo], runner: str = RUNNER) -> None:
        self._settings = settings
        self._clauses = clauses
        self._runner = runner
        self._cells: dict[tuple[int, bool, int], Cell] = {}
        self._hangs: Counter[str] = Counter()
        self._closed = False

    def close(self) -> None:
        """End all cells, and start none any more. Repeating it ends those that were only starting meanwhile."""
        self._closed = True
        for cell in list(self._cells.values()):
            cell.close()

    def run(self, call: CheckCall, *, repeat: bool) -> CheckResult:
        """Run a check; with `repeat`, once more in another process with another hash seed, to compare the digests.

        Never raises for what happens in the cell; a fault of the harness is a result with outcome error.
        """
        if self._hangs[call.place.id] >= HANGS_ENOUGH:
            return self._not_run(call)
        try:
            outcome = self._call(self._cell(call.place), call)
            result = self._result(call, outcome)
            if outcome.kind is Kind.HUNG:
                self._hangs[call.place.id] += 1
            if repeat and result.digest is not None and result.outcome is not Outcome.ERROR:
                result = self._compare(call, result)
        except CellError as error:
            result = self._blank(call, Outcome.ERROR, str(error))
        return result

    def describe(self, driver: DriverUnderTest, testbed: str) -> Description:
        """How a driver describes itself, asked for on `testbed`.

        Raises `UsageProblem` for a driver that can't be loaded and for options that the testbed does not take,
        `CellError` where the harness failed. A driver that does not survive its own start, or raises, is described
        by that.
        """
        cell = self._cell(Place(driver, testbed))
        arguments = {"candidate": driver.spec, "testbed": testbed}
        outcome = cell.call(f"{self._runner}:describe", arguments, f"describe {driver.label}", self._settings.timeout_s)
        if outcome.kind is Kind.RETURNED:
            try:
                description = Description.model_validate(outcome.value)
            except ValidationError as error:
                raise CellError(f"the description of {driver.label} is malformed: {error}") from None
            if outcome.stdout:
                description.findings.append(_printed(outcome))
            return description
        option = " ".join(driver.option)
        if outcome.kind is Kind.RAISED and outcome.error_type in _USAGE_ERRORS:
            raise UsageProblem(f"{option}: {outcome.error}")
        raised = outcome.kind is Kind.RAISED and outcome.error_type == DriverError.__name__
        if not driver.vendor_code or (outcome.kind is Kind.RAISED and not raised):
            raise CellError(f"{option} can't be described: {outcome.message}\n{outcome.traceback}".rstrip())
        finding = _broken(outcome) if raised else _death(outcome, "when it was loaded and set up, the driver")
        return Description(
            driver=str(driver.spec.get("name", driver.label)),
            target=str(driver.spec.get("target", driver.label)),
            vendor_code=driver.vendor_code,
            published={},
            effective={},
            defaults=[],
            findings=[finding, *([_printed(outcome)] if outcome.stdout else [])],
        )

    def _cell(self, place: Place, repetition: int = 0) -> Cell:
        virtual = is_virtual(place.testbed)
        key = (place.driver.index, virtual, repetition)
        if self._closed:
            raise CellError("the run is over; no cell is started any more")
        if key not in self._cells:
            hosted = host_of_reference(str(place.driver.spec["reference"])) is not None
            limits = WALL_LIMITS if not virtual else HOSTED_LIMITS if hosted else VIRTUAL_LIMITS
            self._cells[key] = Cell(limits, virtual=virtual, hash_seed=self._settings.hash_seed(repetition))
        return self._cells[key]

    def _call(self, cell: Cell, call: CheckCall) -> CellOutcome:
        arguments = {
            "module": call.module,
            "function": call.function,
            "parameters": dict(call.parameters),
            "candidate": call.place.driver.spec,
            "testbed": call.place.testbed,
            "seed": self._settings.seed,
            "schedule": self._settings.schedule,
            "reproduce": call.reproduce,
        }
        return cell.call(
            f"{self._runner}:run_check", arguments, f"{call.name} on {call.place.testbed}", self._settings.timeout_s
        )

    def _result(self, call: CheckCall, outcome: CellOutcome) -> CheckResult:
        if outcome.kind is Kind.RETURNED:
            try:
                result = CheckResult.model_validate(outcome.value)
            except ValidationError as error:
                return self._blank(call, Outcome.ERROR, f"the check's result is malformed: {error}")
            if (result.check, result.testbed) != (call.name, call.place.testbed):
                text = f"the result is of {result.check} on {result.testbed}, not of the check that was run"
                return self._blank(call, Outcome.ERROR, text)
            if outcome.stdout:
                result.findings.append(_printed(outcome))
        elif outcome.kind is Kind.RAISED:
            result = self._blank(call, Outcome.ERROR, f"{outcome.message}\n{outcome.traceback}".rstrip())
        elif not call.place.driver.vendor_code:
            text = f"with the bundled driver, the check {_ended(outcome)}\n{outcome.traceback}"
            result = self._blank(call, Outcome.ERROR, text.rstrip())
        else:
            result = self._died(call, outcome)
        if outcome.earlier:
            result.findings.append(
                Finding(
                    severity=Severity.WARNING,
                    subject="threads",
                    found=f"the process ended between checks: {outcome.earlier}",
                    remedy="let no thread of the driver outlive its calls",
                )
            )
        result.output = (result.output + outcome.output)[: 64 << 10]
        result.wall_s = outcome.wall_s
        return result

    def _died(self, call: CheckCall, outcome: CellOutcome) -> CheckResult:
        finding = _death(outcome, "during this check, the driver")
        result = self._blank(call, Outcome.FAILED, finding.found)
        result.findings.append(finding)
        if outcome.stdout:
            result.findings.append(_printed(outcome))
        for clause in call.clauses:
            info = self._clauses.get(clause)
            theirs = info is not None and info.binds_driver
            failed = Outcome.FAILED if theirs else Outcome.UNVERIFIABLE
            witness = {"stack": _short_stack(outcome.traceback)} if theirs and outcome.traceback else None
            result.clauses.append(ClauseResult(clause=clause, outcome=failed, message=finding.found, witness=witness))
        return result

    def _compare(self, call: CheckCall, first: CheckResult) -> CheckResult:
        second = self._call(self._cell(call.place, 1), call)
        digest = second.value.get("digest") if second.kind is Kind.RETURNED and isinstance(second.value, dict) else None
        if digest == first.digest:
            return first
        after = f"recorded {digest}" if digest is not None else _ended(second)
        text = f"the same seed does not give the same run: one recorded {first.digest}, its repetition {after}"
        if not call.place.driver.vendor_code:
            return first.model_copy(update={"outcome": Outcome.ERROR, "message": text})
        first.findings.append(
            Finding(
                severity=Severity.VIOLATION,
                subject="repetition",
                found=text,
                remedy="let nothing depend on set order, object ids, real time or state kept between instances",
            )
        )
        return first

    def _not_run(self, call: CheckCall) -> CheckResult:
        text = f"not run: the driver hung in {HANGS_ENOUGH} checks on {call.place.testbed} before"
        result = self._blank(call, Outcome.UNVERIFIABLE, text)
        result.clauses = [ClauseResult(clause=c, outcome=Outcome.UNVERIFIABLE, message=text) for c in call.clauses]
        return result

    def _blank(self, call: CheckCall, outcome: Outcome, message: str) -> CheckResult:
        return CheckResult(
            check=call.name,
            title=call.title,
            driver=str(call.place.driver.spec.get("name", call.place.driver.label)),
            testbed=call.place.testbed,
            seed=self._settings.seed,
            outcome=outcome,
            message=message,
            reproduce=call.reproduce,
        )


def _ended(outcome: CellOutcome) -> str:
    return {
        Kind.EXITED: f"ended its process: {outcome.message}",
        Kind.KILLED: f"crashed: {outcome.message}",
    }.get(outcome.kind, outcome.message)


def _death(outcome: CellOutcome, who: str) -> Finding:
    return Finding(
        severity=Severity.VIOLATION,
        subject=outcome.kind.value,
        found=f"{who} {_ended(outcome)}",
        remedy=_REMEDIES[outcome.kind],
    )


def _broken(outcome: CellOutcome) -> Finding:
    return Finding(
        severity=Severity.VIOLATION,
        subject="setup",
        found=f"the driver could not be set up and described: {outcome.error}",
        remedy="let Class(configuration=…, host=…), do_setup(context) and check_for_setup_error() return",
    )


def _printed(outcome: CellOutcome) -> Finding:
    first = outcome.stdout.strip().splitlines()[:1] or [""]
    return Finding(
        severity=Severity.ADVISORY,
        subject="standard output",
        found=f"printed to standard output: {first[0][:120]!r}",
        remedy="use logging; standard output belongs to the program that runs the driver",
    )


def _short_stack(traceback: str) -> list[str]:
    """The lines of a stack that are not the cell's own."""
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    return [line for line in lines if "cell_worker" not in line and "<frozen runpy>" not in line][:20]
