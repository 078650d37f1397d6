"""Answers that are late, or that the backend has yet to give, when their connection is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import TESTBEDS, World

from harness.activity import HandleScope
from harness.contract import ConnectionLost
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.testbed import Connection, Job
from simulated_backends.route import PathLost

MS = SECOND // 1000
USER = HandleScope.USER

LOSSES = ("connection.break", "connection.reset", "connection.half_open", "partition", "host.restart")
"""What a caller hears of at once, or by its keep-alive."""

whole_seconds = st.integers(1, 200)


def fault_at(kind: str, after_s: int, lasts_s: int, world: World, **whom: str) -> Fault:
    """A loss some seconds from now, and some milliseconds, so that nothing else of a test is due at that instant."""
    at_ns = world.runtime.now() + after_s * SECOND + 5 * MS
    if kind == "partition":
        return Fault(kind, at_ns=at_ns, caller="host-a", backend="primary", for_ns=lasts_s * SECOND)
    if kind == "host.restart":
        return Fault(kind, at_ns=at_ns, caller="host-a")
    return Fault(kind, at_ns=at_ns, **whom)


def calls(world: World) -> dict[str, Callable[[Connection], Any]]:
    """A call of each kind; a copy is under way that can be asked for and aborted."""
    world.store.create_volume("volume", 300)
    handle = world.start(world.connect("host-b"), "copy", source="volume", target="copy", scope=USER)
    job = Job("copy", source="volume", target="another", scope=USER)
    return {
        "start": lambda connection: connection.start(job, "another"),
        "status": lambda connection: connection.status(handle),
        "abort": lambda connection: connection.abort(handle),
    }


@settings(deadline=None, max_examples=60)
@example(testbed="iscsi-sim", call="status", late_s=30, kind="connection.reset", after_s=2, lasts_s=1)
@example(testbed="iscsi-sim", call="status", late_s=60, kind="partition", after_s=2, lasts_s=50)
@given(
    testbed=st.sampled_from(sorted(TESTBEDS)),
    call=st.sampled_from(["start", "status", "abort"]),
    late_s=whole_seconds,
    kind=st.sampled_from(LOSSES),
    after_s=whole_seconds,
    lasts_s=whole_seconds,
)
def test_a_call_under_way_ends_with_its_connection(
    testbed: str, call: str, late_s: int, kind: str, after_s: int, lasts_s: int
) -> None:
    """Whatever its answer waits for, the caller hears of the loss at once; what is not lost is answered in its time."""
    world = World(testbed)

    def body() -> None:
        make = calls(world)[call]
        connection = world.connect()
        world.testbed.inject(Fault("reply.late", caller="host-a", verb=call, for_ns=late_s * SECOND))
        world.testbed.inject(fault_at(kind, after_s, lasts_s, world, caller="host-a"))
        began_ns = world.runtime.now()
        try:
            make(connection)
        except ConnectionLost:
            (lost,) = world.recorder.find("connection.broken")
            assert world.runtime.now() == lost.at_ns
        else:
            assert world.recorder.find("connection.broken") == []
            assert world.runtime.now() - began_ns >= late_s * SECOND

    world.run(body)


@pytest.mark.parametrize("scope", [USER, HandleScope.CONNECTION])
def test_an_abort_ends_with_its_connection_and_is_carried_out(
    make_world: Callable[..., World], scope: HandleScope
) -> None:
    """The caller of a long abort hears of its lost connection at once, while the backend goes on with the abort."""
    world = make_world(abort_latency_ns=60 * SECOND)

    def body() -> None:
        world.store.create_volume("volume", 300)
        connection = world.connect()
        handle = world.start(connection, "copy", source="volume", target="copy", scope=scope)
        asked_ns = world.runtime.now()
        world.testbed.inject(Fault("connection.reset", caller="host-a", at_ns=asked_ns + 2 * SECOND))
        with pytest.raises(ConnectionLost):
            connection.abort(handle)
        assert world.runtime.now() == asked_ns + 2 * SECOND
        world.runtime.sleep(60 * SECOND)
        (ended,) = world.recorder.find("activity.ended")
        assert ended.fields["state"] == "aborted" and ended.at_ns <= asked_ns + 61 * SECOND

    world.run(body)


def test_an_abort_of_what_is_being_aborted_is_answered_with_it(world: World) -> None:
    """Whoever asks for the end of an activity that ends already, or has ended, is answered once it is over."""

    def body() -> None:
        world.store.create_volume("volume", 300)
        connections = [world.connect(), world.connect("host-b")]
        handle = world.start(connections[0], "copy", source="volume", target="copy", scope=USER)
        aborts = [world.runtime.spawn("abort", lambda c=c: c.abort(handle)) for c in connections]  # type: ignore[misc]
        for abort in aborts:
            abort.wait()
        (ended,) = world.recorder.find("activity.ended")
        assert 0 < world.runtime.now() - ended.at_ns <= world.store.figures.round_trip_ns
        asked_ns = world.runtime.now()
        connections[1].abort(handle)
        assert world.runtime.now() == asked_ns + world.store.figures.round_trip_ns

    world.run(body)


@pytest.mark.parametrize("call", ["start", "status", "abort"])
@pytest.mark.parametrize(("pause_s", "comes_s"), [(2, 5), (30, 31)])
def test_an_answer_is_late_in_the_network(world: World, call: str, pause_s: int, comes_s: int) -> None:
    """Its time goes on while the caller's machine stands still, which finds the answer when it goes on."""

    def body() -> None:
        make = calls(world)[call]
        connection = world.connect()
        began_ns = world.runtime.now()
        world.testbed.inject(Fault("reply.late", caller="host-a", verb=call, for_ns=5 * SECOND))
        pause = Fault("caller.pause", caller="host-a", for_ns=pause_s * SECOND, at_ns=began_ns + SECOND)
        world.testbed.inject(pause)
        make(connection)
        took_ns = world.runtime.now() - began_ns - comes_s * SECOND
        assert 0 < took_ns <= world.store.figures.round_trip_ns + world.testbed.profile.loss.abort_latency_ns

    world.run(body)


