"""Workloads in batches against workloads write by write: the same record, event for event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.load import StreamLoad
from harness.runtime import SECOND, Expired, HorizonExceeded, Limits
from harness.schedule import Fault
from harness.storage import PoolFull, StorageError
from harness.testbed import LoadSpec
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.world import SimulatedWorld

MS = 1_000_000
LoadOf = Callable[[SimulatedAttachment, LoadSpec], Any]
Step = tuple[int, str, int]
"""A pause (ms), what to do, and on which of what there is."""

FAULTS = {
    "break": lambda volume, which: Fault("connection.break", volume=volume),
    "half open": lambda volume, which: Fault("connection.half_open", volume=volume),
    "reply lost": lambda volume, which: Fault("reply.lost", volume=volume),
    "reply late": lambda volume, which: Fault("reply.late", volume=volume, for_ns=(1 + which) * MS),
    "slow link": lambda volume, which: Fault("link.slow", backend="primary", fraction=0.3, for_ns=(1 + which) * MS),
    "partition": lambda volume, which: Fault("partition", backend="primary", for_ns=(1 + which) * 100 * MS),
    "restart": lambda volume, which: Fault("backend.restart", backend="primary", for_ns=(1 + which) * MS),
    "full pool": lambda volume, which: Fault("pool.full", backend="primary", for_ns=(1 + which) * MS),
    "medium error": lambda volume, which: Fault("medium.error", backend="primary", volume=volume, fraction=which / 100),
    "stalled drain": lambda volume, which: Fault("drain.stall", volume=volume, for_ns=(1 + which) * MS),
}
DEEDS = [
    "load", "load", "load", "rest", "rest", "hold", "hold", "release", "stall", "copy", "crawl", "move", "snapshot",
    "stop", "detach", "delete", "delete copy", "revert", "capacity", "write", "read", "suspend", "suspend", "resume",
    *FAULTS,
]  # fmt: skip
TIMES: dict[str, dict[str, int]] = {
    "as in the profile": {},
    "many ties": {"service_jitter_ns": 3, "round_trip_ns": 30_000, "service_ns": 20_000},
    "no jitter": {"service_jitter_ns": 0},
    "small write cache, short suspensions": {"write_cache_bytes": 70_000, "suspend_limit_ns": 50 * MS},
    "a queue at the disk": {"disk_queue": True, "service_jitter_ns": 3},
}

stories = st.lists(st.tuples(st.integers(0, 150), st.sampled_from(DEEDS), st.integers(0, 99)), min_size=3, max_size=25)


def one_by_one(attachment: SimulatedAttachment, spec: LoadSpec) -> StreamLoad:
    """A load whose streams call `write`, one write after the other."""
    name = f"load on {attachment.volume_id} at {attachment.host}"
    return StreamLoad(
        attachment._runtime, attachment._recorder, attachment.write, spec, attachment._loads(), name
    )  # fmt: skip


class Story:
    """A run of steps; `play` returns everything that can be seen of it."""

    def __init__(self, steps: list[Step], load: LoadOf, testbed: str = "iscsi-sim", **options: Any) -> None:
        self.world = World(testbed, seed=3, **options)
        self.steps = steps
        self.load = load
        self.seen: list[Any] = []
        self.loads: list[Any] = []

    def play(self) -> list[Any]:
        """The errors that were met, when and where, the images at the end, and the digest of the record."""
        self.world.run(self._body)
        self.seen.append(self.world.recorder.digest())
        return self.seen

    def _body(self) -> None:
        world = self.world
        self.attachments = [world.volume("first"), world.volume("second"), world.primary.attach("first", "host-b")]
        for number, (pause, what, which) in enumerate(self.steps):
            world.runtime.sleep(pause * MS)
            self._try(what, lambda n=number, w=what, i=which: self._act(n, w, i))  # type: ignore[misc]
        for attachment in self.attachments:
            for number in range(len(self.steps)):
                attachment.gate.release(str(number))
        for load in self.loads:
            self._try("end", lambda its=load: its.stop(3 * SECOND))  # type: ignore[misc]
        self._look()

    def _try(self, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except (StorageError, ValueError, Expired) as error:
            self.seen.append((self.world.runtime.now(), what, repr(error)))

    def _look(self) -> None:
        for backend in (self.world.primary, self.world.sibling):
            self.seen.append(sorted((key, sorted(image.items())) for key, image in backend.inspect().images.items()))
            self.seen.append(backend.store.used_bytes())
        for attachment in self.attachments:
            path = attachment.writes
            self.seen.append((path.outstanding, path.gate.held_writes, sorted(path.held.dirty)))

    def _act(self, number: int, what: str, which: int) -> None:
        world = self.world
        attachment = self.attachments[which % 3]
        volume = attachment.volume_id
        if what == "load":
            blocks = SPREAD[which % 7 :: 3] if which % 10 else (5, 6, 1 << 18)
            think_ns = (0, 1, 5, MS // 10, MS)[which % 5]
            self.loads.append(self.load(attachment, LoadSpec(blocks, 1 + which % 6, think_ns)))
        elif what == "rest":
            world.runtime.sleep(which * MS)
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
        elif what == "suspend":
            world.store.suspend_writes(volume)
        elif what == "resume":
            world.store.resume_writes(volume)
        elif what == "capacity":
            link = world.store.medium.disk_write
            world.testbed._fabric.set_capacity(link, max(1_000_000, link.capacity // (1 + which % 4)))
        elif what == "write":
            attachment.write(SPREAD[which % 64], world.recorder.next_stamp())
        elif what == "read":
            attachment.read(0, 4096)
        elif what == "stop" and self.loads:
            self.loads[which % len(self.loads)].stop(SECOND)
        elif what == "detach" and which % 4 == 0:
            attachment.detach()
        elif what == "delete" and which % 4 == 0:
            world.store.delete(volume)
        elif what == "delete copy":
            world.store.delete(f"copy-{which % len(self.steps)}")
        elif what in FAULTS:
            world.testbed.inject(FAULTS[what](volume, which))


@pytest.mark.parametrize("times", sorted(TIMES))
@pytest.mark.parametrize("snapshots", ["redirect-on-write", "copy-on-write"])
@settings(deadline=None, max_examples=15)
@example(  # two streams are due while the first one's answer is lost
    steps=[(0, "load", 0), (0, "load", 0), (0, "load", 1), (0, "snapshot", 0), (0, "reply lost", 0)],
    testbed="iscsi-sim",
)
@example(  # writes are suspended under a load, and resumed
    steps=[(0, "load", 4), (0, "load", 9), (150, "suspend", 0), (150, "rest", 99), (0, "resume", 0), (0, "rest", 99)],
    testbed="nfs-sim",
)
@given(steps=stories, testbed=st.sampled_from(["iscsi-sim", "nfs-sim"]))
def test_the_record_is_that_of_single_writes(times: str, snapshots: str, steps: list[Step], testbed: str) -> None:
    """Digest, errors, times, images and write caches are those of a run whose writes are carried one by one."""
    options = {**TIMES[times], "snapshot_kind": snapshots}
    batched = Story(steps, SimulatedAttachment.load, testbed, **options).play()
    assert batched == Story(steps, one_by_one, testbed, **options).play()


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_interrupts_batches_only(fault: str) -> None:
    """Around each kind of fault the record is that of single writes, while most writes are worked out in batches."""
    steps: list[Step] = [(0, "load", 4), (0, "load", 9), (150, fault, 3), (150, "hold", 0), (150, fault, 7)]
    steps += [(0, "rest", 99)] * {"half open": 140, "reply lost": 50, "break": 50}.get(fault, 20)  # until all is well
    story = Story(steps, SimulatedAttachment.load)
    assert story.play() == Story(steps, one_by_one).play()
    writes = sum(len(story.world.recorder.writes(volume)) for volume in ("first", "second"))
    assert writes > 2_000
    assert story.world.testbed.lane.batched > 0.5 * writes


@pytest.mark.parametrize("think_ns", [0, MS])
def test_a_healthy_load_is_worked_out_in_batches(world: World, think_ns: int) -> None:
    """While nothing happens, all writes but the first of each stream are issued in batches."""

    def body() -> None:
        load = world.volume().load(LoadSpec(SPREAD, streams=8, think_ns=think_ns))
        world.runtime.sleep(SECOND)
        load.stop()

    world.run(body)
    assert world.testbed.lane.batched == len(world.recorder.writes("volume")) - 8 > 1_000


@pytest.mark.parametrize("at_ns", [100 * MS, 117 * MS, 130 * MS])
def test_a_refused_write_is_no_part_of_a_batch(at_ns: int) -> None:
    """Where a pool has room again before a writer hears that it had none, that writer hears so all the same."""

    def play(world: World, load: LoadOf) -> tuple[str, bool]:
        load_of_many = load(world.volume(), LoadSpec(tuple(range(60_000)), streams=100))
        world.testbed.inject(Fault("pool.full", backend="primary", at_ns=at_ns, for_ns=5 * MS))
        world.runtime.sleep(250 * MS)
        try:
            load_of_many.stop()
        except PoolFull:
            return world.recorder.digest(), True
        return world.recorder.digest(), False

    seen = []
    for load in (SimulatedAttachment.load, one_by_one):
        world = World("iscsi-sim", provisioning="thin", round_trip_ns=100 * MS, service_jitter_ns=50 * MS)
        seen.append(world.run(lambda w=world, o=load: play(w, o)))  # type: ignore[misc]
    assert seen[0] == seen[1]


def test_only_the_disk_without_a_queue_is_written_in_batches() -> None:
    """Of two backends in one world one has a queue: a load gets batches once its volume has moved to the other."""
    records = []
    for load in (SimulatedAttachment.load, one_by_one):
        world = SimulatedWorld()
        for name in ("queueing", "plain"):
            IscsiTestbed(1, {"disk_queue": name == "queueing"}, world, {name: "alpha"})

        def body(world: SimulatedWorld = world, load: LoadOf = load) -> list[int]:
            queueing, plain = world.backends["queueing"], world.backends["plain"]
            queueing.store.create_volume("moving", 1)
            running = load(queueing.attach("moving", "host-a"), LoadSpec(SPREAD, think_ns=MS))
            world.clock.sleep(SECOND)
            batched = [world.lane.batched]
            plain.store.create_volume("staying", 1)
            beside = load(plain.attach("staying", "host-b"), LoadSpec(SPREAD, think_ns=MS))
            queueing.store.begin_move("moving", plain.store, live=True).wait()
            world.clock.sleep(SECOND)
            beside.stop()
            batched.append(world.lane.batched)
            world.clock.sleep(SECOND)
            running.stop()
            return [*batched, world.lane.batched]

        batched = world.clock.run(body, Limits())
        world.clock.close()
        if load is SimulatedAttachment.load:
            assert 0 == batched[0] < batched[1] < batched[2]
        records.append(world.recorder.digest())
    assert records[0] == records[1]


def test_a_load_does_not_outrun_the_horizon(world: World) -> None:
    """A run in which only a load goes on ends at the horizon, with nothing recorded beyond it."""

    def body() -> None:
        world.busy(world.volume())
        world.runtime.signal("never").wait()

    with pytest.raises(HorizonExceeded):
        world.runtime.run(body, Limits(horizon_ns=SECOND))
    log = world.recorder.writes("volume")
    assert SECOND * 0.9 < max(*log.issued_ns, *log.acknowledged_ns) <= SECOND
    world.testbed.close()


def test_a_reader_sees_live_what_a_batch_wrote_before_it_came_by() -> None:
    """A copy that crawls over a volume under load finds the same mix of old and new blocks as with single writes."""
    images = []
    for load in (SimulatedAttachment.load, one_by_one):
        world = World("iscsi-sim", seed=2)

        def body(world: World = world, load: LoadOf = load) -> dict[int, int]:
            attachment = world.volume()
            world.fill(attachment)
            running = load(attachment, LoadSpec(SPREAD, think_ns=MS))
            world.copy("volume", "copy", point_in_time=False).wait()
            running.stop()
            assert load is one_by_one or world.testbed.lane.batched > 1_000
            return dict(world.store.image("copy"))

        images.append(world.run(body))
        assert world.is_torn(images[-1])
    assert images[0] == images[1]


def test_a_full_pool_stops_a_load_at_the_same_write() -> None:
    """A load over many new blocks that runs into a full pool fails at the write at which single writes do."""
    records = []
    for load in (SimulatedAttachment.load, one_by_one):
        world = World("iscsi-sim", seed=2)

        def body(world: World = world, load: LoadOf = load) -> None:
            running = load(world.volume(), LoadSpec(tuple(range(1 << 14)), think_ns=MS))
            world.runtime.sleep(SECOND // 10)
            world.testbed.inject(Fault("pool.full", backend="primary"))
            world.runtime.sleep(SECOND)
            with pytest.raises(PoolFull):
                running.stop()

        world.run(body)
        records.append((world.recorder.digest(), dict(world.store.image("volume"))))
    assert records[0] == records[1]
