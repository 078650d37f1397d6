"""What becomes of a host's own copy when the sessions fail over which it reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from worlds import World

from harness.runtime import SECOND
from harness.schedule import Fault
from harness.storage import Image
from simulated_backends.attachment import SimulatedAttachment
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
