"""A caller's machine stands still (`caller.pause`), and what it finds when it goes on."""

from __future__ import annotations

import itertools

import pytest
from worlds import World

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.model import Caller
from harness.runtime import SECOND
from harness.runtime.virtual_task import VirtualTask
from harness.schedule import Fault
from simulated_backends.backend import SimulatedConnection

USER = HandleScope.USER


class CallerOf:
    """A caller on its own machine, `host-a`: starts a job, then polls it every second until it is over or gone."""

    def __init__(self, world: World, scope: HandleScope = USER) -> None:
        self.world = world
        self.scope = scope
        self.polled_ns: list[int] = []
        self.handle = ""
        self.connection: SimulatedConnection | None = None
        self.task: VirtualTask[str] = world.runtime.spawn("caller", self._body)  # type: ignore[assignment]

    def _body(self) -> str:
        world = self.world
        self.connection = world.connect()  # type: ignore[assignment]
        assert self.connection is not None
        self.handle = world.start(self.connection, "copy", source="volume", target="copy", scope=self.scope)
        try:
            while not (status := self.connection.status(self.handle)).state.is_terminal:
                self.polled_ns.append(world.runtime.now())
                world.runtime.sleep(SECOND)
        except ConnectionLost:
            return "lost"
        except ActivityUnknown:
            return "unknown"
        return status.state.value

    def longest_gap_ns(self) -> int:
        """The longest time between two polls."""
        return max(b - a for a, b in itertools.pairwise(self.polled_ns))


def pause(world: World, seconds: int, at_s: int = 10, host: str = "host-a") -> None:
    """Let a host stand still from an instant on."""
    world.testbed.inject(Fault("caller.pause", caller=host, at_ns=at_s * SECOND, for_ns=seconds * SECOND))


def test_a_short_pause_loses_nothing(world: World) -> None:
    """A pause within all keep-alives delays the caller by exactly its length, and names its start and its end."""

    def body() -> None:
        world.store.create_volume("volume", 100)
        pause(world, 7)
        caller = CallerOf(world)
        assert caller.task.wait() == "done"
        round_trip_ns = world.store.figures.round_trip_ns
        assert caller.longest_gap_ns() in (8 * SECOND, 8 * SECOND + round_trip_ns)
        for kind, at_s in (("fault", 10), ("fault.over", 17)):
            (event,) = world.recorder.find(kind, fault="caller.pause", host="host-a")
            assert event.at_ns == at_s * SECOND
        assert world.recorder.find("connection.broken") == []

    world.run(body)


def test_a_target_times_a_paused_initiator_out() -> None:
    """NOP-In gets no answer: within 45 s the session is gone, which the caller finds afterwards; the job ran on."""
    world = World("iscsi-sim")

    def body() -> None:
        world.store.create_volume("volume", 100)
        pause(world, 200)
        caller = CallerOf(world)
        world.runtime.sleep(39 * SECOND)
        assert world.primary.inspect().connections == 1
        world.runtime.sleep(17 * SECOND)
        assert world.primary.inspect().connections == 0 and not caller.task.is_over
        assert world.recorder.find("connection.broken") == []  # the caller knows of nothing yet
        assert caller.task.wait() == "lost"
        assert 210 * SECOND <= world.runtime.now() <= 211 * SECOND and caller.longest_gap_ns() <= 2 * SECOND
        assert world.connect("host-b").status(caller.handle).state is ActivityState.DONE

    world.run(body)


def test_the_initiators_own_keep_alive_stands_still_with_it() -> None:
    """A pause of 20 s is longer than NOP-Out bears, but the initiator's timer did not run: the session goes on."""
    world = World("iscsi-sim")

    def body() -> None:
        world.store.create_volume("volume", 100)
        pause(world, 20)
        caller = CallerOf(world)
        assert caller.task.wait() == "done"
        assert world.recorder.find("connection.broken") == [] and caller.longest_gap_ns() >= 20 * SECOND

    world.run(body)


def test_a_keep_alive_that_runs_goes_on_where_it_stood() -> None:
    """In a partition that outlasts the pause the initiator gives up after the time that its NOP-Out had left."""
    world = World("iscsi-sim")

    def body() -> None:
        world.store.create_volume("volume", 100)
        world.testbed.inject(Fault("partition", caller="host-a", at_ns=8 * SECOND, for_ns=500 * SECOND))
        pause(world, 20)
        caller = CallerOf(world)
        assert caller.task.wait() == "lost"
        assert 33 * SECOND < world.runtime.now() <= 38 * SECOND  # 5 to 10 s after the cut, and the 20 s of the pause

    world.run(body)


