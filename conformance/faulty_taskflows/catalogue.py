"""The catalogue of faulty taskflows, and how one of them runs a check."""

from __future__ import annotations

import importlib
from typing import Any

from conformance import runner
from conformance.faulty_taskflows.registry import FaultyTaskflow, registered

MODULES = ("attributes", "quiescing", "replication", "handles", "compression")
"""The modules of this package that hold faulty taskflows, one a section of the specification."""

_applied: list[str] = []


def catalogue() -> list[FaultyTaskflow]:
    """Every faulty taskflow, section by section, in the order of its file."""
    modules = [importlib.import_module(f"conformance.faulty_taskflows.{name}").__name__ for name in MODULES]
    return sorted(registered(), key=lambda taskflow: modules.index(taskflow.module))


def run_check(flaw_name: str, **arguments: Any) -> dict[str, Any]:
    """Run one check with a broken taskflow, as `conformance.runner.run_check` does; for a cell of its own.

    The flaw is applied by the first call and stays. Raises LookupError for an unknown one, ValueError where another
    was applied before.
    """
    found = next((taskflow for taskflow in catalogue() if taskflow.name == flaw_name), None)
    if found is None:
        raise LookupError(f"there is no faulty taskflow {flaw_name!r}")
    if _applied and _applied != [flaw_name]:
        raise ValueError(f"{_applied[0]} was applied in this process; {flaw_name} needs a cell of its own")
    if not _applied:
        _applied.append(flaw_name)
        found.apply()
    return runner.run_check(**arguments)
