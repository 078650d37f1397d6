"""Partitions in runs of scenarios: they hold up all that hosts and backends have with each other, and nothing else."""

from __future__ import annotations

import random
import tomllib
from typing import Any

import pytest

from harness.study_results import RunMeasures
from scenarios.model import Scenario
from scenarios.reading import parse_scenario
from scenarios.vary import with_values
from tests.studies.small import Simulate

TEXT = """
[scenario]
name = "parted"
question = "Who stands still?"
settle = "4 s"
[backend.array]
family = "alpha"
[backend.other]
family = "alpha"
[driver.reference.publication]
stateless_activities = ["migrate_volume"]
handle_scope = "user-specific"
[host.others]
[host.strangers]
[volume.data]
backend = "array"
size = "1 GiB"
[operation.move]
do = "migrate_volume"
volume = "data"
to = "other"
at = "1 s"
"""
STREAM = {"stream.bulk": {"host": "others", "backend": "array", "rate": "100 MB/s"}}
BACKGROUND = {"background.bulk": {"host": "others", "backend": "array", "rate": "2000 /s", "block": "64 KiB"}}
BACKUP = {"operation.move": {"do": "backup_volume", "volume": "data", "at": "1 s"}, "taskflow.host": "others"}


def study(values: dict[str, Any]) -> Scenario:
    """A scenario with other values."""
    return with_values(parse_scenario(tomllib.loads(TEXT), "parted"), values)


def partition(host: str, backend: str, at: str = "2 s", lasts: str = "1 s") -> dict[str, str]:
    """A partition of a host and a backend; "" is everybody."""
    return {"kind": "partition", "caller": host, "backend": backend, "at": at, "for": lasts}


def figures(result: RunMeasures) -> dict[str, float | None]:
    """What a run has measured."""
    return {measure.key: measure.value for measure in result.measures}


@pytest.mark.parametrize("values", [STREAM, BACKGROUND, BACKUP], ids=["stream", "background I/O", "backup"])
def test_a_host_parted_from_its_backend_moves_nothing(values: dict[str, Any], run: Simulate) -> None:
    """What a host has with one backend stands still while the two are parted, as it does while the host is cut off."""
    pair, alone = (run(study(values | {"fault.cut": partition("others", backend)})) for backend in ("array", ""))
    assert figures(pair) == figures(alone)
    assert figures(pair) != figures(run(study(values)))


@pytest.mark.parametrize("values", [STREAM, BACKGROUND, BACKUP], ids=["stream", "background I/O", "backup"])
@pytest.mark.parametrize("cut", [("strangers", "array"), ("strangers", ""), ("others", "other")])
def test_a_partition_of_others_is_not_felt(values: dict[str, Any], cut: tuple[str, str], run: Simulate) -> None:
    """What others can't reach is no matter of a host's, nor is a backend that it does not use."""
    assert figures(run(study(values | {"fault.cut": partition(*cut)}))) == figures(run(study(values)))


@pytest.mark.parametrize("number", range(12))
def test_a_stream_moves_on_whenever_no_partition_holds_it(number: int, run: Simulate) -> None:
    """Whatever partitions overlap, a stream has its rate outside of those between its ends, and nothing inside."""
    source = random.Random(f"partitions {number}")
    cuts = [(source.choice(("others", "strangers", "")), source.choice(("array", "other", ""))) for _ in range(6)]
    cuts = [cut for cut in cuts if any(cut)]
    begins = [source.randrange(4000) for _ in cuts]
    ends = [begin + source.randrange(1, 1000) for begin in begins]
    faults = {
        f"fault.cut-{number}": partition(*cut, f"{begin} ms", f"{end - begin} ms")
        for number, (cut, begin, end) in enumerate(zip(cuts, begins, ends, strict=True))
    }
    result = run(study(STREAM | faults))
    held = [host in ("others", "") and backend in ("array", "") for host, backend in cuts]
    spans = [range(begin, end) for begin, end, holds in zip(begins, ends, held, strict=True) if holds]
    still_ms = len({instant for span in spans for instant in span})
    moving_s = (result.value("end", "") or 0) + 4 - still_ms / 1000
    moved = result.value("link_bytes", "others port in") or 0
    assert moved == pytest.approx(100e6 * moving_s, abs=10)
