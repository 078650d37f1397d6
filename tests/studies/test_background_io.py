"""Background I/O in runs of scenarios."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from harness.runtime import SECOND
from harness.schedule import random_source
from harness.study_results import RunMeasures
from scenarios.model import Scenario
from scenarios.reading import ScenarioError, parse_scenario
from scenarios.study import BACKGROUND, study_of
from scenarios.vary import variant_of, with_values
from simulated_backends.background import BackgroundFigures
from tests.simulated_backends.first_come import latencies
from tests.studies.small import Simulate

TEXT = """
[scenario]
name = "shared"
question = "What does it cost them?"
settle = "1 s"
[backend.array]
family = "alpha"
[backend.other]
family = "alpha"
[driver.reference.publication]
stateless_activities = ["migrate_volume"]
handle_scope = "user-specific"
[host.others]
[volume.data]
backend = "array"
size = "2 GiB"
[background.load]
host = "others"
backend = "array"
rate = "2000 /s"
block = "64 KiB"
[operation.move]
do = "migrate_volume"
volume = "data"
to = "other"
at = "1 s"
"""
DISK, PORT = 10**9, 1_250_000_000
"""Bytes a second of disks and ports, by the profile and the default link."""


def shared(values: dict[str, Any]) -> Scenario:
    """A scenario in which a volume is moved while others read where it is, with other values."""
    return with_values(parse_scenario(tomllib.loads(TEXT), "shared"), values)


def figures(run: RunMeasures, side: str = "") -> tuple[float | None, float | None]:
    """The mean and the longest latency, of those inside or outside where `side` says so."""
    return run.value(f"background_mean{side}", "load"), run.value(f"background_longest{side}", "load")


SLOW = {"fault.slow": {"kind": "link.slow", "caller": "others", "fraction": 0.2, "at": "2 s", "for": "500 ms"}}
DOWN = {"fault.down": {"kind": "partition", "caller": "others", "at": "2 s", "for": "500 ms"}}
PARTED = {"fault.parted": {"kind": "partition", "caller": "others", "backend": "array", "at": "2 s", "for": "500 ms"}}


@pytest.mark.parametrize(
    ("values", "shares", "faulty"),
    [
        ({}, True, None),
        ({"background.load.direction": "write"}, False, None),
        ({"background.load.direction": "write", "background.load.backend": "other"}, True, None),
        (SLOW, True, PORT // 5),
        (DOWN, True, 0),
        (PARTED, True, 0),
    ],
    ids=["reads", "writes", "writes at the destination", "slow port", "port down", "parted"],
)
def test_figures_are_those_of_ios_served_one_by_one(
    values: dict[str, Any], shares: bool, faulty: int | None, run: Simulate
) -> None:
    """Counts and latencies, beside a copy and apart from it, are those of the same arrivals served one after the other
    by a link that has half of its bandwidth while the copy crosses it, and by the disk."""
    result = run(shared(values), details=True)
    assert result.details is not None
    (flow,) = result.details.timelines
    bars = {bar.kind: bar for bar in flow.bars}
    copy, operation = bars["activity"], bars["operation"]
    bandwidths = {0: DISK}
    if shares:
        bandwidths |= {copy.start_ns: DISK // 2, copy.end_ns: DISK}
    if faulty is not None:
        bandwidths |= {2 * SECOND: faulty, 5 * SECOND // 2: DISK // 2}
        assert copy.start_ns < 2 * SECOND < 5 * SECOND // 2 < copy.end_ns
    its = BackgroundFigures(SECOND // 2000, 64 << 10, service_ns=120_000, jitter_ns=80_000, round_trip_ns=200_000)
    seed = random_source(1, "background", "load").getrandbits(64)
    marks = (operation.start_ns, operation.end_ns)
    before, inside, after = latencies(its, sorted(bandwidths.items()), marks, result.details.end_ns, seed)
    assert result.value("background_ios", "load") == len(before + inside + after)
    for side, expected in (("", before + inside + after), ("_inside", inside), ("_outside", before + after)):
        mean, longest = figures(result, side)
        assert mean == pytest.approx(sum(expected) / len(expected) / SECOND, rel=1e-12)
        assert longest == max(expected) / SECOND


def test_background_repeats_with_its_seed(run: Simulate) -> None:
    """Equal seeds give equal figures, others others; the figures of two tables with equal values are their own."""
    load = {"host": "others", "backend": "array", "rate": "2000 /s", "block": "64 KiB"}
    scenario = shared({"background.second": load})
    first = run(scenario)
    assert run(scenario).measures == first.measures
    assert figures(run(scenario, seed=2)) != figures(first)
    assert first.value("background_mean", "second") != first.value("background_mean", "load")


def test_what_crosses_a_link_counts_there(run: Simulate) -> None:
    """The bytes of background I/O are among those of the links that it crosses, and of no others."""
    result = run(shared({}))
    moved = 2 << 30
    read = (result.value("background_ios", "load") or 0) * (64 << 10)
    for link, copied in (("array disk read", moved), ("array port out", moved), ("others port in", 0)):
        crossed = (result.value("link_bytes", link) or 0) - copied
        assert read - 10 * (64 << 10) <= crossed <= read  # but for what is on its way at the end
    assert result.value("link_bytes", "array disk write") == 0


def test_studies_say_what_the_model_makes_of_it() -> None:
    """A study with background I/O, be it in a variant only, has a note on its queues, and no other study has one."""
    everywhere = shared({})
    in_one = shared({"variant.one": {"set": {"background.load.rate": "10 /s"}}})
    nowhere = shared({"background.load": None})
    assert [BACKGROUND in study_of(each, (), ()).notes for each in (everywhere, in_one, nowhere)] == [True, True, False]


def test_background_counts_in_the_effort(run: Simulate) -> None:
    """A run with more background I/O than its limit allows for is refused, by the key that decides it."""
    with pytest.raises(ScenarioError, match=r"background\.load\.rate is 2000\.0 /s: .* more than scenario\.most_ios"):
        run(shared({"scenario.settle": "20 d"}))


@pytest.mark.parametrize("backend", ["array", "other"])
def test_background_has_no_place_in_a_queue_of_all(backend: str, run: Simulate) -> None:
    """Where the disk is to serve the I/Os of all one at a time, background I/O, which would not wait for others, is
    refused, in variants too; on other backends that figure concerns nobody here."""
    values = {f"backend.{backend}.figures.disk_queue": True}
    if backend == "other":
        assert figures(run(shared(values))) == figures(run(shared({})))
        return
    varied = shared({"variant.queued": {"set": values}})
    for ask in (lambda: shared(values), lambda: variant_of(varied, "queued")):
        with pytest.raises(ScenarioError, match=r"background\.load\.backend is 'array', .*disk_queue.*workload"):
            ask()