@pytest.mark.parametrize(("courtesy_s", "outcome"), [(0, "lost"), (1000, "done")])
def test_a_paused_clients_lease_lapses(courtesy_s: int, outcome: str) -> None:
    """90 s after the last renewal the lease is over: the session goes, or stays as long as the courtesy lasts."""
    world = World("nfs-sim", courtesy_ns=courtesy_s * SECOND)

    def body() -> None:
        world.store.create_volume("volume", 100)
        pause(world, 200)
        caller = CallerOf(world)
        world.runtime.sleep(100 * SECOND - 1 - world.runtime.now())
        assert world.primary.inspect().connections == 1 and world.recorder.find("nfs.courtesy") == []
        world.runtime.sleep(1)
        assert world.primary.inspect().connections == (1 if courtesy_s else 0)
        assert len(world.recorder.find("nfs.courtesy")) == (1 if courtesy_s else 0)
        assert caller.task.wait() == outcome
        assert len(world.recorder.find("nfs.client_released")) == (0 if courtesy_s else 1)

    world.run(body)


def test_a_partitioned_client_loses_its_lease_as_well() -> None:
    """A client that can't be heard is silent from the cut on; once it is back, its session is gone at both ends."""
    world = World("nfs-sim")

    def body() -> None:
        connection = world.connect()
        world.testbed.inject(Fault("partition", caller="host-a", at_ns=10 * SECOND, for_ns=95 * SECOND))
        world.runtime.sleep(100 * SECOND - world.runtime.now() - 1)
        assert world.primary.inspect().connections == 1
        world.runtime.sleep(1)
        assert world.primary.inspect().connections == 0 and connection.is_open  # type: ignore[attr-defined]
        world.runtime.sleep(5 * SECOND)
        assert not connection.is_open  # type: ignore[attr-defined]
        world.connect()

    world.run(body)


def test_a_short_partition_renews_the_lease() -> None:
    """A client that is heard again within its lease has the whole of it again."""
    world = World("nfs-sim")

    def body() -> None:
        connection = world.connect()
        for at_s in (10, 80):
            world.testbed.inject(Fault("partition", caller="host-a", at_ns=at_s * SECOND, for_ns=50 * SECOND))
        world.runtime.sleep(140 * SECOND)
        assert connection.is_open and world.primary.inspect().connections == 1  # type: ignore[attr-defined]
        assert world.recorder.find("nfs.client_released") == []

    world.run(body)


