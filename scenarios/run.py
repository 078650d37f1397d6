"""One run of a scenario: a function of scenario, variant and seed, in the process that calls it."""

from __future__ import annotations

from harness.study_results import RunMeasures
from scenarios.model import Scenario


def simulate(scenario: Scenario, variant: str, seed: int, details: bool = False) -> RunMeasures:
    """Simulate a variant (one of `scenario.variants`) once, in virtual time.

    Deterministic: equal arguments give equal results in any process; arguments and result can be pickled, so that a
    process pool or a cluster can run it. `details` adds what plots of the run are drawn from. The process is prepared
    for drivers under the virtual clock (`harness.runtime.patches`), which changes nothing outside of runs. Raises
    `ScenarioError` for a variant that is not valid, and `harness.runtime.RuntimeLimit` for a run past a limit.
    """
    raise NotImplementedError
