"""Faults of the network and of answers, and the instants at which they strike."""

from __future__ import annotations

import pytest
from worlds import World

from harness.activity import ActivityState, HandleScope
from harness.contract import ConnectionLost
from harness.runtime import SECOND, Limits
from harness.schedule import Fault
from harness.testbed import Job
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.world import SimulatedWorld


def replicate_ns(world: World) -> int:
    """How long a copy to the sibling takes."""
    began = world.runtime.now()
    connection = world.connect("host-z")
    world.wait(connection, world.start(connection, "replicate", source="volume", target="copy", destination="sibling"))
    (ended,) = world.recorder.find("activity.ended", target="copy")
    world.sibling.store.delete("copy")
    world.recorder.events.clear()
    return ended.at_ns - began


def test_a_slow_link_slows_what_crosses_it(world: World) -> None:
    """While a backend's port has a tenth of its capacity a copy over it takes about as much longer, then no more."""

    def body() -> None:
        world.volume()
        usual = replicate_ns(world)
        now = world.runtime.now()
        world.testbed.inject(Fault("link.slow", backend="sibling", fraction=0.1, for_ns=30 * SECOND))
        slow = replicate_ns(world)
        capacity = world.store.figures.link_bytes_per_s / 10
        assert slow == pytest.approx((1 << 30) * SECOND / capacity, rel=0.01)
        world.runtime.sleep(now + 31 * SECOND - world.runtime.now())
        assert replicate_ns(world) == pytest.approx(usual, rel=0.01)

    world.run(body)


def test_a_copy_stands_still_while_a_backend_is_cut_off(world: World) -> None:
    """A copy over a port that is down goes on where it was, once the port is back."""

    def body() -> None:
        world.volume()
        usual = replicate_ns(world)
        world.testbed.inject(
            Fault("partition", backend="sibling", for_ns=20 * SECOND, at_ns=world.runtime.now() + SECOND // 2)
        )
        assert replicate_ns(world) == pytest.approx(usual + 20 * SECOND, rel=0.01)

    world.run(body)


def test_faults_of_one_port_end_whichever_testbed_made_them() -> None:
    """Testbeds of one world that take a host's port down in turn, overlapping, leave it as it was."""
    world = SimulatedWorld()
    first, second = (IscsiTestbed(1, {}, world, {name: "alpha"}) for name in ("first", "second"))
    port = first.links_of("host-a").port_in

    def body() -> None:
        capacities = [port.capacity]
        for testbed in (first, second):
            testbed.inject(Fault("partition", caller="host-a", for_ns=2 * SECOND))
            world.clock.sleep(SECOND)
        for _ in range(3):
            capacities.append(port.capacity)
            world.clock.sleep(SECOND)
        assert capacities == [capacities[0], 0, capacities[0], capacities[0]]

    world.clock.run(body, Limits())


def test_a_fault_hits_a_backend_that_was_made_after_the_first_fault() -> None:
    """A testbed reaches the backends of all testbeds of its world, also of those that came after its first fault."""
    world = SimulatedWorld()
    first = IscsiTestbed(1, {}, world, {"first": "alpha"})
    first.inject(Fault("link.slow", backend="first", fraction=0.5, for_ns=SECOND, at_ns=SECOND))
    second = IscsiTestbed(1, {}, world, {"second": "alpha"})
    first.inject(Fault("partition", backend="second", for_ns=SECOND, at_ns=SECOND))
    port = second.backend("second").store.medium.port_in

    def body() -> None:
        capacities = [port.capacity]
        for _ in range(2):
            world.clock.sleep(SECOND + 1)
            capacities.append(port.capacity)
        assert capacities == [capacities[0], 0, capacities[0]]

    world.clock.run(body, Limits())


def test_a_fault_strikes_at_its_instant(world: World) -> None:
    """A fault with `at_ns` happens at exactly that nanosecond; one in the past is refused."""

    def body() -> None:
        world.connect()
        at_ns = 3 * SECOND + 7
        world.testbed.inject(Fault("connection.break", caller="host-a", at_ns=at_ns))
        world.runtime.sleep(10 * SECOND)
        (fault,) = world.recorder.find("fault")
        assert fault.at_ns == at_ns and world.recorder.find("connection.broken")[0].at_ns == at_ns
        with pytest.raises(ValueError, match="ns ago"):
            world.testbed.inject(Fault("connection.break", caller="host-a", at_ns=5))

    world.run(body)


def test_nobody_logs_in_through_a_cut(world: World) -> None:
    """A login waits for the network as long as the host waits for an answer, then fails."""

    def body() -> None:
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=5 * SECOND))
        world.connect()
        assert 5 * SECOND <= world.runtime.now() < 6 * SECOND
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=300 * SECOND))
        world.connect("host-b")
        with pytest.raises(ConnectionLost, match="does not answer"):
            world.connect()
        assert world.runtime.now() < 200 * SECOND

    world.run(body)


@pytest.mark.parametrize("call", ["start", "status", "abort"])
def test_an_answer_can_be_lost_or_late(world: World, call: str) -> None:
    """The call takes effect; its answer comes later, or not at all, and then the connection is gone."""

    def body() -> None:
        world.volume()
        job = Job("copy", source="volume", target="copy", scope=HandleScope.USER)
        first = world.connect()
        handle = first.start(job, "request") if call != "start" else ""
        calls = {
            "start": lambda c: c.start(job, "request"),
            "status": lambda c: c.status(handle),
            "abort": lambda c: c.abort(handle),
        }
        world.testbed.inject(Fault("reply.late", caller="host-a", verb=call, for_ns=SECOND))
        began = world.runtime.now()
        calls[call](first)
        assert SECOND < world.runtime.now() - began < SECOND * 3 // 2
        world.testbed.inject(Fault("reply.lost", caller="host-a", verb=call))
        with pytest.raises(ConnectionLost):
            calls[call](first)
        (activity,) = world.primary.inspect().activities
        assert activity.state == ("aborted" if call == "abort" else "running")
        assert world.connect().status(activity.handle).state is ActivityState(activity.state)
        assert [e.fields["fault"] for e in world.recorder.find("fault")] == ["reply.late", "reply.lost"]

    world.run(body)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("partition", backend="primary"), "for_ns"),
        (Fault("partition", for_ns=1), "needs a backend"),
        (Fault("link.slow", backend="primary", for_ns=1, fraction=1.5), "between 0 and 1"),
        (Fault("reply.lost", caller="host-a", verb="copy"), "start, status or abort"),
        (Fault("connection.half_open"), "host of its caller"),
    ],
)
def test_network_faults_say_what_they_lack(world: World, fault: Fault, says: str) -> None:
    """A fault of the network that could hit nothing is refused with what it lacks."""
    with pytest.raises(ValueError, match=says):
        world.testbed.inject(fault)
    world.testbed.close()


def test_a_protocol_refuses_what_it_does_not_know() -> None:
    """NFS has no iSCSI sessions that could be reinstated."""
    world = World("nfs-sim")
    with pytest.raises(ValueError, match=r"can't make the fault 'session.reinstate'"):
        world.testbed.inject(Fault("session.reinstate", caller="host-a"))
    world.testbed.close()
