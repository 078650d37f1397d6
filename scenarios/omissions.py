"""What it costs that a driver does not publish an attribute: its publication with each single attribute toggled.

Every toggled publication is run with the same seeds as the publication as it stands. The cost of an omission is a
measure without the attribute less the measure with it, whichever of the two the driver publishes, over the pairs of
runs with one seed each (common random numbers); its interval is that of `scenarios.study.differences`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas

from harness.attributes import REPLICATION, STATELESS, TECHNIQUES_KEY
from harness.names import did_you_mean
from harness.reference_driver import EVERYTHING
from harness.study_results import Difference, Measure
from scenarios.measure_names import GAINS, MEASURES
from scenarios.model import Scenario
from scenarios.reading import parse_scenario, scenario_data
from scenarios.study import differences
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.scenario_runs import measures_of
from scenarios.sweeps.summary import records
from scenarios.vary import variant_of

ATTRIBUTES = (STATELESS, REPLICATION, TECHNIQUES_KEY, "handle_scope")
"""The attributes of the specification's section 1."""

AS_PUBLISHED = "as-published"

_NONE: Mapping[str, Any] = MappingProxyType({STATELESS: (), REPLICATION: False, TECHNIQUES_KEY: ()})
"""Values that claim nothing, so that they are the same as an omission."""


@dataclass(frozen=True)
class Toggle:
    """An attribute, whether the driver publishes it, and the variant in which that is otherwise."""

    attribute: str
    published: bool

    @property
    def variant(self) -> str:
        """The name of the toggled variant."""
        return f"{'without' if self.published else 'with'}-{self.attribute}"


@dataclass(frozen=True)
class Cost:
    """What an attribute's omission costs in one measure, with its interval (None: fewer than two replications).

    `pairs` is how many pairs of runs it is from.
    """

    attribute: str
    published: bool
    measure: str
    unit: str
    pairs: int
    mean: float
    low: float | None
    high: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def toggles_of(
    scenario: Scenario, driver: str | None = None, variant: str | None = None
) -> tuple[Scenario, list[Toggle]]:
    """The scenario whose variants are the publication as it stands and with each attribute toggled, and those toggles.

    `driver` is the one whose publication it is, by default that of the first operation's volumes; `variant` is what is
    begun with, by default the scenario's first. Raises `SweepError`, `ScenarioError`.
    """
    base = variant_of(scenario, scenario.variants[0] if variant is None else variant)
    used = list(dict.fromkeys(backend.driver for backend in base.backend.values()))
    if driver is None:
        first = next(iter(base.operation.values()))
        driver = base.backend[base.volume[first.volume].backend].driver
    if driver not in used:
        raise SweepError(f"--driver {driver!r} is the driver of no backend; {did_you_mean(driver, used)}")
    plan = base.driver.get(driver)
    if plan is not None and plan.target != "reference":
        raise SweepError(
            f"driver.{driver}: {plan.target} is code of its own, whose publication can't be toggled; give its "
            "publication in a file, as publication_file, and leave target out"
        )
    given = plan.publication if plan is not None else None
    published = {} if given is None else given.published()
    data = scenario_data(base)
    table = data.setdefault("driver", {}).setdefault(driver, {})
    table["publication"] = {key: list(value) if isinstance(value, tuple) else value for key, value in published.items()}
    toggles = [Toggle(each, each in published and published[each] != _NONE.get(each)) for each in ATTRIBUTES]
    path = f"driver.{driver}.publication"
    data["variant"] = {AS_PUBLISHED: {}}
    for toggle in toggles:
        full = EVERYTHING[toggle.attribute]
        value = list(full) if isinstance(full, tuple) else full
        key = f"{path}.{toggle.attribute}"
        data["variant"][toggle.variant] = {"unset": [key]} if toggle.published else {"set": {key: value}}
    data["scenario"]["baseline"] = AS_PUBLISHED
    return parse_scenario(data, scenario.name), toggles


def costs_of(frame: pandas.DataFrame, toggles: Sequence[Toggle], level: float) -> list[Cost]:
    """The cost of each omission in each measure, by the runs of a sweep of `toggles_of`."""
    by_variant = {toggle.variant: toggle for toggle in toggles}
    found = []
    for each in differences(measures_of(records(frame), ()), AS_PUBLISHED, level):
        toggle = by_variant[each.variant]
        if each.mean is not None and each.name not in GAINS and each.name in MEASURES:
            found.append(_cost(toggle, each, each.mean))
    return found


def _cost(toggle: Toggle, found: Difference, mean: float) -> Cost:
    """The toggled variant less the baseline, or, where toggling published it, the other way round."""
    sign = 1.0 if toggle.published else -1.0
    ends = sorted(sign * end for end in (found.low, found.high) if end is not None)
    low, high = ends if len(ends) == 2 else (None, None)
    key = Measure(name=found.name, of=found.of, value=None).key
    return Cost(toggle.attribute, toggle.published, key, found.unit, found.count, sign * mean + 0.0, low, high)


def costliest(costs: Sequence[Cost], measure: str) -> list[Cost]:
    """The costs in one measure, the highest first."""
    return sorted((cost for cost in costs if cost.measure == measure), key=lambda cost: -cost.mean)


def costs_frame(costs: Sequence[Cost]) -> pandas.DataFrame:
    """A row for each attribute and measure, with columns as the fields of `Cost`."""
    columns = ("attribute", "published", "measure", "unit", "pairs", "mean", "low", "high")
    return pandas.DataFrame([[getattr(cost, column) for column in columns] for cost in costs], columns=list(columns))
