"""Foreground I/O of a scenario, and bulk streams of others.

Plain workloads (writes of one block, uniformly spread, in closed loops) are the attachment's own loads, which work many
writes out at once. The others are carried out I/O by I/O here. No two I/Os to one block are ever outstanding.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.recorder import UNACKNOWLEDGED
from harness.runtime import SECOND, Task
from harness.schedule import random_source
from harness.storage import BLOCK
from harness.testbed import Load, LoadSpec
from scenarios.backends import Backends
from scenarios.deployment import Deployment
from scenarios.fio_log import LoggedIo, aligned, read_fio_log
from scenarios.model import Stream, Workload
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.fabric import Link

_MOST_OUTSTANDING = 4096
"""Of a workload that arrives whatever happens, so many I/Os wait at most on one volume; more are put off."""


def _column() -> array[int]:
    return array("q")


@dataclass
class IoLog:
    """The reads or the writes of one volume, one row for each, whatever its size, in the order of issue.

    When each was issued and when it was answered (ns; `UNACKNOWLEDGED` if never), and its bytes.
    """

    issued_ns: array[int] = field(default_factory=_column)
    answered_ns: array[int] = field(default_factory=_column)
    sizes: array[int] = field(default_factory=_column)
    bytes: int = 0
    """All sizes together."""

    def issue(self, now_ns: int, size: int) -> int:
        """Note an I/O of `size` bytes that is issued now; returns its row."""
        self.issued_ns.append(now_ns)
        self.answered_ns.append(UNACKNOWLEDGED)
        self.sizes.append(size)
        self.bytes += size
        return len(self.sizes) - 1


class Foreground:
    """All foreground workloads of a run.

    `reads` and `writes` hold their logs by workload and volume; plain workloads have none, as the recorder has a row
    for each of their writes.
    """

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self._deployment = deployment
        self._runtime = deployment.runtime
        self._seed = seed
        self._loads: list[Load] = []
        self.reads: dict[tuple[str, str], IoLog] = {}
        self.writes: dict[tuple[str, str], IoLog] = {}

    def start(self) -> None:
        """Start every workload on every volume of its group."""
        for name, plan in self._deployment.scenario.workload.items():
            size = self._deployment.scenario.volume[plan.volume].size
            log = () if plan.replay is None else read_fio_log(plan.replay)
            for volume in self._deployment.volumes_of(plan.volume):
                attachment = self._deployment.attachments[volume]
                assert isinstance(attachment, SimulatedAttachment)
                blocks = range(0, (plan.area or size) // BLOCK - plan.block // BLOCK + 1, plan.block // BLOCK)
                if _is_plain(plan):
                    spec = LoadSpec(_spread(blocks, plan.streams), plan.streams, plan.think)
                    self._loads.append(attachment.load(spec))
                    continue
                reads = self.reads[name, volume] = IoLog()
                writes = self.writes[name, volume] = IoLog()
                source = random_source(self._seed, "workload", name, volume)
                logs = (reads, writes)
                self._loads.append(_MixedLoad(self._deployment, attachment, plan, blocks, log, logs, source))

    def stop(self) -> None:
        """Stop after the outstanding I/Os."""
        for load in self._loads:
            load.stop()


def _is_plain(plan: Workload) -> bool:
    special = plan.rate is not None or plan.replay or plan.locality or plan.burst or plan.read_share
    return not special and plan.block == BLOCK


_WORKING_SET = 4096


def _spread(blocks: range, streams: int) -> tuple[int, ...]:
    """Blocks spread evenly over an area: enough that it does not matter, and no list of millions."""
    step = max(1, len(blocks) // max(_WORKING_SET, streams))
    return tuple(blocks[::step])


class _MixedLoad:
    """A workload on one attachment, I/O by I/O; implements `harness.testbed.Load`."""

    def __init__(
        self,
        deployment: Deployment,
        attachment: SimulatedAttachment,
        plan: Workload,
        blocks: range,
        replay: Sequence[LoggedIo],
        logs: tuple[IoLog, IoLog],
        source: random.Random,
    ) -> None:
        self._runtime = deployment.runtime
        self._recorder = deployment.recorder
        self._attachment = attachment
        self._plan = plan
        self._blocks = blocks
        self._hot = max(1, int(len(blocks) * plan.locality.area)) if plan.locality else len(blocks)
        self._reads, self._writes = logs
        self._random = source
        self._stopping = False
        self._busy: set[int] = set()
        self._began_ns = self._runtime.now()
        self._arrivals: list[Task[None]] = []
        self._outstanding = 0
        name = f"workload on {attachment.volume_id}"
        bodies: list[Callable[[], None]] = [self._closed_loop] * min(plan.streams, len(blocks))
        if plan.replay is not None:
            size = deployment.scenario.volume[plan.volume].size
            bodies = [lambda: self._replay(replay, size)]
        elif plan.rate is not None:
            bodies = [self._open_loop]
        self._tasks = [self._runtime.spawn(name, body) for body in bodies]

    def stop(self, within_ns: int | None = None) -> None:
        """See `harness.testbed.Load.stop`."""
        self._stopping = True
        for task in self._tasks:
            task.wait(within_ns)
        for task in self._arrivals:
            task.wait(within_ns)

    # ---- when ------------------------------------------------------------------------------------------------------

    def _closed_loop(self) -> None:
        while not self._stopping:
            self._await_burst()
            self._one(self._draw())
            if self._plan.think:
                self._runtime.sleep(1 + int(self._random.expovariate(1.0) * self._plan.think))

    def _open_loop(self) -> None:
        assert self._plan.rate is not None
        gap_ns = SECOND / self._plan.rate
        while True:
            self._runtime.sleep(1 + int(self._random.expovariate(1.0) * gap_ns))
            if self._stopping:
                return
            self._await_burst()
            self._await_room()
            self._arrive(self._draw())

    def _replay(self, log: Sequence[LoggedIo], size: int) -> None:
        for io in log:
            wait_ns = self._began_ns + io.at_ns - self._runtime.now()
            if wait_ns > 0:
                self._runtime.sleep(wait_ns)
            if self._stopping:
                return
            first, count = aligned(io, size)
            while any(block in self._busy for block in range(first, first + count)):
                self._runtime.sleep(100_000)  # the log's own I/O to these blocks is still under way
            self._await_room()
            self._arrive((io.writes, first, count))

    def _arrive(self, io: tuple[bool, int, int]) -> None:
        self._busy.update(range(io[1], io[1] + io[2]))
        self._outstanding += 1
        if len(self._arrivals) > 2 * _MOST_OUTSTANDING:
            self._arrivals = [task for task in self._arrivals if not task.is_over]

        def body() -> None:
            try:
                self._one(io)
            finally:
                self._outstanding -= 1

        self._arrivals.append(self._runtime.spawn("an I/O", body))

    def _await_room(self) -> None:
        while self._outstanding >= min(_MOST_OUTSTANDING, len(self._blocks)):
            self._runtime.sleep(1_000_000)

    def _await_burst(self) -> None:
        burst = self._plan.burst
        if burst is not None:
            into_ns = (self._runtime.now() - self._began_ns) % (burst.on + burst.off)
            if into_ns >= burst.on:
                self._runtime.sleep(burst.on + burst.off - into_ns)

    # ---- what ------------------------------------------------------------------------------------------------------

    def _draw(self) -> tuple[bool, int, int]:
        """Whether to write, and where: the first block and how many; nobody is at these blocks.

        There always are some, as fewer I/Os are outstanding than there are places. Where a locality's share of them is
        full, the I/O goes anywhere.
        """
        plan, draw = self._plan, self._random
        writes = draw.random() >= plan.read_share
        count = plan.block // BLOCK
        everywhere = range(len(self._blocks))
        while True:
            area = everywhere
            if plan.locality is not None and self._hot < len(everywhere):
                hot = draw.random() < plan.locality.accesses
                area = range(self._hot) if hot else range(self._hot, len(everywhere))
                if self._is_full(area, count):
                    area = everywhere
            first = self._blocks[draw.randrange(area.start, area.stop)]
            if first not in self._busy:
                return writes, first, count

    def _is_full(self, area: range, count: int) -> bool:
        """Whether I/Os, of so many blocks each, are outstanding at all these places."""
        return len(area) * count <= len(self._busy) and all(self._blocks[place] in self._busy for place in area)

    def _one(self, io: tuple[bool, int, int]) -> None:
        writes, first, count = io
        blocks = range(first, first + count)
        self._busy.update(blocks)
        log = self._writes if writes else self._reads
        row = log.issue(self._runtime.now(), count * BLOCK)
        try:
            if writes:
                self._attachment.write(first, self._recorder.draw_stamps(count), count)
            else:
                self._attachment.look(first * BLOCK, count * BLOCK)
            log.answered_ns[row] = self._runtime.now()
        finally:
            self._busy.difference_update(blocks)


class Streams:
    """The bulk I/O of others: flows between a host and a backend, each capped at its rate."""

    _PIECE_S = 1

    def __init__(self, backends: Backends, plans: dict[str, Stream]) -> None:
        self._backends = backends
        self._runtime = backends.world.clock
        self._stopping = False
        for name, plan in plans.items():
            self._runtime.spawn(f"stream {name}", lambda n=name, p=plan: self._run(n, p))  # type: ignore[misc]

    def stop(self) -> None:
        """Let the streams end with the pieces that are under way."""
        self._stopping = True

    def _run(self, name: str, plan: Stream) -> None:
        if plan.at:
            self._runtime.sleep(plan.at)
        until_ns = None if plan.lasts is None else self._runtime.now() + plan.lasts
        cap = Link(f"rate of stream {name}", plan.rate)
        path = (*self._backends.path_between(plan.host, plan.backend, plan.direction), cap)
        for size in self._pieces(plan, until_ns):
            arrived = self._runtime.signal(f"next piece of stream {name}")
            self._backends.fabric.start(path, size, lambda a=arrived: a.set(None))  # type: ignore[misc]
            arrived.wait()

    def _pieces(self, plan: Stream, until_ns: int | None) -> Iterator[int]:
        while not self._stopping:
            left_ns = SECOND * self._PIECE_S
            if until_ns is not None:
                left_ns = min(left_ns, until_ns - self._runtime.now())
            if left_ns <= 0:
                return
            yield max(1, plan.rate * left_ns // SECOND)
