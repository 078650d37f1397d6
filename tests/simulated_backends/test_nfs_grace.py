"""The grace period of an NFS server: how long restarts on top of each other let it last, and what waits for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nfs_world import Nfs
from test_nfs_clients import LEASE, Desk

from harness.runtime import SECOND
from harness.schedule import Fault


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2 * LEASE), st.integers(0, 2 * LEASE)), min_size=1, max_size=5))
def test_grace_lasts_from_when_the_server_is_back(restarts: list[tuple[int, int]]) -> None:
    """However restarts and power losses fall upon each other, it is there whole once the last of them is over."""
    desk = Desk()
    now = back = 0
    for wait, after in restarts:
        now += wait
        desk.until(now)
        if now >= back:
            desk.session()
        desk.server.restart(after)
        back = max(back, now + after)
        assert desk.server.grace_left_ns == back + LEASE - now
    desk.until(back + LEASE - 1)
    desk.server.open_file(desk.session().id, "file", reclaim=True)


@pytest.mark.parametrize("second", ["server.restart", "backend.restart"])
def test_a_restart_without_power_does_not_shorten_the_grace(second: str) -> None:
    """It is there whole when the power is back, though the server restarts, or loses it for less time, meanwhile."""
    world = Nfs()

    def body() -> None:
        world.session()
        world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=100 * SECOND))
        world.runtime.sleep(SECOND)
        world.testbed.inject(Fault(second, backend="primary", for_ns=10 * SECOND if "backend" in second else 0))
        world.runtime.sleep(99 * SECOND)
        assert world.server.grace_left_ns == world.server.times.grace_ns

    world.run(body)
