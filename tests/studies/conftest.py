"""Runs of scenarios, in a process of their own: a run prepares its process for drivers, for good."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from harness.study_results import RunMeasures
from scenarios.model import Scenario
from scenarios.run import simulate
from scenarios.study import RunMany
from tests.studies.small import Simulate


@pytest.fixture(scope="session")
def pool() -> Iterator[ProcessPoolExecutor]:
    """One process, fresh when the first run begins."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def run(pool: ProcessPoolExecutor) -> Simulate:
    """`scenarios.run.simulate`, elsewhere; by default the first variant with seed 1."""

    def elsewhere(scenario: Scenario, variant: str = "", seed: int = 1, details: bool = False) -> RunMeasures:
        return pool.submit(simulate, scenario, variant or scenario.variants[0], seed, details).result()

    return elsewhere


@pytest.fixture
def run_many(pool: ProcessPoolExecutor) -> RunMany:
    """What `run_study` runs with."""

    def elsewhere(function: Simulate, calls: Sequence[tuple[Any, ...]]) -> list[RunMeasures]:
        return [future.result() for future in [pool.submit(function, *arguments) for arguments in calls]]

    return elsewhere
