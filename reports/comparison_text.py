"""A comparison of two runs for a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.comparison import Change, CheckChange, Comparison
from reports.terminal import Printer
from reports.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 20
_STYLES = {
    Change.NEW_FAILURE: "bold red",
    Change.STILL_FAILING: "red",
    Change.NEWLY_SKIPPED: "yellow",
    Change.VANISHED: "yellow",
    Change.FIXED: "green",
    Change.NEWLY_PASSED: "green",
}


def print_comparison(found: Comparison, reasons: Sequence[str], console: Console) -> None:
    """Print what changed, each kind of change with its checks, and whether the gate is open."""
    out = Printer(console)

    def line(*parts: str | tuple[str, str]) -> None:
        out.line(*parts, whole=True)

    for driver in found.drivers:
        line((one_line(driver.driver, 120), "bold"), f"  {driver.old or 'not run'} → {driver.new or 'not run'}")
    for note in found.notes:
        line((f"  {one_line(note, 300)}", "dim"))
    for change in Change:
        checks = found.of(change)
        if not checks:
            continue
        line("")
        line((f"{change} ({len(checks)})", _STYLES[change]))
        for check in checks[:_SHOWN]:
            line(f"  {_check(check)}")
        if len(checks) > _SHOWN:
            line(f"  and {len(checks) - _SHOWN} more")
    if found.timings:
        line("")
        line((f"timings that left their confidence interval ({len(found.timings)})", "yellow"))
        for name, timing in found.timings[:_SHOWN]:
            where = one_line(f"{timing.method} on {timing.testbed}, {name}", 200)
            interval = f"{timing.low:.3f} … {timing.high:.3f}, from {timing.pairs} checks"
            line(f"  {where}: {timing.ratio:.3f} times as long ({interval})")
    line("")
    compared = len([timing for driver in found.drivers for timing in driver.timings])
    line(f"{found.unchanged} checks unchanged; {compared} timings compared")
    line(("gate shut: " + ", ".join(reasons), "bold red") if reasons else ("gate open", "bold green"))


def _check(check: CheckChange) -> str:
    where = f" [{check.testbed}] {check.driver}" if check.testbed else ""
    message = f": {check.message}" if check.message else ""
    return one_line(f"{check.check}{where}: {check.old or 'not run'} → {check.new or 'not run'}{message}", 400)


def comparison_json(found: Comparison, reasons: Sequence[str]) -> str:
    """The comparison as a JSON document."""
    document = {
        "schema_version": "backend-activity/comparison/1",
        "gate": list(reasons),
        "drivers": [
            {"driver": d.driver, "was_called": d.was_called, "old": d.old, "new": d.new} for d in found.drivers
        ],
        "notes": found.notes,
        "checks": [
            {"change": c.change, "driver": c.driver, "check": c.check, "testbed": c.testbed,
             "old": c.old, "new": c.new, "message": c.message}
            for c in found.checks
        ],
        "unchanged": found.unchanged,
        "timings": [
            {"driver": d.driver, "testbed": t.testbed, "method": t.method, "pairs": t.pairs,
             "ratio": t.ratio, "low": t.low, "high": t.high, "changed": t.changed}
            for d in found.drivers
            for t in d.timings
        ],
    }  # fmt: skip
    return json.dumps(document, indent=1) + "\n"
