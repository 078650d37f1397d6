"""A runner whose drivers are named after what they do, so that the plugin can be tested without any driver."""

from __future__ import annotations

import importlib
import os
import sys
from types import SimpleNamespace
from typing import Any

from conformance.checks import spec_of
from conformance.session import UsageProblem
from harness.loading import REFERENCE_DRIVER, CandidateError
from harness.results import CheckResult, ClauseInfo, ClauseResult, Description, Evidence, Finding, Outcome, Severity
from harness.schedule import ScheduleError
from harness.taskflow.errors import DriverError

CLAUSES = {
    "D-1": ClauseInfo(id="D-1", who="D", mandatory=True, title="A driver does", core=True),
    "D-2": ClauseInfo(id="D-2", who="D", mandatory=True, title="A driver does more"),
    "D-3": ClauseInfo(id="D-3", who="D", mandatory=False, title="A driver had better"),
    "T-1": ClauseInfo(id="T-1", who="T", mandatory=True, title="A taskflow does"),
}


def _deed(candidate: dict[str, Any]) -> str:
    return "nothing" if candidate["reference"] == REFERENCE_DRIVER else candidate["reference"].partition(":")[2]


def describe(*, candidate: dict[str, Any], testbed: str) -> dict[str, Any]:
    """Describe a driver, or fail to."""
    deed = _deed(candidate)
    if deed == "Unloadable":
        raise CandidateError("there is no such class; write one")
    if deed == "Indescribable":
        raise RuntimeError("the harness stumbled")
    if deed == "DeadAtSetup":
        os._exit(5)
    if deed == "RaisesAtSetup":
        print("connecting")
        raise DriverError("Array", "do_setup", "raised RuntimeError: no array (array.py, line 3)")
    if candidate["testbed_options"] and testbed == "sample-real":
        raise UsageProblem("the testbed sample-real does not take the options of the table [testbed]")
    vendor_code = candidate["reference"] != REFERENCE_DRIVER
    return Description(
        driver=candidate["name"],
        target=candidate["target"],
        vendor_code=vendor_code,
        published={},
        effective={},
        defaults=[],
    ).model_dump(mode="json")


def run_check(
    *,
    module: str,
    function: str,
    parameters: dict[str, str],
    candidate: dict[str, Any],
    testbed: str,
    seed: int,
    schedule: dict[str, Any] | None,
    reproduce: str,
) -> Any:
    """Run a check: its body gets the driver's deed and the clauses' outcomes, and changes these."""
    check = getattr(importlib.import_module(module), function)
    spec = spec_of(check)
    assert spec is not None
    evidence = Evidence.MODELLED if candidate["reference"] == REFERENCE_DRIVER else Evidence.EXERCISED
    result = CheckResult(
        check=f"{function}[{','.join(parameters.values())}]" if parameters else function,
        driver=candidate["name"],
        testbed=testbed,
        seed=seed,
        outcome=Outcome.PASSED,
        clauses=[ClauseResult(clause=c, outcome=Outcome.PASSED, evidence=evidence) for c in spec.clauses],
        digest="same",
        schedule=schedule,
        reproduce=reproduce,
    )
    lab = SimpleNamespace(deed=_deed(candidate), result=result, testbed=testbed)
    check(lab, **parameters)
    return "no result" if lab.deed == "Malformed" and function == "test_acts" else result.model_dump(mode="json")


def act(lab: Any) -> None:
    """What the drivers do."""
    match lab.deed:
        case "Hangs":
            while True:
                pass
        case "Exits":
            os._exit(7)
        case "Hoards":
            kept = []
            while True:
                kept.append(bytearray(64 << 20))
        case "Prints":
            print("hello from the driver")
        case "Crashes":
            os.kill(os.getpid(), 11)
        case "Scribbles":
            for fd in range(3, 1024):
                try:
                    os.write(fd, b"scribble\n")
                except OSError:
                    continue
        case "Raises":
            raise RuntimeError("the harness stumbled")
        case "Misfit":
            raise ScheduleError("the choice 'user' is \"x\"; it must be a whole number")
        case "Unrepeatable":
            lab.result.digest = str(hash("salted"))
        case "LeavesThread":
            import _thread

            _thread.start_new_thread(os._exit, (8,))
            sys.stdin.read()
        case "Fails":
            _set(lab, "D-1", Outcome.FAILED, "it did not", {"block": 7})
        case "FailsBySchedules":
            lab.result.schedule = {"schema": "backend-activity/schedule/1", "seed": 1, "check": "", "faults": [],
                                   "choices": {"blocks D-1": "[[1]]", "blocks D-3": "[[3]]", "user": 7}}  # fmt: skip
            _set(lab, "D-3", Outcome.FAILED, "it had better")
            _set(lab, "D-1", Outcome.FAILED, "it did not")
        case "FailsAdvice":
            _set(lab, "D-3", Outcome.FAILED, "it had better")
        case "BreaksTaskflow":
            _set(lab, "T-1", Outcome.FAILED, "the taskflow did not")
        case "FailsTwice":
            _set(lab, "D-1", Outcome.FAILED, "it did not")
            lab.result.findings.append(
                Finding(severity=Severity.VIOLATION, clause="D-2", found="something else is wrong")
            )
        case "Unverifiable":
            _set(lab, "D-1", Outcome.UNVERIFIABLE, "no such fault here")


def _set(lab: Any, clause: str, outcome: Outcome, message: str, witness: dict[str, Any] | None = None) -> None:
    for result in lab.result.clauses:
        if result.clause == clause:
            result.outcome, result.message, result.witness = outcome, message, witness
    lab.result.outcome, lab.result.message = outcome, f"{clause}: {message}"
