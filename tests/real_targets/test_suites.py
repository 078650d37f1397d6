"""How `make real` judges a run of the suites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.session import ExitCode

from .suites import outcome

NOT_OFFERED = "Q-8: unverifiable: testbed tgt does not offer timing of foreground I/O without jitter"


@pytest.mark.parametrize(
    ("status", "reasons", "passed"),
    [
        (ExitCode.CONFORMANT, [], True),
        (ExitCode.INCOMPLETE, [NOT_OFFERED], True),
        (ExitCode.INCOMPLETE, [NOT_OFFERED, "R-1: unverifiable: what it needs is not played"], False),
        (ExitCode.INCOMPLETE, [NOT_OFFERED.replace("tgt", "files")], False),
        (ExitCode.INCOMPLETE, [], False),
        (ExitCode.NON_CONFORMANT, [NOT_OFFERED], False),
        (ExitCode.HARNESS_ERROR, [], False),
    ],
)
def test_only_what_a_testbed_does_not_offer_may_stay_open(
    tmp_path: Path, status: ExitCode, reasons: list[str], passed: bool
) -> None:
    """An incomplete run has passed where all that is open is not to be had on that testbed; it is named then."""
    (tmp_path / "report.json").write_text(json.dumps({"drivers": [{"reasons": reasons}]}))
    found, remark = outcome(status, tmp_path, "tgt")
    assert found == passed
    if status is ExitCode.INCOMPLETE:
        assert all(reason in remark for reason in reasons)
