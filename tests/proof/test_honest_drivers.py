"""The suites can pass: no check fails an honest driver, however it differs from the reference driver."""

from __future__ import annotations

import pytest

from conformance.honest.catalogue import HonestDriver, catalogue
from harness.results import Outcome
from tests.proof.support import SIMULATED, not_good, run_all, run_schedules, run_seeds

HONEST = catalogue()
FEW = ("Minimal", "Slow", "LateNews", "HugeVolumes", "NothingAbortable", "WiderThanItSays")


@pytest.mark.parametrize("name", FEW)
def test_honest_driver_passes(name: str) -> None:
    """Each check of an honest driver passes or is not applicable."""
    honest = next(driver for driver in HONEST if driver.name == name)
    results = run_all(honest.spec(), SIMULATED[FEW.index(name) % 2], 1)
    assert any(result.outcome is Outcome.PASSED for result in results)
    assert not not_good(results), "\n".join(not_good(results))


@pytest.mark.long
@pytest.mark.parametrize("honest", HONEST, ids=lambda h: h.name)
def test_honest_driver_passes_on_every_seed(honest: HonestDriver) -> None:
    """On none of ten seeds a check of an honest driver fails or is left unverifiable; `make proof` tries 200."""
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
