"""Cases that theory answers hold, with fixed seeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.analytic import (
    FAIR_SHARES,
    SERVICE_NS,
    T_99,
    FairShare,
    Interval,
    Queue,
    batch_means,
    queues,
    writes_to_a_disk,
)
from harness.schedule import random_source

SEED = 1
LOAD = 0.5
BATCH = 300


@pytest.mark.parametrize("case", FAIR_SHARES, ids=lambda case: case.name)
def test_fair_shares_are_exact(case: FairShare) -> None:
    """Where capacities divide evenly, each flow ends at the nanosecond that max-min fairness gives it."""
    assert case.simulated_ns() == [end * 10**9 for end in case.ends]


@pytest.mark.parametrize("queue", queues(LOAD), ids=lambda queue: queue.name)
def test_queues_agree_with_theory(queue: Queue) -> None:
    """The 99 % interval of seed 1 contains the theory's mean, and is narrow enough to exclude half and double of it."""
    interval = queue.estimate(BATCH, SEED, T_99)
    assert interval.holds(queue.theory)
    assert not interval.holds(queue.theory / 2)
    assert not interval.holds(queue.theory * 2)


def test_the_spread_of_services_counts() -> None:
    """Writes wait longest where services are exponential and shortest where they are equal, beyond what chance does."""
    intervals = [queue.estimate(BATCH, SEED, T_99) for queue in queues(LOAD)[:3]]
    equal, uniform, exponential = ((each.mean - each.half_width, each.mean + each.half_width) for each in intervals)
    assert equal[1] < uniform[0]
    assert uniform[1] < exponential[0]


def test_writes_of_equal_services_wait_as_long_as_the_disk_has_work_left() -> None:
    """Each write waits to the nanosecond for what of the services before it is left when it arrives."""
    arrivals, left_ns = random_source(SEED, "arrivals"), 0
    expected = []
    for number in range(500):
        gap_ns = round(arrivals.expovariate(0.9) * SERVICE_NS)
        left_ns = max(0, left_ns + SERVICE_NS - gap_ns) if number else 0
        expected.append(left_ns)
    assert [round(wait * SERVICE_NS) for wait in writes_to_a_disk(0, 0.9, 500, SEED)] == expected


def test_the_module_prints_its_table() -> None:
    """`python -m benchmarks.analytic` prints a row for each fair share and each queue, and ends with status 0."""
    line = [sys.executable, "-m", "benchmarks.analytic", "--seeds", "1", "--batch", "5"]
    ended = subprocess.run(line, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    rows = ended.stdout.splitlines()
    for case in (*FAIR_SHARES, *queues(LOAD)):
        assert any(row.startswith(case.name) for row in rows), case.name


@pytest.mark.parametrize("number", range(len(queues(LOAD))))
def test_a_queue_repeats_exactly(number: int) -> None:
    """The same seed gives the same times, another seed gives others."""
    queue = queues(LOAD)[number]
    assert queue.simulate(LOAD, 200, SEED) == queue.simulate(LOAD, 200, SEED)
    assert queue.simulate(LOAD, 200, SEED) != queue.simulate(LOAD, 200, SEED + 1)


def test_batch_means_leave_out_the_first_batch() -> None:
    """An estimate ignores the first batch and weighs the other thirty alike."""
    values = [1000.0, 1000.0] + [0.0, 2.0] * 15 + [2.0, 4.0] * 15
    interval = batch_means(values, quantile=2.0)
    assert interval.mean == pytest.approx(2.0)
    assert interval.half_width == pytest.approx(2.0 * (30 / 29) ** 0.5 / 30**0.5)


def test_values_that_make_no_equal_batches_are_refused() -> None:
    """Batches of unequal size are an error."""
    with pytest.raises(ValueError, match="31 equal batches"):
        batch_means([1.0] * 63, quantile=2.0)


def test_an_interval_includes_its_ends() -> None:
    """An interval holds what is at most half its width away."""
    interval = Interval(mean=10.0, half_width=1.0)
    assert [interval.holds(value) for value in (8.9, 9.0, 11.0, 11.1)] == [False, True, True, False]