@settings(deadline=None, max_examples=60)
@example(testbed="iscsi-sim", waits="late", kind="connection.reset", hold_s=300, after_s=2, lasts_s=1, timeout_s=120)
@example(testbed="iscsi-sim", waits="late", kind="partition", hold_s=300, after_s=2, lasts_s=1000, timeout_s=120)
@example(testbed="iscsi-sim", waits="suspended", kind="partition", hold_s=20, after_s=2, lasts_s=1000, timeout_s=5)
@given(
    testbed=st.sampled_from(sorted(TESTBEDS)),
    waits=st.sampled_from(["late", "suspended"]),
    kind=st.sampled_from(LOSSES),
    hold_s=whole_seconds,
    after_s=whole_seconds,
    lasts_s=whole_seconds,
    timeout_s=st.sampled_from([0, 5, 120]),
)
def test_a_write_under_way_ends_with_its_session(
    testbed: str, waits: str, kind: str, hold_s: int, after_s: int, lasts_s: int, timeout_s: int
) -> None:
    """Whatever a write waits for, it is sent again as soon as the host has another session, or fails with the host's
    patience; only a backend that holds writes holds it on."""
    options = {"replacement_timeout_ns": timeout_s * SECOND} if testbed == "iscsi-sim" else {}
    world = World(testbed, suspend_limit_ns=hold_s * SECOND, **options)

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        if waits == "late":
            world.testbed.inject(Fault("reply.late", volume="volume", for_ns=hold_s * SECOND))
        else:
            world.store.suspend_writes("volume")
        began_ns = world.runtime.now()
        world.testbed.inject(fault_at(kind, after_s, lasts_s, world, volume="volume"))
        due = [began_ns + hold_s * SECOND]
        try:
            attachment.write(1, 12)
        except PathLost:
            due = [world.recorder.find("session.failed")[-1].at_ns]
        else:
            assert world.store.image("volume") == {1: 12}
            restored = world.recorder.find("session.restored")
            if restored:
                due = [restored[-1].at_ns, *(due if waits == "suspended" else [])]
            elif kind == "partition":
                due.append(began_ns + (after_s + lasts_s) * SECOND)
        assert world.runtime.now() <= max(due) + 6 * MS

    world.run(body)


def test_a_hold_does_not_wait_for_an_answer_that_was_lost(world: World) -> None:
    """The write whose late answer was lost is sent again on the next session, and the gate drains."""

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        world.testbed.inject(Fault("reply.late", volume="volume", for_ns=300 * SECOND))
        world.testbed.inject(Fault("connection.reset", volume="volume", at_ns=2 * SECOND))
        writer = world.runtime.spawn("writer", lambda: attachment.write(1, 12))
        world.runtime.sleep(5 * SECOND)
        attachment.gate.hold("owner", SECOND, 60 * SECOND)
        attachment.gate.release("owner")
        attachment.detach()
        assert writer.is_over and world.runtime.now() < 6 * SECOND

    world.run(body)
