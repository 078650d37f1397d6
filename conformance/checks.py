"""How a check is declared: a plain test function that carries its clause ids and needs as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.testbed import Capability

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "__conformance_check__"
"""The name under which a test function carries its `CheckSpec`."""


DEFAULT_SCHEDULES = 200
"""How many schedules are drawn for each driver on each testbed, unless `--schedules` says otherwise."""


def batch_names(schedules: int, batch: int, least: str = "") -> tuple[str, ...]:
    """The values of the parameter `batch`: enough for so many schedules, the batch `least` among them."""
    count = -(-schedules // batch)
    number = least.removeprefix("batch ")
    return tuple(f"batch {n}" for n in range(max(count, int(number) + 1 if number.isdecimal() else 0)))


@dataclass(frozen=True)
class CheckSpec:
    """What a check establishes, and what it needs of a testbed."""

    clauses: tuple[str, ...]
    needs: frozenset[Capability]
    worlds: bool = False
    batch: int = 0


def check(*clauses: str, needs: tuple[Capability, ...] = (), worlds: bool = False, batch: int = 0) -> Callable[[F], F]:
    """Declare a test function as the check of `clauses`; its body runs in the cell, with a `Lab` as `lab`; with
    `worlds`, outside of any world, with a `Worlds` as `lab` in which it opens as many as it likes. `batch` is how many
    schedules each value of its parameter `batch` stands for (0: it has none); `--schedules` sets how many there are.

    The other parameters of the function are strings, given by `pytest.mark.parametrize`. The first line of the
    docstring says what the check shows.
    """
    if not clauses:
        raise ValueError("a check names at least one clause")

    def declare(function: F) -> F:
        if not (function.__doc__ or "").strip():
            raise ValueError(f"{function.__name__}: a check says in its docstring what it shows")
        setattr(function, ATTRIBUTE, CheckSpec(clauses, frozenset(needs), worlds, batch))
        return function

    return declare


def spec_of(function: Any) -> CheckSpec | None:
    """The spec of a check, or None for a function that is none."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, CheckSpec) else None
