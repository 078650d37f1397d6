"""When the record excuses that a connection-specific activity is over after a refused look-up on a real clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conformance.activities import Running
from conformance.handle_uses import ended_with_its_connection
from harness.model import Volume
from harness.recorder import Recorder
from harness.testbed import LossPolicy

LOSS = ("fault", {"fault": "connection.break", "host": "node"})
CLOSE = ("connection.closed", {"host": "node"})
ASKED = ("activity.aborting", {"handle": "1"})


@pytest.mark.parametrize(
    ("before_the_end", "after_ns", "state", "excused"),
    [
        ([LOSS], 60, "aborted", True),
        ([CLOSE], 60, "aborted", True),
        ([LOSS], 59, "aborted", False),
        ([], 60, "aborted", False),
        ([("connection.closed", {"host": "other"})], 60, "aborted", False),
        ([LOSS, ASKED], 60, "aborted", False),
        ([LOSS], 60, "failed", False),
        ([LOSS], 60, None, False),
    ],
)
def test_only_what_h_4_can_have_ended_is_excused(
    before_the_end: list[tuple[str, dict[str, Any]]], after_ns: int, state: str | None, excused: bool
) -> None:
    """The activity has to have been stopped, unasked, no sooner after its connection's loss than its tasks are kept."""
    clock = [100]
    recorder = Recorder(lambda: clock[0])
    profile = SimpleNamespace(loss=LossPolicy(30, 20, 40, 10))
    lab: Any = SimpleNamespace(recorder=recorder, profile=profile, node="node", settled=lambda: None)
    recorder.emit("connection.closed", host="node")  # of an earlier connection
    clock[0] += 1000
    recorder.emit("activity.started", handle="1", target="clone")
    for kind, fields in before_the_end:
        recorder.emit(kind, **fields)
    clock[0] += after_ns
    if state is not None:
        recorder.emit("activity.ended", handle="1", target="clone", state=state)
    clone = Volume("clone", 1, "node@primary#pool")
    running = Running(None, "1", Volume("volume", 1, "node@primary#pool"), clone, "copy", "1")
    assert ended_with_its_connection(lab, running) is excused
