"""How long a host's gate holds, for one owner and for several, and which writes pass when it opens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World

from harness.runtime import SECOND, Expired
from harness.schedule import Fault


def test_a_hold_lasts_for_its_own_limit_whatever_its_owner_held_before(world: World) -> None:
    """What its owner held before and gave back ends it no sooner, though that was held twice."""

    def body() -> None:
        gate = world.volume().gate
        for limit_s in (10, 20):
            gate.hold("owner", SECOND, limit_s * SECOND)
        gate.release("owner")
        assert not gate.holding
        world.runtime.sleep(5 * SECOND)
        gate.hold("owner", SECOND, 60 * SECOND)
        world.runtime.sleep(100 * SECOND)
        (expired,) = world.recorder.find("gate.expired")
        assert expired.at_ns == world.recorder.find("gate.hold")[-1].at_ns + 60 * SECOND and not gate.holding

    world.run(body)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(0, 10)), min_size=1, max_size=12))
def test_no_write_is_held_beyond_the_limit_with_which_its_gate_began_to_hold(steps: list[tuple[str, int, int]]) -> None:
    """An owner that joins shares that limit; each is bound by its own as well, and opens nothing for the others."""
    world = World("iscsi-sim")
    kinds = ("gate.hold", "gate.release", "gate.expired")

    def body() -> None:
        attachment = world.volume()
        gate = attachment.gate
        limits_ns: list[int] = []
        for number, (owner, limit_s, pause_s) in enumerate(steps):
            if limit_s:
                limits_ns.append(limit_s * SECOND)
                gate.hold(owner, SECOND, limits_ns[-1])
            else:
                gate.release(owner)
            world.runtime.spawn(f"writer {number}", lambda number=number: attachment.write(number, number + 1))
            world.runtime.sleep(pause_s * SECOND)
        world.runtime.sleep(100 * SECOND)

        ends: dict[str, int] = {}
        opens_ns, seen = 0, 0
        spans: list[tuple[int, int]] = []
        for event in sorted((e for kind in kinds for e in world.recorder.find(kind)), key=lambda e: e.place):
            owner = event.fields["owner"]
            if event.kind == "gate.hold":
                if not ends:
                    opens_ns = event.at_ns + limits_ns[seen]
                    spans.append((event.at_ns, 0))
                ends[owner] = min(event.at_ns + limits_ns[seen], opens_ns)
                seen += 1
            else:
                end_ns = ends.pop(owner)
                assert event.at_ns == end_ns if event.kind == "gate.expired" else event.at_ns <= end_ns
                spans[-1] = (spans[-1][0], event.at_ns)
        assert not ends and not gate.holding
        log = world.recorder.writes("volume")
        for issued_ns, acknowledged_ns in zip(log.issued_ns, log.acknowledged_ns, strict=True):
            held_ns = next((end_ns - issued_ns for began_ns, end_ns in spans if began_ns <= issued_ns < end_ns), 0)
            assert 0 < acknowledged_ns - issued_ns < held_ns + SECOND // 10

    world.run(body)


def test_a_write_that_was_held_passes_before_the_next_hold(world: World) -> None:
    """Holds that follow each other without a pause hold a write only once: each waits for what was held before it."""

    def body() -> None:
        attachment = world.volume()
        attachment.gate.hold("first", SECOND, 60 * SECOND)
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(SECOND)
        attachment.gate.release("first")
        attachment.gate.hold("second", SECOND, 60 * SECOND)
        assert writer.is_over and world.store.image("volume") == {1: 11}

    world.run(body)


def test_a_held_write_that_is_given_up_is_waited_for_by_nobody(world: World) -> None:
    """Whether the gate still holds then or has just opened, the next hold has nothing to wait for."""

    def body() -> None:
        attachment = world.volume()
        for releases_first in (False, True):
            attachment.gate.hold("first", SECOND, 60 * SECOND)
            writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
            world.runtime.sleep(SECOND)
            if releases_first:
                attachment.gate.release("first")
            writer.abandon()
            attachment.gate.release("first")
            attachment.gate.hold("second", SECOND, 60 * SECOND)
            attachment.gate.release("second")
        assert world.store.image("volume") == {}

    world.run(body)


@pytest.mark.parametrize("limit_s", [-1, 0, 5])
def test_a_hold_whose_limit_is_over_before_the_drain_is_no_quiesce(world: World, limit_s: int) -> None:
    """Its caller is told that the volume could not be quiesced (Q-6), and nothing is held for it any more."""

    def body() -> None:
        attachment = world.volume()
        world.testbed.inject(Fault("drain.stall", volume="volume", for_ns=10 * SECOND))
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 11))
        world.runtime.sleep(1)
        with pytest.raises(Expired):
            attachment.gate.hold("owner", 20 * SECOND, limit_s * SECOND)
        assert not attachment.gate.holding and world.recorder.find("gate.quiesced") == []
        writer.wait()

    world.run(body)
