"""Fixtures: a runtime under either clock, closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.runtime import Limits, Runtime
from harness.runtime.factory import open_runtime
from harness.runtime.virtual import VirtualRuntime

Run = Callable[[Callable[[], Any]], Any]


@pytest.fixture(params=["virtual", "wall"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """A runtime under each clock in turn."""
    opened = open_runtime(request.param == "virtual")
    yield opened
    opened.close()


@pytest.fixture
def virtual() -> Iterator[VirtualRuntime]:
    """A runtime under the virtual clock."""
    opened = VirtualRuntime()
    yield opened
    opened.close()


@pytest.fixture
def run(runtime: Runtime) -> Run:
    """Runs a body as the main task of `runtime`; a test that hangs fails after some wall seconds."""
    return lambda main: runtime.run(main, Limits(wall_s=20.0))
