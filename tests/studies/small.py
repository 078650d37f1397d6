"""The library's scenarios at a size at which all of them take seconds, and what they measured there.

After a change that is meant to change figures: `python -m tests.studies.small` writes the golden files anew. Look at
the difference before you commit it: each figure that moved needs a reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.study_results import RunMeasures
from scenarios.model import Scenario
from scenarios.reading import library, load_scenario
from scenarios.run import simulate
from scenarios.vary import with_values

Simulate = Callable[..., RunMeasures]
"""As `scenarios.run.simulate`."""

GOLDEN = Path(__file__).parent / "golden"
SEED = 7

SMALL: dict[str, dict[str, Any]] = {
    "backup-window": {"volume.fleet.count": 40, "operation.nightly.deadline": "2 min"},
    "cinder-today": {"volume.data.size": "4 GiB"},
    "compression-where": {"volume.data.size": "4 GiB"},
    "connection-loss": {"volume.data.size": "64 GiB", "fault.cut.at": "10 s"},
    "evacuation": {"volume.fleet.count": 12, "operation.evacuate.deadline": "6 min", "fault.off.at": "6 min"},
    "native-or-fallback": {"volume.data.size": "8 GiB"},
    "noisy-neighbour": {"volume.data.size": "4 GiB"},
    "quiesced-or-stateless-backup": {"volume.data.size": "2 GiB"},
    "shared-path": {"volume.data.size": "4 GiB"},
    "taskflow-restart": {"volume.data.size": "8 GiB", "fault.crash.at": "4 s", "fault.crash.for": "1 s"},
    "two-families": {"volume.data.size": "4 GiB"},
}


def small(name: str) -> Scenario:
    """A scenario of the library at its small size."""
    return with_values(load_scenario(name), SMALL[name])


def golden_text(runs: list[RunMeasures]) -> str:
    """What a golden file holds: each variant's measures that have a value, and its failures."""
    found = {
        run.variant: {
            "measures": {m.key: m.value for m in run.measures if m.value is not None},
            "failures": list(run.failures),
        }
        for run in runs
    }
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for scenario in library():
        plan = small(scenario)
        runs = [simulate(plan, variant, SEED) for variant in plan.variants]
        (GOLDEN / f"{scenario}.json").write_text(golden_text(runs), encoding="utf-8")
        print(scenario)
