"""How many I/Os a run is expected to have, against how many it has."""

from __future__ import annotations

from typing import Any

import pytest

from harness.runtime import SECOND
from scenarios.effort import effort_of
from tests.studies.small import Simulate
from tests.studies.test_runs import plain

QUEUE = {"backend__array__figures": {"disk_queue": True}}
TWO = {
    "volume__more": {"backend": "array", "size": "1 GiB", "host": "compute"},
    "workload__more": {"volume": "more", "streams": 8, "think": "10 us", "block": "16 KiB"},
}


@pytest.mark.parametrize(
    "values",
    [
        {},
        QUEUE,
        QUEUE | {"workload__load__streams": 6, "workload__load__think": "500 us"},
        QUEUE | {"workload__load__streams": 64, "workload__load__think": "10 us"},
        QUEUE | {"workload__load__streams": 64, "workload__load__think": "10 us", "workload__load__block": "64 KiB"},
        QUEUE | {"workload__load__streams": 8, "workload__load__think": "10 us", **TWO},
        QUEUE | {"workload__load__streams": 4, "workload__load__think": "10 us", "volume__data__count": 3},
        QUEUE | {"workload__load": {"volume": "data", "rate": "3000 /s"}, **TWO},
        QUEUE | {"workload__load": {"volume": "data", "rate": "12000 /s"}},
    ],
    ids=[
        "no queue",
        "idle disk",
        "busy disk",
        "too many",
        "large blocks",
        "two workloads",
        "three volumes",
        "beside arrivals",
        "too many arrivals",
    ],
)
def test_workloads_are_expected_to_have_about_the_ios_that_they_have(values: dict[str, Any], run: Simulate) -> None:
    """The estimate is that of the run for each second, within what waiting for others and for transfers makes of it."""
    scenario = plain(**values, driver__reference__publication__stateless_activities=["create_cloned_volume"])
    result, effort = run(scenario), effort_of(scenario)
    done = sum(result.value("io_done", name) or 0 for name in scenario.workload) / (result.value("end") or 0)
    ios = sum(part.ios for part in effort.parts if part.key.startswith("workload."))
    assert ios * SECOND / effort.simulated_ns == pytest.approx(done, rel=0.1)
