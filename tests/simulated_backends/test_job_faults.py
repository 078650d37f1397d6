"""Which job a fault of jobs hits: the one that it names in the record, whatever the job does, and no other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from test_activities import ListSink
from worlds import World

from harness.activity import ActivityState
from harness.model import BackupChunk
from harness.schedule import Fault
from harness.storage import BLOCK
from harness.testbed import JOB_VERBS

JOB_KINDS = ("job.fail", "job.unsupported", "job.pause")
JOBS: dict[str, dict[str, Any]] = {
    "create_volume": {"target": "new", "size": 1},
    "extend_volume": {"source": "volume", "size": 2},
    "delete": {"source": "other"},
    "snapshot": {"source": "volume", "target": "new"},
    "copy": {"source": "volume", "target": "new"},
    "move": {"source": "other", "destination": "sibling"},
    "replicate": {"source": "snapshot", "target": "new", "destination": "sibling"},
    "revert": {"source": "volume", "target": "snapshot"},
    "read": {"source": "volume"},
    "write": {"target": "other", "chunks": (BackupChunk(0, BLOCK, "none", bytes(BLOCK)),)},
    "suspend": {"source": "volume"},
    "resume": {"source": "volume"},
}


def do(world: World, verb: str, **job: Any) -> ActivityState:
    """The state in which such a job ends."""
    connection = world.connect()
    if verb == "read":
        job["sink"] = ListSink()
    return world.wait(connection, world.start(connection, verb, **job)).state


@pytest.mark.parametrize("fraction", [0.5, 1.0])
@pytest.mark.parametrize("verb", JOB_VERBS)
def test_a_job_that_a_fault_names_fails(world: World, verb: str, fraction: float) -> None:
    """Whatever its verb, the job that is hit fails, at its very end too, and the same job works afterwards."""

    def body() -> None:
        world.fill(world.volume())
        world.store.create_volume("other", 1)
        assert do(world, "snapshot", source="volume", target="snapshot") is ActivityState.DONE
        world.testbed.inject(Fault("job.fail", backend="primary", verb=verb, fraction=fraction))
        assert do(world, verb, **JOBS[verb]) is ActivityState.FAILED
        (fault,) = world.recorder.find("fault", fault="job.fail")
        assert fault.fields["verb"] == verb
        assert do(world, verb, **JOBS[verb]) is ActivityState.DONE

    world.run(body)


def test_a_replication_that_has_nothing_to_do_can_fail(world: World) -> None:
    """A replication whose destination is there already fails when it is hit; the replica stays as it was."""

    def body() -> None:
        expected = world.fill(world.volume())
        replicate = {"source": "volume", "target": "replica", "destination": "sibling"}
        assert do(world, "replicate", **replicate) is ActivityState.DONE
        world.testbed.inject(Fault("job.fail", backend="primary", verb="replicate", fraction=0.5))
        assert do(world, "replicate", **replicate) is ActivityState.FAILED
        assert world.sibling.store.image("replica") == expected
        assert do(world, "replicate", **replicate) is ActivityState.DONE

    world.run(body)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("job.fail", fraction=1.5), "fraction"),
        (Fault("job.fail", fraction=-0.1), "fraction"),
        (Fault("job.fail", fraction=math.nan), "fraction"),
        *((Fault(kind, backend="primary", verb="clone", for_ns=1), "'clone'") for kind in JOB_KINDS),
    ],
)
def test_faults_of_no_job_are_refused(world: World, fault: Fault, says: str) -> None:
    """A share of the bytes that no job moves, and a verb that no job has, are named when the fault is planned."""
    with pytest.raises(ValueError, match=says):
        world.testbed.inject(fault)
    world.testbed.close()
