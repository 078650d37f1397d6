"""How a faulty taskflow is declared: a function that breaks the taskflow of its process, with the clauses that find it.

The flaw is never taken back, so it is applied in a cell of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Apply = Callable[[], None]


@dataclass(frozen=True)
class FaultyTaskflow:
    """One faulty taskflow: its name, its module, what is wrong with it, the clauses that have to find it.

    `testbed` is one on which it shows.
    """

    name: str
    module: str
    flaw: str
    must_fail: tuple[str, ...]
    testbed: str
    apply: Apply


_REGISTERED: dict[str, FaultyTaskflow] = {}


def flaw(*clauses: str, testbed: str = "iscsi-sim") -> Callable[[Apply], Apply]:
    """Register a flaw under its function's name. Raises ValueError for a name that is taken, or for no clause."""

    def register(apply: Apply) -> Apply:
        name = apply.__name__
        if name in _REGISTERED or not clauses:
            raise ValueError(f"{name}: a flaw has a name of its own and at least one clause that finds it")
        told = (inspect.getdoc(apply) or "").split("\n\n")[0].replace("\n", " ")
        _REGISTERED[name] = FaultyTaskflow(name, apply.__module__, told, clauses, testbed, apply)
        return apply

    return register


def patch(owner: Any, name: str, value: Any) -> None:
    """Put `value` in the place of an attribute of a class or module, for good. Raises AttributeError if it has none."""
    getattr(owner, name)
    setattr(owner, name, value)


def registered() -> list[FaultyTaskflow]:
    """The flaws of the modules that were imported, in the order of their definition."""
    return list(_REGISTERED.values())
