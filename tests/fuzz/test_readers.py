"""The readers of what others wrote: nothing makes them fail otherwise than documented."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz.__main__ import fuzz
from tests.fuzz.properties import PROPERTIES


@pytest.mark.parametrize("proposition", PROPERTIES, ids=lambda proposition: proposition.__name__)
def test_property_of_a_reader(proposition: Callable[[], None]) -> None:
    """The property holds for the same hundred examples each time."""
    settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))(
        proposition
    )()


@pytest.mark.long
@pytest.mark.parametrize("proposition", PROPERTIES, ids=lambda proposition: proposition.__name__)
def test_property_of_a_reader_for_longer(proposition: Callable[[], None]) -> None:
    """The property holds for what ten seconds of processor time reach."""
    assert fuzz(proposition, cpu_s=10.0, seed=1) > 0
