"""Transfers of objects that share blocks: they take a fixed time, and each part of one its share of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import TESTBEDS, World

from harness.activity import ActivityState, HandleScope
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import CopyRequest

WHOLE_NS = 10 * SECOND
BEGINS: dict[str, Callable[[World], Any]] = {
    "snapshot": lambda world: world.copy("volume", "new", "snapshot"),
    "linked clone": lambda world: world.store.begin_copy(
        CopyRequest("volume", "new", "volume", point_in_time=True, linked=True), world.store
    ),
    "revert": lambda world: world.store.begin_revert("volume", "before"),
}


def sharing(testbed: str) -> World:
    """A testbed whose snapshots and clones share blocks, and take long."""
    return World(testbed, snapshot_kind="redirect-on-write", provisioning="thin", snapshot_ns=WHOLE_NS)


@pytest.mark.parametrize("what", list(BEGINS))
@pytest.mark.parametrize("testbed", sorted(TESTBEDS))
@given(pauses=st.lists(st.tuples(st.integers(0, 4 * SECOND), st.integers(0, 4 * SECOND)), max_size=4))
def test_a_pause_delays_a_quick_transfer_by_itself(testbed: str, what: str, pauses: list[tuple[int, int]]) -> None:
    """A transfer that stood still ends as much later, but for the part of a byte that each pause costs."""
    world = sharing(testbed)

    def body() -> None:
        world.volume()
        world.copy("volume", "before", "snapshot").wait()
        began_ns = world.runtime.now()
        transfer = BEGINS[what](world)
        worked_ns = paused_ns = 0
        for run_ns, pause_ns in pauses:
            if worked_ns + run_ns >= WHOLE_NS - 100:
                break
            world.runtime.sleep(run_ns)
            transfer.pause()
            world.runtime.sleep(pause_ns)
            transfer.resume()
            worked_ns, paused_ns = worked_ns + run_ns, paused_ns + pause_ns
        transfer.wait()
        late_ns = world.runtime.now() - began_ns - WHOLE_NS - paused_ns
        assert abs(late_ns) <= 10 * len(pauses)

    world.run(body)


@pytest.mark.parametrize("testbed", sorted(TESTBEDS))
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_a_quick_job_fails_where_it_is_to(testbed: str, fraction: float) -> None:
    """A snapshot that shares blocks fails when the fault's share of its time has passed."""
    world = sharing(testbed)

    def body() -> None:
        world.volume()
        world.testbed.inject(Fault("job.fail", backend="primary", verb="snapshot", fraction=fraction))
        connection = world.connect()
        handle = world.start(connection, "snapshot", source="volume", target="new", scope=HandleScope.USER)
        assert world.wait(connection, handle).state is ActivityState.FAILED
        (started,), (ended,) = (world.recorder.find(f"activity.{kind}") for kind in ("started", "ended"))
        assert ended.at_ns - started.at_ns == pytest.approx(fraction * WHOLE_NS, abs=10)

    world.run(body)
