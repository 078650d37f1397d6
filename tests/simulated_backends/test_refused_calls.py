"""Answers that are refusals, and faults of answers that meet each other or come before what they are to hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worlds import World

from harness.activity import HandleScope
from harness.contract import ActivityNotAbortable, ActivityUnknown, ConnectionLost
from harness.model import BackupChunk
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import BLOCK, ObjectUnknown, PoolFull, StorageError
from harness.testbed import Job
from simulated_backends.host_copy import MediumError

LATE = Fault("reply.late", volume="volume", for_ns=2 * SECOND)

NOT_WELL_FORMED: list[tuple[str, str, dict[str, Any]]] = [
    ("verb", "nonsense", {"source": "volume"}),
    ("needs a source", "delete", {}),
    ("needs a target", "create_volume", {"source": "volume", "size": 1}),
    ("needs a target", "copy", {"source": "volume"}),
    ("needs a target", "snapshot", {"source": "volume"}),
    ("needs a size", "create_volume", {"target": "new"}),
    ("needs a size", "extend_volume", {"source": "volume"}),
    ("needs a sink", "read", {"source": "volume"}),
    ("source", "copy", {"source": ["volume"], "target": "new"}),
    ("source", "create_volume", {"source": None, "target": "new", "size": 1}),
    ("target", "create_volume", {"target": 7, "size": 1}),
    ("destination", "move", {"source": "volume", "destination": ["sibling"]}),
    ("technique", "read", {"source": "volume", "technique": None}),
    ("sink", "read", {"source": "volume", "sink": object()}),
    ("scope", "delete", {"source": "volume", "scope": "user-specific"}),
    *(("size", "create_volume", {"target": "new", "size": size}) for size in (-5, 0, 2.0, 1.5, "2", True)),
    ("size", "copy", {"source": "volume", "target": "new", "size": 1.0}),
    ("size", "extend_volume", {"source": "volume", "size": 1.5}),
    ("chunks", "write", {"target": "volume", "chunks": None}),
    ("chunks", "write", {"target": "volume", "chunks": (b"x",)}),
    ("offset", "write", {"target": "volume", "chunks": (BackupChunk(0.0, 0, "none", b""),)}),  # type: ignore[arg-type]
    ("offset", "write", {"target": "volume", "chunks": (BackupChunk(-4096, 0, "none", b""),)}),
    ("length", "write", {"target": "volume", "chunks": (BackupChunk(0, "0", "none", b""),)}),  # type: ignore[arg-type]
    ("label", "write", {"target": "volume", "chunks": (BackupChunk(0, 0, None, b""),)}),  # type: ignore[arg-type]
    ("payload", "write", {"target": "volume", "chunks": (BackupChunk(0, 0, "none", ""),)}),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("field", "verb", "fields"), NOT_WELL_FORMED)
def test_a_job_that_is_not_well_formed_is_refused(world: World, field: str, verb: str, fields: dict[str, Any]) -> None:
    """Whoever starts it gets a `ValueError` that names the field, and nothing is begun."""

    def body() -> None:
        world.volume()
        before = world.primary.inspect()
        with pytest.raises(ValueError, match=field):
            world.start(world.connect(), verb, **fields)
        world.runtime.sleep(SECOND)
        seen = world.primary.inspect()
        assert seen.objects == before.objects and seen.activities == ()

    world.run(body)


def test_a_refusal_travels_back_as_any_answer_does(world: World) -> None:
    """It takes a round trip, and can be late or lost, once for each fault that was armed."""

    def body() -> None:
        connection = world.connect()
        refusals: list[Callable[[], object]] = [
            lambda: connection.status("unknown"),
            lambda: connection.abort("unknown"),
            lambda: connection.start(Job("nonsense", source="volume"), "request"),
        ]
        round_trip_ns = world.store.figures.round_trip_ns
        for late_ns in (0, SECOND):
            for refuse in refusals:
                if late_ns:
                    world.testbed.inject(Fault("reply.late", caller="host-a", for_ns=late_ns))
                began_ns = world.runtime.now()
                with pytest.raises((ActivityUnknown, ValueError)):
                    refuse()
                assert world.runtime.now() - began_ns == round_trip_ns + late_ns
        assert len(world.recorder.find("fault", fault="reply.late")) == len(refusals)
        world.testbed.inject(Fault("reply.lost", caller="host-a"))
        with pytest.raises(ConnectionLost):
            connection.status("unknown")
        assert len(world.recorder.find("fault", fault="reply.lost")) == 1

    world.run(body)


def test_an_activity_that_cannot_be_aborted_says_so_after_a_round_trip(world: World) -> None:
    """The refusal of an abort travels as other refusals do."""
    world = World(world.testbed.name, fixed_job_verbs="copy")

    def body() -> None:
        world.volume()
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=HandleScope.USER)
        began_ns = world.runtime.now()
        with pytest.raises(ActivityNotAbortable):
            connection.abort(handle)
        assert world.runtime.now() - began_ns == world.store.figures.round_trip_ns

    world.run(body)


def test_an_answer_that_is_lost_is_not_late(world: World) -> None:
    """The caller hears of its broken connection at once, and the delay stays for the next answer."""

    def body() -> None:
        connection = world.connect()
        for kind in ("reply.late", "reply.lost"):
            world.testbed.inject(Fault(kind, caller="host-a", for_ns=10 * SECOND))
        for error, faults in ((ConnectionLost, ["reply.lost"]), (ActivityUnknown, ["reply.lost", "reply.late"])):
            began_ns = world.runtime.now()
            with pytest.raises(error):
                connection.status("unknown")
            assert (world.runtime.now() - began_ns > SECOND) == (len(faults) == 2)
            assert [event.fields["fault"] for event in world.recorder.find("fault")] == faults
            connection = world.connect()

    world.run(body)


@pytest.mark.parametrize("ends", ["on its way", "refused"])
def test_a_start_that_takes_no_effect_loses_no_answer(world: World, ends: str) -> None:
    """A start whose connection breaks before it arrives, or that is refused, leaves the fault to the next start."""

    def body() -> None:
        world.volume()
        connection = world.connect()
        world.testbed.inject(Fault("start.reply_lost", caller="host-a"))
        if ends == "on its way":
            at_ns = world.runtime.now() + world.store.figures.round_trip_ns // 4
            world.testbed.inject(Fault("connection.break", caller="host-a", at_ns=at_ns))
            with pytest.raises(ConnectionLost):
                world.start(connection, "copy", source="volume", target="first")
        else:
            with pytest.raises(ValueError, match="unknown job verb"):
                world.start(connection, "nonsense", source="volume")
        assert world.recorder.find("activity.started") == []
        with pytest.raises(ConnectionLost):
            world.start(world.connect(), "copy", source="volume", target="second")
        assert len(world.recorder.find("activity.started")) == 1
        assert len(world.recorder.find("fault", fault="start.reply_lost")) == 1

    world.run(body)


@pytest.mark.parametrize("host", ["", "host-b"])
def test_an_answer_to_a_volume_that_is_attached_later_is_hit(world: World, host: str) -> None:
    """A fault waits for the volume of its name, at the host that it names, and hits the first write there."""

    def body() -> None:
        world.testbed.inject(Fault("reply.lost", volume="volume", caller=host))
        world.volume("other").write(1, 10)
        first = world.volume()
        second = world.primary.attach("volume", "host-b")
        first.write(1, 11)
        second.write(2, 12)
        (fault,) = world.recorder.find("fault")
        assert fault.fields["volume"] == "volume" and fault.fields["host"] == (host or "host-a")
        assert world.store.image("volume") == {1: 11, 2: 12}

    world.run(body)


@pytest.mark.parametrize("kinds", [["reply.lost"], ["reply.late"], ["reply.late", "reply.lost"]])
def test_a_fault_whose_volume_is_detached_says_that_it_met_no_write(world: World, kinds: list[str]) -> None:
    """Faults of an answer that no write has met when an attachment goes are named then, and hit nothing later."""

    def body() -> None:
        first = world.volume()
        second = world.primary.attach("volume", "host-b")
        for kind in kinds:
            world.testbed.inject(Fault(kind, volume="volume", for_ns=SECOND))
        first.write(1, 11)
        for attachment in (first, second, first, second):
            attachment.detach()
        met, *missed = [event.fields for event in world.recorder.find("fault")]
        assert met["fault"] == kinds[0] and "writes" not in met
        told = [(fields["fault"], fields["host"], fields["writes"]) for fields in missed]
        assert told == [(kind, "host-a", 0) for kind in kinds[1:]] + [(kind, "host-b", 0) for kind in kinds]
        world.primary.attach("volume", "host-a").write(1, 12)
        assert len(world.recorder.find("fault")) == 2 * len(kinds)

    world.run(body)


def test_a_fault_is_met_by_the_writes_that_a_detaching_waits_for(world: World) -> None:
    """Whether a fault was met is known once the last write under way is over."""

    def body() -> None:
        attachment = world.volume()
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(1)
        world.testbed.inject(Fault("reply.late", volume="volume", for_ns=SECOND))
        attachment.detach()
        writer.wait()
        (fault,) = world.recorder.find("fault")
        assert "writes" not in fault.fields and world.runtime.now() > SECOND

    world.run(body)


@pytest.mark.parametrize("late_s", [0, 2])
@pytest.mark.parametrize("refusal", [PoolFull, ObjectUnknown])
def test_a_refused_write_takes_as_long_as_another(
    make_world: Callable[..., World], refusal: type[StorageError], late_s: int
) -> None:
    """What a backend answers to a write takes its way back, and is hit by the fault that waits for an answer."""
    world = make_world(service_jitter_ns=0, provisioning="thin", control_ns=0)

    def body() -> None:
        attachment = world.volume()
        began_ns = world.runtime.now()
        attachment.write(1, 11)
        took_ns = world.runtime.now() - began_ns
        if late_s:
            world.testbed.inject(Fault("reply.late", volume="volume", for_ns=late_s * SECOND))
        began_ns = world.runtime.now()
        writer = world.runtime.spawn("writer", lambda: attachment.write(2, 22))
        world.runtime.sleep(took_ns // 10)
        if refusal is PoolFull:
            world.testbed.inject(Fault("pool.full", backend="primary"))
        else:
            world.store.delete("volume")
        with pytest.raises(refusal):
            writer.wait()
        assert world.runtime.now() - began_ns == took_ns + late_s * SECOND

    world.run(body)


@pytest.mark.parametrize("kind", ["reply.lost", "connection.reset"])
@pytest.mark.parametrize("full_s", [1, 100])
def test_a_refusal_that_is_lost_says_nothing(make_world: Callable[..., World], kind: str, full_s: int) -> None:
    """The host sends the write again, and what counts is what the backend answers then."""
    world = make_world(provisioning="thin")

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        full_until_ns = world.runtime.now() + full_s * SECOND
        world.testbed.inject(Fault("pool.full", backend="primary", for_ns=full_s * SECOND))
        if kind == "reply.lost":
            world.testbed.inject(Fault(kind, volume="volume"))
        else:
            world.testbed.inject(LATE)
            world.testbed.inject(Fault(kind, volume="volume", at_ns=world.runtime.now() + LATE.for_ns // 2))
        is_refused = False
        try:
            attachment.write(2, 22)
        except PoolFull:
            is_refused = True
        (restored,) = world.recorder.find("session.restored")
        assert is_refused is (restored.at_ns < full_until_ns)
        assert world.store.image("volume") == ({1: 11} if is_refused else {1: 11, 2: 22})

    world.run(body)


def test_a_bad_block_is_told_after_a_round_trip(make_world: Callable[..., World]) -> None:
    """A read that meets one takes as long as a read that does not, and is tried again where its answer was lost."""
    world = make_world(service_jitter_ns=0)

    def body() -> None:
        attachment = world.volume()
        attachment.write(0, 11)
        took_ns = []
        for error in (None, MediumError):
            began_ns = world.runtime.now()
            if error is not None:
                world.testbed.inject(Fault("medium.error", backend="primary", volume="volume"))
                with pytest.raises(error):
                    attachment.read(0, BLOCK)
            else:
                attachment.read(0, BLOCK)
            took_ns.append(world.runtime.now() - began_ns)
        assert took_ns[0] == took_ns[1]
        began_ns = world.runtime.now()
        answered_ns = began_ns + took_ns[0] - world.store.figures.round_trip_ns // 4
        world.testbed.inject(Fault("connection.reset", volume="volume", at_ns=answered_ns))
        with pytest.raises(MediumError):
            attachment.read(0, BLOCK)
        (restored,) = world.recorder.find("session.restored")
        assert took_ns[0] <= world.runtime.now() - restored.at_ns < 2 * took_ns[0]

    world.run(body)
