"""A warm cell in which hosted drivers run, and the reason why there may be none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import util
from typing import Any

import pytest

from harness.cell import Cell, CellLimits, CellOutcome, Kind

Deed = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Cinder where it is not installed, and say how to have it."""
    if util.find_spec("cinder") is None:
        for item in items:
            if item.path.parent.name == "hosting":
                item.add_marker(
                    pytest.mark.skip(reason="needs Cinder: pip install -e '.[dev,cinder]', make test-cinder")
                )


@pytest.fixture(scope="session")
def cell() -> Iterator[Cell]:
    """A cell under the virtual clock."""
    opened = Cell(CellLimits(), virtual=True, hash_seed=0)
    yield opened
    opened.close()


@pytest.fixture
def outcome_of(cell: Cell) -> Callable[..., CellOutcome]:
    """Does a deed of `tests.hosting.deeds` in the cell, and returns how the call ended."""

    def call(deed: str, **more: Any) -> CellOutcome:
        return cell.call("tests.hosting.deeds:do", {"deed": deed, **more}, deed, 120.0)

    return call


@pytest.fixture
def do(outcome_of: Callable[..., CellOutcome]) -> Deed:
    """Does a deed and returns what it saw."""

    def call(deed: str, **more: Any) -> Any:
        outcome = outcome_of(deed, **more)
        assert outcome.kind is Kind.RETURNED, outcome
        return outcome.value

    return call
