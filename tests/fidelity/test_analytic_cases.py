"""Cases that theory answers hold, with fixed seeds."""

from __future__ import annotations

import pytest

from benchmarks.analytic import FAIR_SHARES, T_99, FairShare, Interval, Queue, batch_means, queues

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


def test_a_queue_repeats_exactly() -> None:
    """The same seed gives the same times, another seed gives others."""
    queue = queues(LOAD)[0]
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
