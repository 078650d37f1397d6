"""What stands in one run of a scenario, for those who play it and those who measure it."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.backends import Backends
from scenarios.background_io import BackgroundIo
from scenarios.deployment import Deployment
from scenarios.metering import ActivityMeter, SpaceMeter
from scenarios.model import Scenario
from scenarios.operations import Timetable
from scenarios.workloads import Foreground


@dataclass
class World:
    """All that stands in one run. Times in nanoseconds: `zero_ns` is when the scenario's own time begins, `end_ns` when
    its last operation is over and it has settled."""

    scenario: Scenario
    backends: Backends
    deployment: Deployment
    timetable: Timetable
    foreground: Foreground
    background: BackgroundIo
    activities: ActivityMeter
    space: SpaceMeter
    zero_ns: int = 0
    end_ns: int = 0
