"""Scenarios with other values: one key changed by its path, or a variant of the file applied."""

from __future__ import annotations

from typing import Any

from scenarios.model import Scenario


def with_value(scenario: Scenario, path: str, value: Any) -> Scenario:
    """The scenario with another value at a dotted key path: `link.bandwidth`, `volume.data.size`.

    A path that leaves the name out (`volume.size`) sets the key in every table of that kind. Values are written as in a
    file ("25Gb", "1 TiB", true, 8); a text that is no text there is read as TOML reads it ("true", "8"), as a command
    line has only texts. None takes the key away. Raises `ScenarioError`, with the same messages as a file's.
    """
    raise NotImplementedError


def with_values(scenario: Scenario, values: dict[str, Any]) -> Scenario:
    """The scenario with several other values at once. Raises `ScenarioError`."""
    raise NotImplementedError


def variant_of(scenario: Scenario, name: str) -> Scenario:
    """The scenario as a variant of its own changes it; the result has no variants any more. Raises `ScenarioError`."""
    raise NotImplementedError