def test_a_gate_opens_by_itself_while_its_owner_stands_still(world: World) -> None:
    """A hold lasts for max_hold whatever its owner does; writes go on, and the owner finds its hold gone."""

    def body() -> None:
        attachment = world.primary.attach(*_volume(world), "host-b")
        limit_ns = world.testbed.profile.max_hold_ns

        def owner() -> bool:
            world.primary.connect(Caller("host-a", "user-a"))
            attachment.gate.hold("owner", SECOND, limit_ns)
            world.runtime.sleep(SECOND)
            return attachment.gate.is_held_by("owner")

        world.testbed.inject(Fault("caller.pause", on="gate.quiesced", caller="host-a", for_ns=2 * limit_ns))
        task = world.runtime.spawn("owner", owner)
        world.runtime.sleep(SECOND // 2)
        attachment.write(1, 11)
        (held,), (expired,) = world.recorder.find("gate.hold"), world.recorder.find("gate.expired")
        assert expired.at_ns == held.at_ns + limit_ns and not task.is_over
        assert world.store.image("volume") == {1: 11}
        assert task.wait() is False and world.runtime.now() > 2 * limit_ns

    world.run(body)


@pytest.mark.parametrize("pauses", [[(5, 40)], [(5, 40), (20, 25)]], ids=["one pause", "a pause within it"])
def test_a_paused_hosts_own_hold_stands_still_with_it(world: World, pauses: list[tuple[int, int]]) -> None:
    """A host counts max_hold by its own clock: its gate opens later by its pause, another's does not."""

    def body() -> None:
        limit_ns = world.testbed.profile.max_hold_ns
        volume = _volume(world)
        for host in ("host-a", "host-b"):
            world.primary.attach(*volume, host).gate.hold("owner", SECOND, limit_ns)
        held_ns = {e.fields["host"]: e.at_ns for e in world.recorder.find("gate.hold")}
        for at_s, for_s in pauses:
            pause(world, for_s, at_s=at_s)
        world.runtime.sleep(limit_ns + 100 * SECOND)
        expired_ns = {e.fields["host"]: e.at_ns for e in world.recorder.find("gate.expired")}
        assert expired_ns["host-a"] == held_ns["host-a"] + limit_ns + 40 * SECOND
        assert expired_ns["host-b"] == held_ns["host-b"] + limit_ns

    world.run(body)


def test_a_paused_initiators_replacement_timeout_stands_still() -> None:
    """A session that is lost for good fails after replacement_timeout by its host's clock, the pause left out."""
    world = World("iscsi-sim", replacement_timeout_ns=30 * SECOND)

    def body() -> None:
        attachment = world.primary.attach(*_volume(world), "host-a")
        attachment.write(1, 11)
        world.testbed.inject(Fault("partition", backend="primary", at_ns=SECOND, for_ns=500 * SECOND))
        world.testbed.inject(Fault("connection.reset", volume="volume", at_ns=2 * SECOND))
        pause(world, 100)
        world.runtime.sleep(300 * SECOND)
        (lost,), (failed,) = world.recorder.find("session.lost"), world.recorder.find("session.failed")
        assert lost.at_ns == 2 * SECOND and failed.at_ns == (2 + 30 + 100) * SECOND

    world.run(body)


def _volume(world: World) -> tuple[str]:
    world.store.create_volume("volume", 1)
    return ("volume",)


def test_nobody_acts_on_a_host_that_stands_still(world: World) -> None:
    """A task that comes to a paused host, for a login or a call, waits until the host goes on; others don't."""

    def body() -> None:
        world.store.create_volume("volume", 1)
        caller = CallerOf(world)
        caller.task.wait()
        other = world.connect("host-b")
        pause(world, 30)
        world.runtime.sleep(11 * SECOND - world.runtime.now())
        assert other.status(caller.handle).state is ActivityState.DONE and world.runtime.now() < 12 * SECOND
        login = world.runtime.spawn("login", world.connect)
        world.runtime.sleep(5 * SECOND)
        assert not login.is_over and caller.connection is not None
        caller.connection.status(caller.handle)
        assert 40 * SECOND <= world.runtime.now() < 41 * SECOND and login.is_over
        assert login.wait().is_open  # type: ignore[attr-defined]  # no login timed out on a clock that stood still

    world.run(body)


def test_a_copy_through_a_paused_host_stands_still(world: World) -> None:
    """A host's own copy from one backend to another takes longer by the pause, and is whole."""

    def body() -> None:
        source = world.volume()
        expected = world.fill(source)
        world.sibling.store.create_volume("copy", 1)
        destination = world.sibling.attach("copy", "host-a")
        took_ns = []
        for paused in (False, True):
            began_ns = world.runtime.now()
            if paused:
                world.testbed.inject(
                    Fault("caller.pause", caller="host-a", at_ns=began_ns + SECOND // 4, for_ns=30 * SECOND)
                )
            source.copy_to(destination)
            took_ns.append(world.runtime.now() - began_ns)
        assert took_ns[1] == pytest.approx(took_ns[0] + 30 * SECOND, rel=1e-6)
        assert world.sibling.store.image("copy") == expected

    world.run(body)


def test_pauses_of_one_host_nest(world: World) -> None:
    """Of two pauses that overlap the later end counts."""

    def body() -> None:
        world.store.create_volume("volume", 100)
        pause(world, 6, at_s=10)
        pause(world, 6, at_s=13)
        caller = CallerOf(world)
        assert caller.task.wait() == "done"
        assert not any(10 * SECOND < at < 19 * SECOND for at in caller.polled_ns)
        assert caller.longest_gap_ns() in (10 * SECOND, 10 * SECOND + world.store.figures.round_trip_ns)

    world.run(body)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("caller.pause", for_ns=1), "host of its caller"),
        (Fault("caller.pause", caller="host-a"), "for_ns above 0"),
    ],
)
def test_a_pause_says_what_it_lacks(world: World, fault: Fault, says: str) -> None:
    """A pause of nobody, or for no time, is refused."""
    with pytest.raises(ValueError, match=says):
        world.testbed.inject(fault)
    world.testbed.close()
