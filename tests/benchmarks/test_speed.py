"""The benchmarks of speed run at a tiny size, and what they claim to be equal is equal. No time is asserted."""

from __future__ import annotations

import importlib

import pytest

from benchmarks import speed_bulk, speed_fabric, speed_foreground, speed_stamps
from benchmarks.flow_cases import flow_cases
from benchmarks.measure import Missing, peer_process
from benchmarks.speed import GROUPS
from harness.runtime import SECOND


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_runs(group: str) -> None:
    """Each group gives rows at a tiny size; a peer that can't be run is named with the reason, nothing differs."""
    rows = list(importlib.import_module(f"benchmarks.speed_{group}").rows(1, tiny=True))
    assert rows
    for row in rows:
        assert row.what and row.ours
        assert "DIFFER" not in row.note and "NOT PASS" not in row.note
        assert row.ours != "does not run", row.note
        assert row.met is not None or not row.target or "can't be run" in row.note


def test_the_foreground_history_is_that_of_plain_simpy() -> None:
    """Testbed and plain SimPy processes record the same writes at the same times on the same seed."""
    _, log = speed_foreground.on_testbed(SECOND // 10)
    _, writes = speed_foreground.in_simpy(SECOND // 10)
    assert len(writes) > 1000
    assert speed_foreground.same_history(log, writes)
    writes[500][5] += 1
    assert not speed_foreground.same_history(log, writes)


def test_flows_end_when_chunks_do() -> None:
    """A transfer of 64 MiB beside another takes as long as in chunks of 64 KiB, to within 0.1 %."""
    start = speed_bulk.START_NS / 1e9
    size, mib = 1 << 28, 1 << 20
    flow, chunks = speed_bulk.as_flows(size, 64 * mib)[1], speed_bulk.as_chunks(size, 64 * mib, 64 << 10)[1]
    assert abs((flow - start) / (chunks - start) - 1) <= 0.001


def test_snapshots_do_not_change_what_is_read() -> None:
    """What is read through 100 snapshots is what is read through one."""
    blocks = [n * 7919 % 1000 for n in range(3000)]
    (*_, one), (*_, many) = speed_stamps.layered(blocks, 1), speed_stamps.layered(blocks, 100)
    assert speed_stamps.reads(one, blocks) == speed_stamps.reads(many, blocks)


@pytest.mark.parametrize("paths", [8, 320, 0])
def test_flows_end_when_simgrid_says(paths: int) -> None:
    """Finish times agree with SimGrid's within 1e-6; skipped where SimGrid is not installed."""
    answer = peer_process("benchmarks.peers.simgrid_flows", 80, paths)
    if isinstance(answer, Missing):
        pytest.skip(f"SimGrid can't be run: {answer.reason}")
    ends = speed_fabric.finish_times(flow_cases(80, paths), not paths)
    assert [end / 1e9 for end in ends] == pytest.approx(answer["ends"], rel=1e-6)
