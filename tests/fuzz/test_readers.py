"""The readers of what others wrote: nothing makes them fail otherwise than documented."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.properties import PROPERTIES, Proposition, examine


@pytest.mark.parametrize("proposition", PROPERTIES, ids=lambda proposition: proposition.__name__)
def test_property_of_a_reader(proposition: Proposition) -> None:
    """The property holds for the same hundred examples each time."""
    examine(proposition, 100, 1, lambda inner: inner)


@pytest.mark.long
@pytest.mark.parametrize("proposition", PROPERTIES, ids=lambda proposition: proposition.__name__)
def test_property_of_a_reader_for_longer(proposition: Proposition) -> None:
    """The property holds for what ten seconds of processor time reach."""
    assert fuzz(proposition, cpu_s=10.0, seed=2) > 0
