"""The grid of a sweep: what `--vary` says, which runs there are, and their seeds."""

from __future__ import annotations

import pytest

from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import Axis, Grid, axes_from, parse_axis


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("link.bandwidth=1,10,25,100Gb", ("1Gb", "10Gb", "25Gb", "100Gb")),
        ("volume.size=512MiB, 1GiB,2 GiB", ("512MiB", "1GiB", "2 GiB")),
        ("volume.size=.5,1e1GiB", (".5GiB", "1e1GiB")),
        ("hosts.count=1,2,4", ("1", "2", "4")),
        ("backend.snapshot_kind=full-copy,redirect-on-write", ("full-copy", "redirect-on-write")),
        ("workload.rate=1,10MB/s", ("1MB/s", "10MB/s")),
        ("workload.rate=1,10/s", ("1/s", "10/s")),
        ("workload.rate=1,10 /s", ("1/s", "10 /s")),
        ("driver.name=7,a7b", ("7", "a7b")),
        ('operation.techniques=["zlib"],["zstd","none"]', ('["zlib"]', '["zstd","none"]')),
    ],
)
def test_values_take_the_unit_of_the_last(text: str, values: tuple[str, ...]) -> None:
    """A unit at the last value also counts for bare numbers before it, and nothing else is changed."""
    assert parse_axis(text) == Axis(text.partition("=")[0], values)


def test_every_run_has_one_number() -> None:
    """Each combination of values, variant and replication is exactly one run."""
    grid = Grid(axes_from({"a": [1, 2, 3], "b": ["x", "y"]}), ("native", "fallback"), 4)
    runs = [grid.run(number) for number in range(len(grid))]
    assert len(runs) == 48
    assert len({(run.values, run.variant, run.replication) for run in runs}) == 48
    assert list(dict.fromkeys(run.values for run in runs)) == list(grid.points())


def test_random_numbers_are_common() -> None:
    """A replication has the same seed at every point and for every variant, and no two replications share one."""
    grid = Grid(axes_from({"a": [1, 2], "b": [1, 2]}), ("native", "fallback"), 5, first_seed=100)
    seeds: dict[int, set[int]] = {}
    for number in range(len(grid)):
        seeds.setdefault(grid.run(number).replication, set()).add(grid.run(number).seed)
    assert seeds == {replication: {100 + replication} for replication in range(5)}


@pytest.mark.parametrize(
    ("vary", "replications", "said"),
    [
        (["link.bandwidth"], 1, "is not KEY=VALUE"),
        (["=1,2"], 1, "is not KEY=VALUE"),
        (["link.bandwidth="], 1, "the grid is empty: --vary link.bandwidth has no value"),
        (["link.bandwidth=1,,2"], 1, "has an empty value"),
        (["link.bandwidth=1,1Gb"], 1, "has the value '1Gb' twice"),
        (["a=1", "a=2"], 1, "--vary a is given twice"),
        (["a=1"], 0, "the grid is empty: --replications is 0"),
        (["a=1,2"], 10_000_000, "give fewer values"),
    ],
)
def test_grids_that_are_none(vary: list[str], replications: int, said: str) -> None:
    """A grid that is empty, ambiguous or absurd is refused with a message that says which part of it."""
    with pytest.raises(SweepError) as refused:
        Grid(axes_from(vary), ("native",), replications)
    assert said in str(refused.value)
