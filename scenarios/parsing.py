"""From the data of a scenario file to a scenario and back; every error at once, in sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.publication_file import PublicationFileError, read_publication_file
from scenarios.checks import problems_between
from scenarios.model import Scenario
from scenarios.problems import problems_of


class ScenarioError(ValueError):
    """A scenario can't be used. `problems` are sentences, each with key path, value and what was expected."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.problems)


def parse_data(data: Mapping[str, Any], source: str, folder: Path | None = None) -> Scenario:
    """Check a scenario that was read from TOML; `source` names it in messages. Raises `ScenarioError`.

    Its variants are not looked into. Files that it names are looked for in `folder`: publications are read in, logs of
    fio are named by their whole path.
    """
    plain, problems = _with_files(data, folder)
    scenario = None
    try:
        scenario = Scenario.model_validate_json(json.dumps(plain, default=str))
    except ValidationError as error:
        problems += problems_of(Scenario, error)
    problems += problems_between(plain)
    if scenario is None or problems:
        raise ScenarioError(source, problems)
    return scenario


def scenario_data(scenario: Scenario) -> dict[str, Any]:
    """The scenario as TOML has it, quantities with units; `parse_scenario` reads it back to an equal one."""
    return scenario.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def _with_files(data: Mapping[str, Any], folder: Path | None) -> tuple[dict[str, Any], list[str]]:
    """The data with its publication files read in and its logs named by whole paths, and what is wrong with those."""
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str))
    problems = []
    base = folder or Path()
    for name, driver in _tables(plain, "driver"):
        file = driver.get("publication_file")
        if not isinstance(file, str):
            continue
        if "publication" in driver:
            problems.append(f"driver.{name}: it has both publication and publication_file; keep one")
            continue
        try:
            driver["publication"] = json.loads(json.dumps(read_publication_file(base / file).attributes, default=list))
            del driver["publication_file"]
        except PublicationFileError as error:
            problems.append(f"driver.{name}.publication_file is {file!r}: {error}")
    for name, workload in _tables(plain, "workload"):
        file = workload.get("replay")
        if isinstance(file, str):
            workload["replay"] = str((base / file).resolve())
            if not (base / file).is_file():
                what = "it is not a regular file" if (base / file).exists() else "there is no such file"
                problems.append(f"workload.{name}.replay is {file!r}: {what}; give the path of a log of fio")
    return plain, problems


def _tables(data: Mapping[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    tables = data.get(kind)
    if not isinstance(tables, dict):
        return []
    return [(name, table) for name, table in tables.items() if isinstance(table, dict)]
