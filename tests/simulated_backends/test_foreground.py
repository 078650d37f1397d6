"""Workloads as events against workloads as tasks: the same record, event for event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.load import StreamLoad
from harness.runtime import SECOND, Expired, HorizonExceeded, Limits
from harness.storage import StorageError
from harness.testbed import LoadSpec
from simulated_backends.attachment import SimulatedAttachment

MS = 1_000_000
WHATS = [
    "load", "load", "hold", "hold", "release", "stall", "copy", "crawl", "move", "snapshot", "stop", "detach", "delete",
    "revert", "slow", "write",
]  # fmt: skip

stories = st.lists(st.tuples(st.integers(0, 120), st.sampled_from(WHATS), st.integers(0, 99)), min_size=3, max_size=25)


def as_tasks(attachment: SimulatedAttachment, spec: LoadSpec) -> StreamLoad:
    """What `SimulatedAttachment.load` is with a task for each stream."""
    name = f"load on {attachment.volume_id} at {attachment.host}"
    return StreamLoad(
        attachment._runtime, attachment._recorder, attachment.write, spec, attachment._loads, name
    )  # fmt: skip


class Story:
    """A run of steps, each of them a pause (ms), what to do and on which of what there is."""

    def __init__(self, steps: list[tuple[int, str, int]], tasks: bool) -> None:
        self.world = World("iscsi-sim", seed=3)
        self.steps = steps
        self.load = as_tasks if tasks else SimulatedAttachment.load
        self.seen: list[Any] = []
        self.loads: list[Any] = []

    def play(self) -> list[Any]:
        """Everything that can be seen of the run."""
        self.world.run(self._body)
        self.seen.append(self.world.recorder.digest())
        return self.seen

    def _body(self) -> None:
        world = self.world
        self.attachments = [world.volume("first"), world.volume("second"), world.primary.attach("first", "host-b")]
        for number, (pause, what, which) in enumerate(self.steps):
            world.runtime.sleep(pause * MS)
            try:
                self._act(number, what, which)
            except (StorageError, ValueError, Expired) as error:
                self.seen.append((world.runtime.now(), what, type(error).__name__))
        for attachment in self.attachments:
            for number in range(len(self.steps)):
                attachment.gate.release(str(number))
        for load in self.loads:
            try:
                load.stop(3 * SECOND)
            except (StorageError, ValueError, Expired) as error:
                self.seen.append((world.runtime.now(), type(error).__name__))
        for backend in (world.primary, world.sibling):
            self.seen.append(sorted((key, sorted(image.items())) for key, image in backend.inspect().images.items()))

    def _act(self, number: int, what: str, which: int) -> None:
        world = self.world
        attachment = self.attachments[which % 3]
        volume = attachment.volume_id
        if what == "load":
            blocks = SPREAD[which % 7 :: 3] if which % 10 else (5, 6, 1 << 18)
            self.loads.append(self.load(attachment, LoadSpec(blocks, 1 + which % 5, (which % 3) * MS)))
        elif what == "hold":
            attachment.gate.hold(str(number), SECOND // 10, (1 + which % 3) * SECOND // 10)
        elif what == "release":
            attachment.gate.release(str(which % len(self.steps)))
        elif what == "stall":
            attachment.stall((1 + which) * MS)
        elif what in ("copy", "crawl", "snapshot"):
            world.copy(volume, f"copy-{number}", "snapshot" if what == "snapshot" else "volume", what != "crawl")
        elif what == "move":
            world.store.begin_move(volume, world.sibling.store, live=bool(which % 2))
        elif what == "revert":
            world.store.begin_revert(volume, f"copy-{which % len(self.steps)}")
        elif what == "slow":
            link = world.store.medium.disk_write
            world.testbed._fabric.set_capacity(link, max(BYTES, link.capacity // (1 + which % 4)))
        elif what == "write":
            attachment.write(SPREAD[which % 64], world.recorder.next_stamp())
        elif what == "stop" and self.loads:
            self.loads[which % len(self.loads)].stop(SECOND)
        elif what == "detach" and which % 4 == 0:
            attachment.detach()
        elif what == "delete" and which % 4 == 0:
            world.store.delete(volume)


BYTES = 1_000_000


@settings(deadline=None, max_examples=40)
@given(stories)
def test_the_record_is_that_of_tasks(steps: list[tuple[int, str, int]]) -> None:
    """Digest, errors, times and images are those of a run whose streams are tasks."""
    assert Story(steps, tasks=False).play() == Story(steps, tasks=True).play()


def test_a_load_does_not_outrun_the_horizon() -> None:
    """A run in which only a load goes on ends at the horizon, with nothing recorded beyond it."""
    world = World("iscsi-sim")

    def body() -> None:
        world.busy(world.volume())
        world.runtime.signal("never").wait()

    with pytest.raises(HorizonExceeded):
        world.runtime.run(body, Limits(horizon_ns=SECOND))
    assert SECOND * 0.9 < max(world.recorder.writes("volume").issued_ns) <= SECOND
    world.testbed.close()
