"""A badge for a README: the worst verdict of a run, as the endpoint JSON that shields.io reads. Needs no network."""

from __future__ import annotations

import json

from harness.results import Report, Verdict

_COLOURS = {
    Verdict.HARNESS_ERROR: "lightgrey",
    Verdict.NON_CONFORMANT: "red",
    Verdict.INCOMPLETE: "yellow",
    Verdict.CONSISTENT: "blue",
    Verdict.CONFORMANT: "brightgreen",
}


def badge_text(report: Report) -> str:
    """The text of `badge.json` (https://shields.io/badges/endpoint-badge)."""
    verdicts = [driver.verdict for driver in report.drivers] or [Verdict.HARNESS_ERROR]
    worst = min(verdicts, key=list(_COLOURS).index)
    data = {
        "schemaVersion": 1,
        "label": "backend activity",
        "message": f"{worst.value} ({report.level.value})",
        "color": _COLOURS[worst],
        "isError": worst is Verdict.HARNESS_ERROR,
    }
    return json.dumps(data, indent=1) + "\n"
