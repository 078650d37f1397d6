"""A run with load, copies, a move and faults; prints its digest. test_determinism starts it in its own processes."""

from __future__ import annotations

import sys
from typing import Any

from worlds import World

from harness.contract import ConnectionLost
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.testbed import LoadSpec


def main(name: str, seed: int) -> str:
    """Run it; returns the digest."""
    world = World(name, seed)

    def start(verb: str, **job: Any) -> None:
        try:
            world.start(world.connect(), verb, **job)
        except ConnectionLost:
            world.start(world.connect("host-b"), verb, **job)

    def body() -> None:
        first, second = world.volume("first"), world.volume("second")
        elsewhere = world.primary.attach("first", "host-b")
        loads = [world.busy(first), world.busy(second), elsewhere.load(LoadSpec((1, 2, 3), streams=2))]
        world.testbed.inject(Fault("start.reply_lost", on="activity.ended", caller="host-a"))
        world.testbed.inject(Fault("connection.break", on="activity.ended", nth=2, caller="host-a"))
        world.testbed.inject(Fault("link.slow", backend="sibling", fraction=0.5, for_ns=SECOND, at_ns=SECOND))
        world.testbed.inject(Fault("reply.lost", volume="first", at_ns=SECOND // 3))
        world.testbed.inject(Fault("connection.half_open", volume="second", on="volume.cutover"))
        world.testbed.inject(Fault("partition", backend="primary", for_ns=SECOND // 2, at_ns=6 * SECOND))
        world.testbed.inject(Fault("caller.pause", caller="host-a", for_ns=SECOND // 2, at_ns=2 * SECOND))
        world.testbed.inject(Fault("caller.pause", caller="host-b", for_ns=SECOND // 4, on="volume.cutover"))
        start("copy", source="first", target="copy-1")
        start("copy", source="first", target="copy-2", point_in_time=False)
        start("move", source="second", destination="sibling")
        world.runtime.sleep(4 * SECOND)
        start("snapshot", source="first", target="snapshot")
        world.runtime.sleep(4 * SECOND)
        for load in loads:
            load.stop()
        for backend in (world.primary, world.sibling):
            seen = backend.inspect()
            world.recorder.emit(
                "test.seen",
                objects=[repr(stored) for stored in seen.objects],
                images={key: sorted(image.items()) for key, image in seen.images.items()},
            )

    world.run(body)
    return world.recorder.digest()


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
