"""Scenarios with other values: one key changed by its path, or a variant of the file applied."""

from __future__ import annotations

import contextlib
import copy
import tomllib
import typing
from collections.abc import Mapping
from typing import Any

from harness.names import did_you_mean
from scenarios.model import AS_IT_STANDS, Scenario
from scenarios.parsing import ScenarioError, parse_data, scenario_data
from scenarios.problems import keys_of, table_at


def with_value(scenario: Scenario, path: str, value: Any) -> Scenario:
    """The scenario with another value at a dotted key path: `link.bandwidth`, `volume.data.size`.

    A path that leaves the name out (`volume.size`) sets the key in every table of that kind. Values are written as in a
    file ("25Gb", "1 TiB", true, 8); a text that is no text there is read as TOML reads it ("true", "8"), as a command
    line has only texts. None takes the key away; a table under a new name adds it. Raises `ScenarioError`, with the
    same messages as a file's.
    """
    return with_values(scenario, {path: value})


def with_values(scenario: Scenario, values: Mapping[str, Any]) -> Scenario:
    """The scenario with several other values at once. Raises `ScenarioError`."""
    data = scenario_data(scenario)
    read_as_toml = {path: _literal(value) for path, value in values.items()}
    try:
        return _changed(scenario, data, values)
    except ScenarioError as as_written:
        if read_as_toml == values:
            raise
        with contextlib.suppress(ScenarioError):
            return _changed(scenario, data, read_as_toml)  # together, as they may be right only together
        for path, value in values.items():  # each value is a text where that is right, else what TOML makes of it
            try:
                data = scenario_data(_changed(scenario, data, {path: value}))
            except ScenarioError:
                try:
                    data = scenario_data(_changed(scenario, data, {path: read_as_toml[path]}))
                except ScenarioError as error:
                    raise (as_written if read_as_toml[path] == value else error) from None
        return parse_data(data, scenario.name)


def variant_of(scenario: Scenario, name: str) -> Scenario:
    """The scenario as a variant of its own changes it; the result has no variants any more. Raises `ScenarioError`."""
    if name not in scenario.variants:
        hint = did_you_mean(name, scenario.variants)
        raise ScenarioError(scenario.name, [f"there is no variant {name!r}: {hint}"])
    data = scenario_data(scenario)
    data.pop("variant", None)
    data["scenario"].pop("baseline", None)
    if name == AS_IT_STANDS and name not in scenario.variant:
        return parse_data(data, scenario.name)
    variant = scenario.variant[name]
    changes = dict.fromkeys(variant.unset) | dict(variant.set)
    try:
        return _changed(scenario, data, changes)
    except ScenarioError as error:
        raise ScenarioError(scenario.name, [f"variant.{name}: {problem}" for problem in error.problems]) from None


def set_by_variants(scenario: Scenario, path: str) -> list[tuple[str, str]]:
    """The variants that set or unset a key path (or a part of it, or what it is a part of) themselves, with theirs."""
    wanted = _pattern(scenario, path)
    return [
        (name, own)
        for name, variant in scenario.variant.items()
        for own in (*variant.set, *variant.unset)
        if all(a == b or "*" in (a, b) for a, b in zip(wanted, _pattern(scenario, own), strict=False))
    ]


def _pattern(scenario: Scenario, path: str) -> list[str]:
    """The parts of a key path, with * for a name that it leaves out."""
    kind, *rest = path.split(".")
    tables = getattr(scenario, kind, None)
    named = not isinstance(tables, dict) or bool(rest and rest[0] in tables)
    return [kind, *rest] if named else [kind, "*", *rest]


def _changed(scenario: Scenario, data: Mapping[str, Any], values: Mapping[str, Any]) -> Scenario:
    changed = copy.deepcopy(dict(data))  # what is refused must not stay in the caller's
    for path, value in values.items():
        for place in _places(scenario, changed, path, value):
            _set(changed, place, value)
    return parse_data(changed, scenario.name)


def _places(scenario: Scenario, data: Mapping[str, Any], path: str, value: Any) -> list[list[str]]:
    """The key paths that a path means: with names where it leaves them out. A new table has to come as a whole."""
    kind, *rest = path.split(".")
    field = Scenario.model_fields.get(kind)
    if field is not None and not rest:
        raise ScenarioError(scenario.name, [f"{path} is a table; name a key in it, such as link.bandwidth"])
    if field is None:
        hint = did_you_mean(kind, keys_of(Scenario))
        raise ScenarioError(scenario.name, [f"{path}: there is no such key; {hint}"])
    tables = data.get(kind, {})
    if typing.get_origin(field.annotation) is not dict or rest[0] in tables:
        return [[kind, *rest]]
    table = table_at(Scenario, [kind, "NAME"])
    keys = keys_of(table) if table is not None else []
    if rest[0] in keys and tables:
        return [[kind, name, *rest] for name in tables]
    if rest[0] in keys:
        raise ScenarioError(scenario.name, [f"{path}: the scenario has no [{kind}.NAME] to set it in"])
    if len(rest) == 1 and isinstance(value, dict):
        return [[kind, *rest]]
    raise ScenarioError(scenario.name, [f"{path}: there is no such key; {did_you_mean(rest[0], [*tables, *keys])}"])


def _set(data: dict[str, Any], place: list[str], value: Any) -> None:
    *tables, key = place
    here = data
    for part in tables:
        if not isinstance(here.get(part), dict):
            here[part] = {}
        here = here[part]
    if value is None:
        here.pop(key, None)
    else:
        here[key] = value


def _literal(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
