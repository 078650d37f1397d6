"""Reading scenario files: TOML, checked as a whole, every error at once with file, key path, value and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scenarios.model import Scenario


class ScenarioError(ValueError):
    """A scenario can't be used. `problems` are sentences, each with key path, value and what was expected."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = tuple(problems)


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario file; the name of one of the library will do too. Raises `ScenarioError`."""
    raise NotImplementedError


def parse_scenario(data: Mapping[str, Any], source: str) -> Scenario:
    """Check a scenario that was read from TOML; `source` names it in messages. Raises `ScenarioError`."""
    raise NotImplementedError


def scenario_data(scenario: Scenario) -> dict[str, Any]:
    """The scenario as TOML has it, quantities with units; `parse_scenario` reads it back to an equal one."""
    raise NotImplementedError
