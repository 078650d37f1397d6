"""How long a host's gate holds, for one owner and for several, and which writes pass when it opens."""

from __future__ import annotations

from worlds import World

from harness.runtime import SECOND


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
