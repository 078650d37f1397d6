"""Background I/O of a scenario: what arrives at a backend from hosts whatever happens, told by counts and latencies.

It is worked out in batches (`simulated_backends.background`), which takes a small part of the time of as many I/Os of
workloads, and no events. Each table has a path of its own: its I/Os queue for the link and then for the disk, first
come, first served, one at a time, behind those of the same table and of nobody else. It is refused therefore at a
backend whose disk has one queue for all (`disk_queue`). The link is the path's narrowest part, with the bandwidth that
transfers leave. What crosses it is taken from transfers, as that of workloads is (`scenarios.foreground_share`).
"""

from __future__ import annotations

from harness.runtime import SECOND
from harness.schedule import random_source
from scenarios.backends import Backends
from scenarios.model import Background
from simulated_backends.background import BackgroundFigures, BackgroundLoad, Tally


class BackgroundIo:
    """All background I/O of a run. `loads` are there once it has started, by the names of their tables.

    `inside` counts those that arrived while an operation ran, `outside` the others.
    """

    def __init__(self, backends: Backends, plans: dict[str, Background], seed: int) -> None:
        self._backends = backends
        self._plans = plans
        self._seed = seed
        self.loads: dict[str, BackgroundLoad] = {}
        self.inside = {name: Tally() for name in plans}
        self.outside = {name: Tally() for name in plans}

    def start(self) -> None:
        """Let it arrive from now on; no operation runs."""
        for name, plan in self._plans.items():
            path = self._backends.path_between(plan.host, plan.backend, plan.direction)
            seed = random_source(self._seed, "background", name).getrandbits(64)
            figures, tally = self._figures(plan), self.outside[name]
            self.loads[name] = BackgroundLoad(self._backends.fabric, path, figures, seed, tally)

    def turn(self, operating: bool) -> None:
        """From now on an operation runs, or none does any more."""
        tallies = self.inside if operating else self.outside
        for name, load in self.loads.items():
            load.count_in(tallies[name])

    def stop(self) -> None:
        """Nothing arrives any more."""
        for load in self.loads.values():
            load.stop()

    def _figures(self, plan: Background) -> BackgroundFigures:
        figures = self._backends.beds[plan.backend].backend(plan.backend).store.figures
        return BackgroundFigures(
            gap_ns=round(SECOND / plan.rate),
            block_bytes=plan.block,
            service_ns=figures.service_ns,
            jitter_ns=figures.service_jitter_ns,
            round_trip_ns=figures.round_trip_ns,
        )
