"""What a fault hits of several things that bear the same name, and what the record says of that."""

from __future__ import annotations

import pytest
from worlds import World

from harness.activity import HandleScope
from harness.model import Caller
from harness.runtime import SECOND, Expired, Limits
from harness.schedule import Fault
from harness.testbed import Job
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.world import SimulatedWorld

BACKENDS = ("primary", "sibling")


def namesakes(world: World) -> dict[str, SimulatedAttachment]:
    """Two volumes of one name, both attached to host-a, by their backends."""
    world.sibling.store.create_volume("volume", 1)
    return {"primary": world.volume(), "sibling": world.sibling.attach("volume", "host-a")}


@pytest.mark.parametrize("backend", ["", *BACKENDS])
@pytest.mark.parametrize("kind", ["connection.break", "connection.reset", "connection.half_open"])
def test_a_fault_of_a_volumes_session_hits_the_backend_that_it_names(world: World, kind: str, backend: str) -> None:
    """Of volumes that bear one name those at the named backend lose their sessions, and all where none is named."""

    def body() -> None:
        namesakes(world)
        world.testbed.inject(Fault(kind, volume="volume", backend=backend))
        world.runtime.sleep(150 * SECOND)
        hit = [each for each in BACKENDS if backend in ("", each)]
        assert [event.fields["backend"] for event in world.recorder.find("session.lost")] == hit
        (fault,) = world.recorder.find("fault", fault=kind)
        assert fault.fields["sessions"] == len(hit)

    world.run(body)


@pytest.mark.parametrize("backend", ["", *BACKENDS])
def test_a_fault_of_a_volume_follows_it(world: World, backend: str) -> None:
    """A volume that was moved is hit where it is now, wherever it was attached."""

    def body() -> None:
        attachment, connection = world.volume(), world.connect("host-b")
        job = {"source": "volume", "destination": "sibling", "scope": HandleScope.USER}
        world.wait(connection, world.start(connection, "move", **job))
        attachment.write(1, 11)
        world.testbed.inject(Fault("connection.reset", volume="volume", backend=backend))
        lost = [event.fields["backend"] for event in world.recorder.find("session.lost")]
        assert lost == ([] if backend == "primary" else ["sibling"])

    world.run(body)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_late_answer_is_that_of_the_backend_that_the_fault_names(world: World, backend: str) -> None:
    """A write to the volume of the same name elsewhere is answered in time, attached before the fault or after it."""

    def body() -> None:
        world.testbed.inject(Fault("reply.late", volume="volume", backend=backend, for_ns=5 * SECOND))
        attachments = namesakes(world)
        world.testbed.inject(Fault("reply.late", volume="volume", backend=backend, for_ns=5 * SECOND))
        for _ in range(2):
            for each, attachment in attachments.items():
                began_ns = world.runtime.now()
                attachment.write(1, 11)
                assert (world.runtime.now() - began_ns >= 5 * SECOND) is (each == backend)

    world.run(body)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("first", BACKENDS)
def test_a_drain_stalls_at_the_backend_that_the_fault_names(world: World, backend: str, first: str) -> None:
    """A hold of the volume of the same name elsewhere drains, and does not set the fault off."""

    def body() -> None:
        attachments = namesakes(world)
        world.testbed.inject(Fault("drain.stall", volume="volume", backend=backend, for_ns=5 * SECOND))
        for each in sorted(BACKENDS, key=lambda name: name != first):
            attachment = attachments[each]
            writer = world.runtime.spawn("writer", lambda a=attachment: a.write(1, 11))  # type: ignore[misc]
            world.runtime.sleep(1)
            if each == backend:
                with pytest.raises(Expired):
                    attachment.gate.hold("test", SECOND, 10 * SECOND)
            else:
                attachment.gate.hold("test", SECOND, 10 * SECOND)
            writer.wait()
        assert len(world.recorder.find("fault", fault="drain.stall")) == 1

    world.run(body)


@pytest.mark.parametrize("named", ["", "here", "there"])
def test_a_preemption_reaches_the_targets_of_other_testbeds(named: str) -> None:
    """In a world of several testbeds copies are aborted at the target that the fault names, or at all of them."""
    common = SimulatedWorld()
    beds = {name: IscsiTestbed(1, {}, common, {name: "alpha"}) for name in ("here", "there")}

    def body() -> None:
        for name, bed in beds.items():
            backend = bed.backend(name)
            backend.store.create_volume("volume", 100)
            backend.connect(Caller("host-a", "user-a")).start(Job("copy", "volume", "copy"), "request")
        beds["here"].inject(Fault("reservation.preempt", caller="host-a", backend=named))
        common.clock.sleep(SECOND)
        for name, bed in beds.items():
            assert (bed.backend(name).inspect().find("copy") is None) is (named in ("", name))

    common.clock.run(body, Limits())
    common.clock.close()


@pytest.mark.parametrize("kind", ["session.reinstate", "session.logout"])
def test_a_fault_of_one_protocol_leaves_backends_of_another_alone(kind: str) -> None:
    """A host's NFS connection stands where its iSCSI sessions are hit, and the NFS server can't be named."""
    common = SimulatedWorld()
    target = IscsiTestbed(1, {}, common, {"target": "alpha"})
    NfsTestbed(1, {}, common, {"server": "beta"})

    def body() -> None:
        connections = [common.backends[name].connect(Caller("host-a", "user-a")) for name in ("target", "server")]
        target.inject(Fault(kind, caller="host-a"))
        assert [one.is_open for one in connections] == [False, True]
        with pytest.raises(ValueError, match="server can't meet session"):
            target.inject(Fault(kind, caller="host-a", backend="server"))

    common.clock.run(body, Limits())
    common.clock.close()


AGAIN = {
    "connection.break": ("connection.break", "connection.half_open", "host.restart"),
    "connection.reset": ("connection.break", "connection.reset", "connection.half_open", "host.restart"),
    "connection.half_open": ("connection.half_open",),
    "host.restart": ("connection.break", "connection.half_open", "host.restart"),
}
"""Which faults find nothing to do any more after another."""


ORDERS = [
    (of, first, second)
    for of in ("connections", "sessions")
    for first in AGAIN
    for second in AGAIN
    if of == "connections" or "host.restart" not in (first, second)  # which counts the drivers' only
]


@pytest.mark.parametrize(("of", "first", "second"), ORDERS)
def test_the_record_counts_what_a_fault_has_changed(world: World, of: str, first: str, second: str) -> None:
    """What is broken is not broken anew; it can be reset where the backend, unlike one of NFS, still has its end."""
    is_there = first == "connection.half_open" or (first != "connection.reset" and world.testbed.name == "iscsi-sim")
    finds = second not in AGAIN[first] and is_there

    def body() -> None:
        attachment = world.volume()
        attachment.write(1, 11)
        for _ in range(2):
            world.connect()
        scope = {"volume": "volume"} if of == "sessions" else {"caller": "host-a"}
        for kind, count in ((first, True), (second, finds)):
            world.testbed.inject(Fault(kind, **scope))
            (*_, fault) = world.recorder.find("fault", fault=kind)
            assert fault.fields[of] == count * (1 if of == "sessions" else 2)

    world.run(body)
