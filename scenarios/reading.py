"""Reading scenario files: TOML, checked as a whole, every error at once with file, key path, value and remedy."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from harness.input_file import InputFileError, read_text
from harness.names import did_you_mean
from scenarios.model import Scenario
from scenarios.parsing import ScenarioError, parse_data, scenario_data
from scenarios.vary import variant_of

__all__ = ["ScenarioError", "library", "load_scenario", "parse_scenario", "scenario_data"]

_MOST_BYTES = 4 << 20
LIBRARY = "library"
"""The folder of this package with the scenarios that come with the program."""


def library() -> dict[str, Path]:
    """The scenarios that come with the program: their files by name, sorted."""
    folder = Path(str(resources.files("scenarios").joinpath(LIBRARY)))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario file; the name of one of the library will do too. Raises `ScenarioError`."""
    known = library()
    file = known.get(str(path), Path(path))
    try:
        text = read_text(file, _MOST_BYTES, "a .toml file")
    except InputFileError as error:
        remedy = error.remedy
        if not file.suffix and not file.exists():
            remedy = f"give a .toml file, or the name of a scenario of the library: {did_you_mean(str(path), [*known])}"
        raise ScenarioError(str(path), [f"{error.what}; {remedy}"]) from None
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(str(path), [f"it is not TOML: {error}; see https://toml.io"]) from None
    return parse_scenario(data, str(path), file.parent)


def parse_scenario(data: Mapping[str, Any], source: str, folder: Path | None = None) -> Scenario:
    """Check a scenario that was read from TOML, its variants too; `source` names it in messages.

    Files that it names are looked for in `folder`: publications are read in, logs of fio are named by their whole path.
    Raises `ScenarioError`.
    """
    scenario = parse_data(data, source, folder)
    problems: list[str] = []
    for name in scenario.variant:
        try:
            variant_of(scenario, name)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(source, problems)
    return scenario
