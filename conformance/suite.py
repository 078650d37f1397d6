"""The checks as data: every check function of the suites with every combination of its parameters."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks import DEFAULT_SCHEDULES, batch_names, spec_of
from conformance.clauses import CLAUSES
from harness.judging import in_level
from harness.results import ClauseInfo, Level

MODULES = (
    "conformance.test_attributes",
    "conformance.test_quiescing",
    "conformance.test_stalls",
    "conformance.test_overlapping",
    "conformance.test_effects",
    "conformance.test_under_claimed",
    "conformance.test_replication",
    "conformance.test_completeness",
    "conformance.test_endings",
    "conformance.test_handles",
    "conformance.test_outcomes",
    "conformance.test_schedules",
    "conformance.test_compression",
)
"""The suites, one a section of the specification."""


@dataclass(frozen=True)
class CheckCase:
    """One check with its parameters, ready for `conformance.runner.run_check`."""

    module: str
    function: str
    parameters: tuple[tuple[str, str], ...]
    clauses: tuple[str, ...]

    @property
    def name(self) -> str:
        """The check's name as results show it."""
        values = ",".join(value for _, value in self.parameters)
        return f"{self.function}[{values}]" if values else self.function

    def arguments(self) -> dict[str, Any]:
        """The arguments of `run_check` that name this check."""
        return {"module": self.module, "function": self.function, "parameters": dict(self.parameters)}


def needed_at(level: Level, names: Iterable[str], clauses: Mapping[str, ClauseInfo]) -> bool:
    """Whether the verdict for a level needs a check of the clauses `names`: for core, one of core."""
    return level is Level.FULL or any(name in clauses and in_level(clauses[name], level) for name in names)


def whole(level: Level, schedules: int = DEFAULT_SCHEDULES) -> dict[str, tuple[str, ...]]:
    """The names of all checks that a run for a level, and so many schedules, has on each testbed; and their clauses."""
    return {case.name: case.clauses for case in cases(schedules=schedules) if needed_at(level, case.clauses, CLAUSES)}


def cases(*clauses: str, schedules: int = DEFAULT_SCHEDULES) -> Iterator[CheckCase]:
    """Every check that touches one of `clauses` (default: every check), in the order of the suites."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name, function in vars(module).items():
            spec = spec_of(function)
            if spec is None or not name.startswith("test_") or function.__module__ != module_name:
                continue
            if clauses and not set(clauses) & set(spec.clauses):
                continue
            for parameters in _combinations(function, batch_names(schedules, spec.batch) if spec.batch else ()):
                yield CheckCase(module_name, name, parameters, spec.clauses)


def _combinations(function: Any, batches: tuple[str, ...]) -> Iterator[tuple[tuple[str, str], ...]]:
    axes = []
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            name, values = mark.args[0], mark.args[1]
            axes.append([(name, value) for value in (batches if name == "batch" and batches else values)])
    yield from itertools.product(*axes)
