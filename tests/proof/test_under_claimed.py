"""A method that could be listed and is not gets an advisory finding, and only such a method (Q-12)."""

from __future__ import annotations

import re

import pytest

from conformance.invocations import COPYING, MOVING
from conformance.suite import cases
from harness.loading import CandidateSpec
from harness.results import Finding, Outcome, Severity
from tests.proof.modest import STATELESS
from tests.proof.support import SIMULATED, cell, run


@pytest.mark.parametrize("testbed", SIMULATED)
def test_the_finding_is_for_what_comes_to_no_harm_unquiesced(testbed: str) -> None:
    """Of a driver that lists nothing the methods that take a point in time, or mirror writes, are told as under-claimed
    with the time for which writes were held; those that tear or lose writes are not; nothing fails."""
    spec = CandidateSpec.for_driver("tests.proof.modest:Modest")
    told: dict[str, Finding] = {}
    tried: dict[str, Outcome] = {}
    with cell() as where:
        for case in cases("Q-12"):
            result = run(where, spec, case, testbed, 1)
            method = dict(case.parameters)["method"]
            tried[method] = result.outcome
            for finding in result.findings:
                if finding.clause == "Q-12":
                    told[method] = finding
    assert tried == dict.fromkeys([*COPYING, *MOVING], Outcome.PASSED)
    assert sorted(told) == sorted(STATELESS)
    for method, finding in told.items():
        assert finding.severity is Severity.ADVISORY and f"add {method!r}" in finding.remedy
        seconds = re.search(r"held the volume's writes for ([\d.e-]+) s", finding.found)
        assert seconds is not None and float(seconds.group(1)) > 0.1, finding.found


def test_what_is_listed_is_not_tried() -> None:
    """A driver that lists every method is not tried: not applicable, without a finding."""
    with cell() as where:
        results = [run(where, CandidateSpec.for_driver("reference"), case, "iscsi-sim", 1) for case in cases("Q-12")]
    assert {result.outcome for result in results} == {Outcome.NOT_APPLICABLE}
    assert not any(result.findings for result in results)
