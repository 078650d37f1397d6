"""What ends a courtesy: a job that collides with what the courtesy client's jobs work on."""

from __future__ import annotations

from typing import Any

import pytest
from test_activities import ListSink
from test_nfs_jobs import HOUR, NfsJobs

from harness.activity import ActivityState
from harness.runtime import SECOND

WORK: dict[str, dict[str, Any]] = {
    "copy": {"source": "volume", "target": "copy"},
    "snapshot": {"source": "volume", "target": "new"},
    "move": {"source": "volume", "destination": "sibling"},
    "revert": {"source": "volume", "target": "snapshot"},
    "read": {"source": "volume", "sink": ListSink()},
}
NEEDS: dict[str, dict[str, Any]] = WORK | {
    "delete": {"source": "volume"},
    "extend_volume": {"source": "volume", "size": 300},
    "delete the snapshot": {"source": "snapshot"},
    "copy the snapshot": {"source": "snapshot", "target": "elsewhere"},
    "create_volume": {"target": "copy", "size": 1},
}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("work", list(WORK))
@pytest.mark.parametrize("need", list(NEEDS))
def test_a_courtesy_ends_exactly_for_what_it_would_keep_from_others(work: str, need: str, native: bool) -> None:
    """What would be refused beside the job of a client within its lease releases a courtesy client, nothing else."""

    def begins(courtesy_ns: int) -> tuple[bool, int]:
        world = NfsJobs(native_copy_scope=native, snapshots_depend_on_volume=False, courtesy_ns=courtesy_ns)

        def body() -> tuple[bool, int]:
            world.store.create_volume("volume", 200)
            first = world.connect()
            world.wait(first, world.start(first, "snapshot", source="volume", target="snapshot"))
            world.start(first, work, **WORK[work])
            if courtesy_ns:
                world.lose()
                world.runtime.sleep(world.lease_ns + SECOND)
            other = world.connect("host-b")
            handle = world.start(other, need.split()[0], **NEEDS[need])
            world.runtime.sleep(SECOND)
            failed = other.status(handle).state is ActivityState.FAILED
            return failed, len(world.recorder.find("nfs.client_released"))

        return world.run(body)

    refused, _ = begins(courtesy_ns=0)
    assert begins(courtesy_ns=HOUR) == (False, 1 if refused else 0)
