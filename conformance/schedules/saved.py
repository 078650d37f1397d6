"""Where a saved schedule keeps its blocks: under a choice of its own for each clause that they break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHOICE = "blocks"
"""The name under which a saved schedule holds blocks; those that break a clause have its id behind it."""


def choice_of(clause: str) -> str:
    """The name of the choice that holds the smallest blocks that were found to break a clause."""
    return f"{CHOICE} {clause}"


def saved_blocks(choices: Mapping[str, Any]) -> list[str]:
    """The texts of all blocks among the choices, each once; empty where nothing was saved."""
    return list(dict.fromkeys(str(text) for name, text in choices.items() if name.partition(" ")[0] == CHOICE))


def for_clause(schedule: Mapping[str, Any], clause: str) -> dict[str, Any] | None:
    """The schedule with no other blocks than those that break the clause; None if it has none of its own."""
    choices = dict(schedule.get("choices", {}))
    own = choice_of(clause)
    if own not in choices:
        return None
    kept = {name: value for name, value in choices.items() if name == own or name.partition(" ")[0] != CHOICE}
    return {**schedule, "choices": kept}
