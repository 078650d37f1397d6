"""A testbed that can't time foreground I/O by itself, and says so; for a cell of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

from conformance import runner
from harness.testbed import Capability
from simulated_backends.iscsi.testbed import IscsiTestbed


def run_check(jitter_ns: int | None, **arguments: Any) -> dict[str, Any]:
    """Run one check on a testbed without `STALL_TIMING` whose profile states that jitter (ns; None: nothing)."""

    class Jittery(IscsiTestbed):
        offers = IscsiTestbed.offers - {Capability.STALL_TIMING}

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.profile = dataclasses.replace(self.profile, jitter_ns=jitter_ns)

    runner.testbed_class = lambda name: Jittery  # type: ignore[assignment]
    return runner.run_check(**arguments)
