"""What hosts' single I/Os take from bulk transfers: bandwidth of the disks and ports that both cross.

Neither those of workloads nor background I/Os are flows of the fabric. So what they moved over a link is counted now
and then, and for the time up to the next count the link has so much less for bulk transfers: `PERIOD_NS`, less at the
beginning. It is counted in steps of 1/`STEPS` of the link, rounded down: lighter I/O takes nothing, and what together
can't reach a step of any link is not counted at all. At most half of a link goes to single I/Os, their fair share
beside one transfer (max-min).

A write crosses its host's port, the backend's port and the writing side of its disk; under copy-on-write the first
write to a block after a snapshot also has the old block read and written (`snapshot_kind` in the profile's figures).
A read crosses the reading side and both ports. I/O that is held (quiesced) takes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.runtime import SECOND
from harness.storage import BLOCK
from scenarios.backends import Backends
from scenarios.background_io import BackgroundIo
from scenarios.deployment import Deployment
from scenarios.model import Scenario, Workload
from scenarios.workloads import Foreground
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.background import BackgroundLoad
from simulated_backends.fabric import Link

PERIOD_NS = SECOND
FIRST_NS = 10_000_000
"""The first period; each is twice as long as the one before, up to `PERIOD_NS`."""
STEPS = 200


class ForegroundShare:
    """Counts what hosts' I/Os move, and takes it from the capacity that bulk transfers have, up to `stop`."""

    def __init__(
        self, deployment: Deployment, backends: Backends, foreground: Foreground, background: BackgroundIo
    ) -> None:
        self._fabric = backends.fabric
        self._env = backends.world.clock.env
        self._recorder = deployment.recorder
        self._stopping = False
        self._period_ns = FIRST_NS
        self._crossed: dict[Link, int] = {}
        self._counters: list[Callable[[], None]] = []
        plans = deployment.scenario.workload
        loads = [plan.rate * plan.block for plan in deployment.scenario.background.values()]
        most = math.fsum([*loads, *(most_bytes_per_s(deployment.scenario, plan) for plan in plans.values())])
        ports = [host.port for host in deployment.scenario.host.values() if host.port is not None]
        if most < min(backends.slowest(), *ports, 1 << 62) // STEPS:
            return
        for name, plan in plans.items():
            for volume in deployment.volumes_of(plan.volume):
                attachment = deployment.attachments[volume]
                assert isinstance(attachment, SimulatedAttachment)
                host = backends.bed_of("", volume).links_of(attachment.host)
                self._counters.append(self._counter(attachment, (host.port_in, host.port_out), foreground, name))
        self._counters += [self._counter_of_load(load) for load in background.loads.values()]
        if self._counters:
            self._env.alarm(self._period_ns, self._count)

    def stop(self) -> None:
        """Give back what was taken, and count no more."""
        self._stopping = True
        for link in self._crossed:
            self._fabric.reserve(link, 0)

    def _count(self) -> None:
        if self._stopping:
            return
        self._crossed = dict.fromkeys(self._crossed, 0)
        for count in self._counters:
            count()
        for link, size in self._crossed.items():
            whole = self._fabric.nominal(link)
            steps = size * SECOND * STEPS // (self._period_ns * whole) if whole else 0
            self._fabric.reserve(link, min(steps, STEPS // 2) * whole // STEPS)
        self._period_ns = min(PERIOD_NS, 2 * self._period_ns)
        self._env.alarm(self._period_ns, self._count)

    def _counter(
        self, attachment: SimulatedAttachment, host: tuple[Link, Link], foreground: Foreground, workload: str
    ) -> Callable[[], None]:
        """What adds the bytes of one volume since it was called last to those of the links that they crossed."""
        written = self._recorder.writes(attachment.volume_id)
        reads = foreground.reads.get((workload, attachment.volume_id))
        held = attachment.writes.held
        seen = [0, 0, 0]

        def count() -> None:
            medium, moved = held.pool.medium, held.moved_away
            now = [len(written) * BLOCK, reads.bytes if reads is not None else 0, len(moved or ()) * BLOCK]
            writes, read, first = (new - old if new >= old else new for new, old in zip(now, seen, strict=True))
            seen[:] = now
            if attachment.gate.holding:
                writes = 0
            for link, size in (
                (host[1], writes), (medium.port_in, writes), (medium.disk_write, writes + first),
                (medium.disk_read, read + first), (medium.port_out, read), (host[0], read),
            ):  # fmt: skip
                self._crossed[link] = self._crossed.get(link, 0) + size

        return count

    def _counter_of_load(self, load: BackgroundLoad) -> Callable[[], None]:
        """As `_counter`, of a background load."""
        seen = 0

        def count() -> None:
            nonlocal seen
            load.catch_up()
            for link in load.path:
                self._crossed[link] = self._crossed.get(link, 0) + load.sent_bytes - seen
            seen = load.sent_bytes

        return count


def most_bytes_per_s(scenario: Scenario, workload: Workload) -> float:
    """The bytes a second that a workload moves at most, on all volumes of its group together."""
    group = scenario.volume[workload.volume]
    if workload.rate is not None:
        return group.count * workload.rate * workload.block
    if workload.replay is not None or not workload.think:
        return float("inf")
    return group.count * workload.streams * workload.block * SECOND / workload.think
