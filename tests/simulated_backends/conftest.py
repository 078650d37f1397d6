"""The two testbeds for all tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worlds import TESTBEDS, World


@pytest.fixture(params=sorted(TESTBEDS))
def world(request: pytest.FixtureRequest) -> World:
    """Each of the testbeds, with its own profile."""
    return World(request.param)


@pytest.fixture(params=sorted(TESTBEDS))
def make_world(request: pytest.FixtureRequest) -> Callable[..., World]:
    """What makes a testbed of each kind, with options."""

    def make(**options: Any) -> World:
        return World(request.param, **options)

    return make
