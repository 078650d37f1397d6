"""A backend that holds what hosts write to a volume, because a driver asked for it."""

from __future__ import annotations

import pytest
from worlds import SPREAD, World

from harness.recorder import UNACKNOWLEDGED
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import ObjectUnknown
from harness.testbed import LoadSpec


def waiting(world: World) -> int:
    """How many writes are not acknowledged."""
    return list(world.recorder.writes("volume").acknowledged).count(UNACKNOWLEDGED)


def test_suspended_writes_wait_and_are_applied_in_their_order(world: World) -> None:
    """From suspend to resume nothing is applied and every stream waits; then each write is applied, none is lost, while
    the other volume's writes went on."""

    def body() -> None:
        attachment = world.volume()
        other = world.volume("other")
        connection = world.connect()
        loads = [each.load(LoadSpec(SPREAD, streams=5, think_ns=1_000_000)) for each in (attachment, other)]
        world.runtime.sleep(SECOND // 10)
        world.wait(connection, world.start(connection, "suspend", source="volume"))
        world.runtime.sleep(SECOND // 10)
        image, count = dict(world.store.image("volume")), len(world.recorder.writes("other"))
        world.runtime.sleep(SECOND)
        assert world.store.image("volume") == image
        assert waiting(world) == 5
        assert len(world.recorder.writes("other")) > count + 1_000
        attachment.read(0, 4096)
        world.wait(connection, world.start(connection, "resume", source="volume"))
        for load in loads:
            load.stop()
        log = world.recorder.writes("volume")
        assert waiting(world) == 0
        assert world.store.image("volume") == dict(zip(log.blocks, log.stamps, strict=True))
        longest = max(end - start for start, end in zip(log.issued_ns, log.acknowledged_ns, strict=True))
        assert SECOND < longest < 3 * SECOND

    world.run(body)


def test_the_backend_resumes_by_itself(world: World) -> None:
    """After `suspend_limit_ns` writes go on though nobody asked; suspending again meanwhile does not put that off."""

    def body() -> None:
        attachment = world.volume()
        world.store.suspend_writes("volume")
        began = world.runtime.now()
        writer = world.runtime.spawn("writer", lambda: attachment.write(7, 70))
        world.runtime.sleep(SECOND)
        world.store.suspend_writes("volume")
        writer.wait()
        limit_ns = world.store.figures.suspend_limit_ns
        assert limit_ns < world.runtime.now() - began < limit_ns + SECOND // 100
        assert world.store.image("volume") == {7: 70}
        world.store.resume_writes("volume")

    world.run(body)


@pytest.mark.parametrize("end", ["delete", "restart", "move"])
def test_a_suspension_ends_with_what_it_hangs_on(world: World, end: str) -> None:
    """A volume's deletion and its backend's restart end a suspension at once; one that moves keeps its own until the
    backend's limit."""

    def body() -> None:
        attachment = world.volume()
        world.store.suspend_writes("volume")
        writer = world.runtime.spawn("writer", lambda: attachment.write(7, 70))
        world.runtime.sleep(SECOND // 10)
        began = world.runtime.now()
        if end == "delete":
            world.store.delete("volume")
            with pytest.raises(ObjectUnknown):
                writer.wait()
        elif end == "restart":
            world.testbed.inject(Fault("backend.restart", backend="primary", for_ns=SECOND))
            world.runtime.sleep(SECOND // 2)
            assert world.store.image("volume") == {}  # it arrives again once the backend is back
            writer.wait()
            assert world.store.image("volume") == {7: 70}
        else:
            world.store.begin_move("volume", world.sibling.store, live=True).wait()
            writer.wait()
            assert world.sibling.store.image("volume") == {7: 70}
        reasons = [event.fields["reason"] for event in world.recorder.find("writes.resumed")]
        assert reasons == {"delete": [], "restart": ["power lost"], "move": ["limit reached"]}[end]
        limit_ns = world.store.figures.suspend_limit_ns
        assert (world.runtime.now() - began >= limit_ns - SECOND) is (end == "move")

    world.run(body)


def test_only_volumes_can_be_suspended(world: World) -> None:
    """To suspend a snapshot, or what is not there, fails as unknown; to resume what goes on is harmless."""

    def body() -> None:
        world.volume()
        world.copy("volume", "snapshot", "snapshot").wait()
        connection = world.connect()
        for object_id in ("snapshot", "nothing"):
            status = world.wait(connection, world.start(connection, "suspend", source=object_id))
            assert status.error_code == "unknown-object"
        world.store.resume_writes("volume")
        assert not world.recorder.find("writes.resumed")

    world.run(body)


@pytest.mark.parametrize("loses", [False, True], ids=["kept", "session lost"])
def test_a_host_copy_waits_while_writes_are_suspended(world: World, loses: bool) -> None:
    """Nothing arrives from suspend to resume, and after that all the rest; beyond that time it takes what it takes."""

    def body() -> None:
        source = world.volume()
        expected = world.fill(source)
        world.sibling.store.create_volume("copy", 1)
        destination, store = world.sibling.attach("copy", "host-a"), world.sibling.store
        began_ns, whole_ns = world.runtime.now(), world.testbed.profile.whole_copy_ns
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        world.runtime.sleep(whole_ns // 4)
        store.suspend_writes("copy")
        suspended_ns, image = world.runtime.now(), dict(store.image("copy"))
        if loses:
            world.testbed.inject(Fault("connection.break", volume="copy"))
        world.runtime.sleep(whole_ns // 2)
        assert store.image("copy") == image
        store.resume_writes("copy")
        held_ns = world.runtime.now() - suspended_ns
        copying.wait()
        assert store.image("copy") == expected
        if not loses:
            assert world.runtime.now() - began_ns == pytest.approx(whole_ns + held_ns, rel=1e-6)

    world.run(body)


@pytest.mark.parametrize("which", ["volume", "copy"])
def test_a_suspended_host_copy_ends_with_either_of_its_volumes(world: World, which: str) -> None:
    """It ends at the deletion, not when the writes to its destination go on."""

    def body() -> None:
        source = world.volume()
        world.sibling.store.create_volume("copy", 1)
        destination = world.sibling.attach("copy", "host-a")
        copying = world.runtime.spawn("copying", lambda: source.copy_to(destination))
        world.sibling.store.suspend_writes("copy")
        (world.store if which == "volume" else world.sibling.store).delete(which)
        deleted_ns = world.runtime.now()
        with pytest.raises(ObjectUnknown, match=which):
            copying.wait()
        assert world.runtime.now() == deleted_ns

    world.run(body)
