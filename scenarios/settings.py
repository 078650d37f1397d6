"""What `--set` changes of a scenario, for all verbs that run one."""

from __future__ import annotations

from collections.abc import Sequence

from scenarios.model import Scenario
from scenarios.parsing import ScenarioError
from scenarios.vary import set_by_variants, with_values


def with_settings(scenario: Scenario, texts: Sequence[str]) -> tuple[Scenario, list[str]]:
    """The scenario with values given as `KEY=VALUE`, and a warning for each that a variant sets itself.

    Raises `ScenarioError`.
    """
    values = dict(_pair(scenario, text) for text in texts)
    if not values:
        return scenario, []
    changed = with_values(scenario, values)
    warnings = [
        f"warning: --set {key}: variant {name} sets {path} itself, which counts there"
        for key in values
        for name, path in set_by_variants(changed, key)
    ]
    return changed, warnings


def _pair(scenario: Scenario, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ScenarioError(scenario.name, [f"--set {text}: write it as KEY=VALUE, such as --set link.bandwidth=25Gb"])
    return key.strip(), value.strip()
