"""What tests on every real target ask of one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness.driver_kit import run_job
from harness.model import Caller
from harness.real_targets.backing.bed import WallTestbed
from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.programs import Program
from harness.testbed import Job

OWNER = Caller("host-1", "user-1")
Bed = TypeVar("Bed", bound=WallTestbed[Any])


@contextlib.contextmanager
def opening(made: type[Bed], directory: Path, **common: Any) -> Iterator[Callable[..., Bed]]:
    """Opens testbeds of one kind in a directory, with common options and those of each, and closes them.

    Skips the test, with the reason, where what they need is not installed.
    """
    if lacks := made.missing():
        pytest.skip(lacks)
    with contextlib.ExitStack() as opened:

        def open_one(**options: Any) -> Bed:
            bed = made(seed=7, options={"directory": directory, **common, **options})
            opened.callback(bed.close)
            return bed

        yield open_one


def do(bed: WallTestbed[Any], *jobs: Job) -> None:
    """Carry jobs out on the primary backend, one after the other."""
    connection = bed.backend("primary").connect(OWNER)
    for number, job in enumerate(jobs):
        run_job(connection, job, f"request-{number}")
    connection.close()


def until(condition: Callable[[], object], within_s: float = 60) -> None:
    """Wait until the condition holds; fails after `within_s` seconds."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, f"what was waited for is not so after {within_s:g} s"
        time.sleep(0.001)


def writes_of(bed: WallTestbed[Any], volume: str) -> list[tuple[int, int]]:
    """The writes to a volume, (block, stamp), in the order in which they were issued."""
    log = bed.recorder.writes(volume)
    return list(zip(log.blocks, log.stamps, strict=True))


def programs(bed: WallTestbed[Any]) -> list[Program]:
    """The servers' programs of a testbed."""
    assert isinstance(bed, GaneshaTestbed | IscsiTestbed)
    servers = bed.servers if isinstance(bed, GaneshaTestbed) else bed.targets
    return [server.program for server in servers.values()]  # type: ignore[attr-defined]
