"""What becomes of a host's own copy when the sessions fail over which it reads and writes, or blocks go bad."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SPREAD, World

from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import BLOCKS_PER_GIB, Image
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.host_copy import MediumError
from simulated_backends.route import PathLost


@pytest.fixture
def iscsi() -> World:
    """The iSCSI testbed with its own profile."""
    return World("iscsi-sim")


def ends(world: World, backend: str = "sibling") -> tuple[SimulatedAttachment, SimulatedAttachment, Image]:
    """A written volume and an empty one on that backend, both attached to host-a, and the image of the first."""
    source = world.volume()
    expected = world.fill(source)
    store = world.testbed.backend(backend).store
    store.create_volume("copy", 1)
    return source, world.testbed.backend(backend).attach("copy", "host-a"), expected


def copy_ns(world: World, copy: Callable[[], None]) -> int:
    """How long a copy takes."""
    began_ns = world.runtime.now()
    copy()
    return world.runtime.now() - began_ns


@pytest.mark.parametrize("backend", ["sibling", "primary"])
@pytest.mark.parametrize("cut_off", ["primary", "sibling", ""])
def test_a_host_copy_waits_for_a_short_cut(world: World, backend: str, cut_off: str) -> None:
    """It takes longer by the time for which one of its ends can't be reached, and by nothing else, and is whole."""

    def body() -> None:
        source, destination, expected = ends(world, backend)
        usual_ns = copy_ns(world, lambda: source.copy_to(destination))
        cut = Fault(
            "partition",
            caller="host-a",
            backend=cut_off,
            for_ns=3 * SECOND,
            at_ns=world.runtime.now() + usual_ns // 2,
        )
        world.testbed.inject(cut)
        crosses = cut_off in ("", "primary", backend)
        took_ns = copy_ns(world, lambda: source.copy_to(destination))
        assert took_ns == pytest.approx(usual_ns + (3 * SECOND if crosses else 0), rel=1e-6)
        assert world.testbed.backend(backend).store.image("copy") == expected
        assert world.recorder.find("session.lost") == []

    world.run(body)


@pytest.mark.parametrize("volume", ["volume", "copy"])
@pytest.mark.parametrize("kind", ["connection.break", "connection.half_open", "session.reinstate"])
def test_a_host_copy_goes_on_over_the_next_session(iscsi: World, kind: str, volume: str) -> None:
    """Nothing moves from the moment at which a session lets nothing through until the host has another one."""

    def body() -> None:
        source, destination, expected = ends(iscsi)
        usual_ns = copy_ns(iscsi, lambda: source.copy_to(destination))
        at_ns = iscsi.runtime.now() + usual_ns // 2
        iscsi.testbed.inject(Fault(kind, volume=volume, at_ns=at_ns))
        took_ns = copy_ns(iscsi, lambda: source.copy_to(destination))
        (restored,) = iscsi.recorder.find("session.restored")
        assert took_ns == pytest.approx(usual_ns + restored.at_ns - at_ns, rel=1e-6)
        assert iscsi.sibling.store.image("copy") == expected

    iscsi.run(body)


@pytest.mark.parametrize("where", [{"backend": "primary"}, {"backend": "sibling"}, {}])
def test_a_host_copy_fails_with_its_path(iscsi: World, where: dict[str, Any]) -> None:
    """It fails when the writes of that host do; what had arrived stays at the destination, and nothing is added."""

    def body() -> None:
        source, destination, expected = ends(iscsi)
        at_ns = iscsi.runtime.now() + iscsi.testbed.profile.whole_copy_ns // 2
        iscsi.testbed.inject(Fault("partition", caller="host-a", for_ns=1000 * SECOND, at_ns=at_ns, **where))
        with pytest.raises(PathLost):
            source.copy_to(destination)
        assert iscsi.runtime.now() == iscsi.recorder.find("session.failed")[0].at_ns
        part = dict(iscsi.sibling.store.image("copy"))
        assert 0 < len(part) < len(expected) and part.items() <= expected.items()
        with pytest.raises(PathLost):
            source.copy_to(destination)
        iscsi.runtime.sleep(1000 * SECOND)
        assert iscsi.sibling.store.image("copy") == part
        source.copy_to(destination)
        assert iscsi.sibling.store.image("copy") == expected

    iscsi.run(body)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.integers(0, 64), st.tuples(st.sampled_from(SPREAD[::13]), st.booleans()), max_size=6))
def test_a_host_copy_meets_the_blocks_that_are_bad_when_it_gets_there(changes: dict[int, tuple[int, bool]]) -> None:
    """A block that goes bad ends a host copy that has not got there, unless it is written again before that."""
    world = World("iscsi-sim")
    deeds = [(number, *changes[number]) for number in sorted(changes)]

    def is_met(number: int) -> bool:
        return next((spoils for n, block, spoils in reversed(deeds) if n <= number and block == SPREAD[number]), False)

    met = next((SPREAD[number] for number in range(64) if is_met(number)), BLOCKS_PER_GIB)

    def body() -> None:
        source, destination, expected = ends(world)
        other = world.primary.attach("volume", "host-b")
        whole_ns = world.testbed.profile.whole_copy_ns
        began_ns = world.runtime.now() + whole_ns // 128

        def interfere() -> None:
            for number, block, spoils in deeds:  # half a step before the copy gets to that one of the spread blocks
                world.runtime.sleep(began_ns + (2 * number - 1) * whole_ns // 128 - world.runtime.now())
                if spoils:
                    fraction = block / BLOCKS_PER_GIB
                    world.testbed.inject(Fault("medium.error", backend="primary", volume="volume", fraction=fraction))
                else:
                    other.write(block, expected[block])

        interfering = world.runtime.spawn("interfering", interfere)
        world.runtime.sleep(began_ns - world.runtime.now())
        with pytest.raises(MediumError, match=f"block {met} ") if met in SPREAD else contextlib.nullcontext():
            source.copy_to(destination)
        assert world.runtime.now() - began_ns == pytest.approx(whole_ns * met / BLOCKS_PER_GIB, rel=1e-6)
        assert world.sibling.store.image("copy") == {b: stamp for b, stamp in expected.items() if b < met}
        interfering.wait()

    world.run(body)


def test_a_host_copy_is_no_job(world: World) -> None:
    """A block goes bad in what a job reads, where no object is named; what only a host copies is left alone."""

    def body() -> None:
        source, destination, expected = ends(world)
        at_ns = world.runtime.now() + world.testbed.profile.whole_copy_ns // 2
        world.testbed.inject(Fault("medium.error", backend="primary", fraction=0.75, at_ns=at_ns))
        source.copy_to(destination)
        assert world.sibling.store.image("copy") == expected
        assert [event.fields["volume"] for event in world.recorder.find("fault")] == [""]

    world.run(body)
