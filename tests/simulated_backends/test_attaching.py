"""When a host attaches a volume, and what keeps it from doing so."""

from __future__ import annotations

import pytest
from worlds import World

from harness.contract import ConnectionLost
from harness.runtime import SECOND
from harness.schedule import Fault


@pytest.mark.parametrize("share", [0, 0.5], ids=["before", "while it attaches"])
def test_a_host_that_stands_still_attaches_when_it_goes_on(world: World, share: float) -> None:
    """A volume is attached after the pause of its host, however long that is; who asks for it does not stand still."""

    def body() -> None:
        world.store.create_volume("volume", 1)
        attach_ns = world.store.figures.attach_ns
        at_ns = world.runtime.now() + int(share * attach_ns)
        world.testbed.inject(Fault("caller.pause", caller="host-a", for_ns=100 * SECOND, at_ns=at_ns))
        world.runtime.sleep(0)
        asked = world.runtime.spawn("asks for it", lambda: world.primary.attach("volume", "host-a"))
        world.runtime.sleep(50 * SECOND)
        assert not asked.is_over
        asked.wait()
        assert 0 <= world.runtime.now() - at_ns - 100 * SECOND <= attach_ns

    world.run(body)


@pytest.mark.parametrize("asks", ["connects", "attaches"])
@pytest.mark.parametrize("paused", [False, True])
def test_a_host_waits_for_the_answer_to_a_login_by_its_own_clock(world: World, asks: str, paused: bool) -> None:
    """In a partition the login fails once the host's login timeout has run, which a pause of the host lengthens."""

    def body() -> None:
        world.store.create_volume("volume", 1)
        began_ns = world.runtime.now()
        world.testbed.inject(Fault("partition", caller="host-a", backend="primary", for_ns=500 * SECOND))
        if paused:
            world.testbed.inject(Fault("caller.pause", caller="host-a", for_ns=100 * SECOND, at_ns=5 * SECOND))
        with pytest.raises(ConnectionLost, match="does not answer the login of host-a"):
            if asks == "connects":
                world.connect()
            else:
                world.primary.attach("volume", "host-a")
        login_s = {"iscsi-sim": 15, "nfs-sim": 60}[world.testbed.name]
        assert (world.runtime.now() - began_ns) // SECOND == login_s + (100 if paused else 0)

    world.run(body)
