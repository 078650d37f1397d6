"""The suites can pass: no check fails an honest driver, however it differs from the reference driver."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.honest.catalogue import HonestDriver, catalogue
from harness.results import Outcome
from tests.proof.support import HONEST_RUN, SIMULATED, not_good, run_schedules, run_seeds

HONEST = catalogue()
SEEDS = range(1, 21)


@pytest.mark.parametrize("seed", SEEDS)
def test_honest_driver_passes(seed: int, record_property: Callable[[str, object], None]) -> None:
    """Each check of the honest driver whose turn it is at a seed passes or is not applicable.

    Drivers change testbeds from one round to the next; on both, each is run by the longer proofs.
    """
    honest = HONEST[(seed + seed // len(HONEST)) % len(HONEST)]
    ((testbed, _, results),) = run_seeds(honest.spec(), [seed])
    assert any(result.outcome is Outcome.PASSED for result in results)
    assert not not_good(results), f"{honest.name} on {testbed}: " + "\n".join(not_good(results))
    record_property(HONEST_RUN, len(results))


@pytest.mark.long
@pytest.mark.parametrize("honest", HONEST, ids=lambda h: h.name)
def test_honest_driver_passes_on_every_seed(honest: HonestDriver) -> None:
    """On none of ten seeds a check of an honest driver fails or is left unverifiable; `make test-all` tries 200."""
    for testbed, seed, results in run_seeds(honest.spec(), range(1, 11)):
        assert not not_good(results), f"seed {seed} on {testbed}: " + "\n".join(not_good(results))


@pytest.mark.long
@pytest.mark.parametrize("honest", [h for h in HONEST if h.name != "NoProgress"], ids=lambda h: h.name)
def test_honest_driver_passes_whatever_goes_wrong(honest: HonestDriver) -> None:
    """No schedule, single faults at every step among them, fails an honest driver.

    One that asks to be polled at short intervals is left to `make proof`: its runs take ten times as long.
    """
    results = run_schedules(honest.spec(), SIMULATED[HONEST.index(honest) % 2], 1)
    assert not not_good(results), "\n".join(not_good(results))


def test_catalogue_says_how_each_differs() -> None:
    """Each honest driver says in one sentence how it differs; there are as many as there are names."""
    assert len({driver.name for driver in HONEST}) == len(HONEST) > 10
    for driver in HONEST:
        assert driver.difference.endswith("."), driver.name
