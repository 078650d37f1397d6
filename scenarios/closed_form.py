"""How long replications and backups take, worked out by hand instead of simulated: what the simulation is held against.

**One job.** A backend's work of D takes its caller T(D), who starts the job, asks for its status at once and then each
time p after the last answer; a call takes a round trip r. The job begins half a round trip after the start and is asked
for at r + r/2, then every p + r. Its end is seen at the next of those instants, and known half a round trip later:

    T(D) = 2 r                          if D <= r, the first answer;
    T(D) = 3 r + p                      if D <= p + 2 r, the second;
    T(D) = D + r + (p + r) / 2          else: on average half an interval passes before it is asked for.

**One transfer.** s bytes over links of capacities b_i, c such transfers side by side with the same path: max-min fair
shares are equal ones, so D = s c / min(b_i).

**Replication of a snapshot of s bytes from A to B**, in the same family:

    native    T_A(setup_A + s c / way), way = min(read_A, port_A, lines between A and B, port_B, write_B)
    fallback  T_A(s c / min(read_A, write_A))                  clone a volume from the snapshot, at A
            + T_A(s c / way)                                   move it
            + T_B(snapshot)                                    take a snapshot at B
            + T_B(control)                                     delete the moved volume; the clone went when it moved

where `snapshot` is the profile's fixed time if snapshots share blocks there and the driver lists `create_snapshot` (the
reference driver takes an unlisted one block by block), else a copy within B; a clone that shares blocks
(`linked_clones`) takes that fixed time too. `setup` is the backend's `replication_setup`, 0 unless a scenario says. So
what decides is the clone against the set-up: native replication is ahead where s c / min(read_A, write_A) and the short
jobs take longer than the set-up does. As s grows it is ahead by the share way / min(read_A, write_A) of its own time,
which is little over slow links. To another family the volume is created at B and
copied through a host with attachments at both ends:

    fallback  T_A(clone) + T_A(0) + T_B(control) + 2 attach + D(read_A, port_A, host, lines, port_B, write_B)
            + T_B(snapshot) + T_B(control) + T_A(control)

T_A(0) being the driver's refusal to move it.

**A backup of s bytes** is cut into n segments; while one is on its way from the compressor, the next one comes to it.
With P = s c / min(plain links, speed of a core c, all cores) and S = (s / ratio) c / min(links of the stored bytes),

    D = P / n + (n - 1) / n max(P, S) + S / n          compressed
    D = P                                              not compressed

where the plain links are the disk and, if the taskflow compresses, A's port and the host's; the rest of the way to the
store carries stored bytes.

**N volumes, c at a time**: N // c rounds of c, then one of the rest.

**Foreground I/O** takes bandwidth from all of this (`scenarios.foreground_share`): what a workload writes a second from
the writing side of its backend's disk and from the way in, what it reads from the reading side and the way out, half of
each at most. That is how often hosts change a volume counts: a clone writes to the disk that hosts write to, native
replication does not.

Faults, other streams, background I/O, replayed logs, copy-on-write beside foreground I/O, closed loops of I/Os so large
that they slow down beside a copy, foreground I/O over the port of the taskflow's own host, volumes that have to be
quiesced and further operations are not covered: `predicted` then has no answer. Nor are closed loops that count at a
disk with a queue (`disk_queue`), which holds them back, or arrivals there that come faster than the disk serves them
beside copies; slower ones wait, but move as much as without a queue.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.compression import Limits, canonical, negotiate
from harness.model import GIB
from harness.runtime import SECOND
from harness.testbed import CodecFigure
from scenarios.backends import POLLS
from scenarios.backup_stream import SEGMENTS
from scenarios.foreground_share import STEPS, most_bytes_per_s
from scenarios.model import Backend, Do, Operation, Publication, Scenario, VolumeGroup, Workload
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.profiles import SHARING_KINDS, Figures, SimulatedProfile, load_profile

TOLERANCE = 0.01
"""By what share of the simulated time a prediction may be off, for volumes from 1 GiB and the default polls."""

_LEAST_POLL_NS = 5_000_000


def predicted(scenario: Scenario, measure: str) -> float | None:
    """The seconds of `completion[operation]` of a scenario without variants; None where no closed form covers it."""
    if len(scenario.operation) != 1 or scenario.stream or scenario.background or scenario.fault:
        return None
    if any(workload.replay is not None for workload in scenario.workload.values()):
        return None
    ((name, operation),) = scenario.operation.items()
    group = scenario.volume.get(operation.volume)
    if measure != f"completion[{name}]" or group is None or operation.times != 1 or operation.at:
        return None
    one = _one_of(scenario, operation, group)
    if one is None:
        return None
    rounds, rest = divmod(group.count, operation.concurrency)
    nanoseconds = rounds * one(operation.concurrency) if rounds else 0.0
    return (nanoseconds + (one(rest) if rest else 0.0)) / SECOND


_OneOf = Callable[[int], float]
"""The nanoseconds of one volume while so many are worked on side by side."""


def _one_of(scenario: Scenario, operation: Operation, group: VolumeGroup) -> _OneOf | None:
    here = Place.of(scenario, group.backend)
    if (
        here.moves_blocks_away
        or here.holds_io_back
        or min(operation.concurrency, group.count) > here.job_slots
        or not _is_reference(scenario, group.backend)
    ):
        return None
    match operation.do:
        case Do.REPLICATE if operation.to is not None and _is_reference(scenario, operation.to):
            there = Place.of(scenario, operation.to)
            if there.holds_io_back:
                return None
            if there.family != here.family:
                if _shares_the_host(scenario):
                    return None
                return lambda c: _through_host(scenario, here, there, group.size, c)
            if here.replicates and there.replicates:
                return lambda c: here.job(here.setup + _across(scenario, here, there, group.size, c))
            return lambda c: _fallback(scenario, here, there, group.size, c)
        case Do.BACKUP_SNAPSHOT | Do.BACKUP if _shares_the_host(scenario):
            return None
        case Do.BACKUP_SNAPSHOT:
            return lambda c: _backup(scenario, operation, here, group.size, c)
        case Do.BACKUP if group.host is None:
            return lambda c: _backup(scenario, operation, here, group.size, c)
        case _:
            return None


@dataclass(frozen=True)
class Place:
    """A backend: bandwidths that bulk transfers have, in bytes a second, times in nanoseconds.

    `io_ns` is what a single I/O takes, `snapshot` and `clone` the fixed times of those that share blocks, None for
    copies. `disk_loads` are the shares of its time for which closed loops and arrivals would each keep a disk busy that
    serves single I/Os one at a time, were no loop held up there: 0 for a disk that serves all at once, and more than 1
    together if it can't keep up.
    `holds_io_back`: foreground I/O that counts moves less than it would alone, due to copies or to a queue.
    """

    name: str
    family: str
    read: float
    write: float
    port_in: float
    port_out: float
    poll: float
    round_trip: float
    io_ns: float
    control: float
    attach: float
    snapshot: float | None
    clone: float | None
    setup: float
    moves_blocks_away: bool
    disk_loads: tuple[float, float]
    holds_io_back: bool
    job_slots: int
    replicates: bool
    techniques: tuple[str, ...]
    cores: int
    codecs: dict[str, CodecFigure]

    @classmethod
    def of(cls, scenario: Scenario, name: str) -> Place:
        """The backend of that name."""
        plan = scenario.backend[name]
        profile = _profile(plan)
        figures = profile.figures
        read, write = plan.read or figures.disk_read_bytes_per_s, plan.write or figures.disk_write_bytes_per_s
        port = plan.port or scenario.link.bandwidth
        published = _publication(scenario, plan)
        listed = "create_snapshot" in (published.stateless_activities or ())
        shares = figures.snapshot_kind in SHARING_KINDS
        driver = scenario.driver.get(plan.driver)
        linked = shares and figures.is_thin and driver is not None and bool(driver.options.get("linked_clones"))
        own = {str(canonical(k)): CodecFigure(float(v.speed), v.ratio) for k, v in scenario.codec.items()}
        largest = max(group.size for group in scenario.volume.values())
        slowest = min(b for b in (scenario.link.bandwidth, plan.port, plan.read, plan.write) if b is not None)
        poll = plan.poll if plan.poll is not None else max(_LEAST_POLL_NS, max(largest, GIB) * SECOND / slowest / POLLS)
        round_trip = figures.round_trip_ns if scenario.link.round_trip is None else scenario.link.round_trip
        io_ns = round_trip + figures.service_ns + figures.service_jitter_ns / 2
        written, fetched = _foreground(scenario, name, io_ns, min(read, write, port))
        loads = _disk_loads(scenario, name, io_ns, round_trip, min(read, write), port) if figures.disk_queue else (0, 0)
        return cls(
            name=name, family=plan.family, read=_left(read, fetched), write=_left(write, written),
            port_in=_left(port, written), port_out=_left(port, fetched), poll=poll, round_trip=round_trip, io_ns=io_ns,
            control=figures.control_ns, attach=figures.attach_ns,
            snapshot=figures.snapshot_ns if shares and listed else None,
            clone=figures.snapshot_ns if linked else None, setup=plan.replication_setup,
            moves_blocks_away=figures.snapshot_kind == "copy-on-write" and written > 0,
            disk_loads=loads,
            holds_io_back=_has_heavy_loops(scenario, name, io_ns, min(read, write, port))
            or (figures.disk_queue and _is_queue_felt(scenario, name, figures, io_ns, min(read, write, port))),
            job_slots=plan.job_slots or figures.job_slots,
            replicates=bool(published.snapshot_replication),
            techniques=published.backup_compression_techniques or (),
            cores=plan.cores, codecs={**profile.codecs, **own},
        )  # fmt: skip

    def job(self, duration_ns: float) -> float:
        """T(D)."""
        if duration_ns <= self.round_trip:
            return 2 * self.round_trip
        if duration_ns <= self.poll + 2 * self.round_trip:
            return 3 * self.round_trip + self.poll
        return duration_ns + self.round_trip + (self.poll + self.round_trip) / 2

    def clone_ns(self, size: float, side_by_side: int) -> float:
        """The D of a volume made from a snapshot."""
        return self.clone if self.clone is not None else _transfer(size, side_by_side, self.read, self.write)

    def snapshot_ns(self, size: float, side_by_side: int) -> float:
        """A snapshot's D."""
        if self.snapshot is not None:
            return self.snapshot
        return _transfer(size, side_by_side, self.read, self.write)


def _has_heavy_loops(scenario: Scenario, backend: str, io_ns: float, bandwidth: float) -> bool:
    """Whether closed loops slow down so much beside a copy that what they leave it is another figure.

    An I/O beside one transfer has half of the bandwidth, so that its bytes take twice as long; that is a share of its
    cycle, and the loop's load, a share of the bandwidth, gets less by it.
    """
    off = []
    for workload in scenario.workload.values():
        group = scenario.volume[workload.volume]
        if group.backend == backend and workload.rate is None and workload.replay is None:
            bytes_ns = workload.block * SECOND / bandwidth
            cycle_ns = workload.think + io_ns + bytes_ns
            load = group.count * workload.streams * bytes_ns / cycle_ns
            off.append(2 * min(load, 1.0) * bytes_ns / cycle_ns)
    return math.fsum(off) > TOLERANCE


def _is_queue_felt(scenario: Scenario, backend: str, figures: Figures, io_ns: float, bandwidth: float) -> bool:
    """Whether a queue at the disk changes what foreground I/O moves: that of closed loops, if together they count, and
    of arrivals that keep the disk busy all the time, with the share of the bandwidth that copies leave to each."""
    loops, busy = [], []
    copies = max(min(each.concurrency, scenario.volume[each.volume].count) for each in scenario.operation.values())
    for workload in scenario.workload.values():
        group = scenario.volume[workload.volume]
        if group.backend == backend and workload.replay is None:
            bytes_ns = workload.block * SECOND / bandwidth
            if workload.rate is None:
                loops.append(group.count * workload.streams * bytes_ns / (workload.think + io_ns + bytes_ns))
            else:
                service_ns = figures.service_ns + figures.service_jitter_ns / 2 + (copies + 1) * bytes_ns
                busy.append(group.count * workload.rate * service_ns / SECOND)
    return math.fsum(loops) >= 1 / STEPS or math.fsum(busy) >= 1


def _shares_the_host(scenario: Scenario) -> bool:
    """Whether foreground I/O that counts crosses the port of the host on which the taskflow runs."""
    here = [w for w in scenario.workload.values() if scenario.volume[w.volume].host == scenario.taskflow.host]
    return math.fsum(most_bytes_per_s(scenario, each) for each in here) >= _host_port(scenario) / STEPS


def _foreground(scenario: Scenario, backend: str, io_ns: float, bandwidth: float) -> tuple[float, float]:
    """What hosts write to and read from a backend, in bytes a second."""
    written = fetched = 0.0
    for workload in scenario.workload.values():
        group = scenario.volume[workload.volume]
        if group.backend != backend or workload.replay is not None:
            continue
        each = mean_rate(workload, io_ns, bandwidth) * group.count * workload.block
        written, fetched = written + each * (1 - workload.read_share), fetched + each * workload.read_share
    return written, fetched


def _disk_loads(
    scenario: Scenario, backend: str, io_ns: float, round_trip: float, disk: float, port: float
) -> tuple[float, float]:
    """See `Place.disk_loads`; `disk` and `port` are bandwidths."""
    loops: list[float] = []
    arrivals: list[float] = []
    for workload in scenario.workload.values():
        group = scenario.volume[workload.volume]
        if group.backend == backend and workload.replay is None:
            busy_ns = io_ns - round_trip + workload.block * SECOND / disk
            load = mean_rate(workload, io_ns, min(disk, port)) * group.count * busy_ns / SECOND
            (loops if workload.rate is None else arrivals).append(load)
    return math.fsum(loops), math.fsum(arrivals)


def mean_rate(workload: Workload, io_ns: float, bandwidth: float) -> float:
    """The I/Os a second of a workload on one volume, of which nobody is held up at the disk; not of a replayed log."""
    cycle_ns = workload.think + io_ns + workload.block * SECOND / bandwidth
    rate = workload.streams * SECOND / cycle_ns if workload.rate is None else workload.rate
    if workload.burst is not None:
        rate *= workload.burst.on / (workload.burst.on + workload.burst.off)
    return rate


def _left(capacity: float, foreground: float) -> float:
    """What foreground I/O leaves of a link."""
    return capacity - min(foreground if foreground >= capacity / STEPS else 0.0, capacity / 2)


def _transfer(size: float, side_by_side: int, *capacities: float) -> float:
    return size * side_by_side * SECOND / min(capacities)


def _lines(scenario: Scenario, here: Place, there: Place) -> list[int]:
    ends = {here.name, there.name}
    return [line.bandwidth for line in scenario.line.values() if set(line.between) == ends]


def _across(scenario: Scenario, here: Place, there: Place, size: float, side_by_side: int) -> float:
    lines = _lines(scenario, here, there)
    return _transfer(size, side_by_side, here.read, here.port_out, *lines, there.port_in, there.write)


def _fallback(scenario: Scenario, here: Place, there: Place, size: float, c: int) -> float:
    clone = here.job(here.clone_ns(size, c))
    move = here.job(_across(scenario, here, there, size, c))
    return clone + move + there.job(there.snapshot_ns(size, c)) + there.job(there.control)


def _through_host(scenario: Scenario, here: Place, there: Place, size: float, c: int) -> float:
    host = _host_port(scenario)
    clone = here.job(here.clone_ns(size, c)) + here.job(0.0)
    copy = _transfer(
        size, c, here.read, here.port_out, host, *_lines(scenario, here, there), there.port_in, there.write
    )
    copy += there.job(there.control) + here.attach + there.attach
    snapshot = there.job(there.snapshot_ns(size, c))
    return clone + copy + snapshot + there.job(there.control) + here.job(here.control)


def _backup(scenario: Scenario, operation: Operation, here: Place, size: float, c: int) -> float:
    limits = Limits(operation.least_ratio, operation.least_throughput)
    decision = negotiate(operation.techniques, here.techniques, here.codecs, limits)
    host, flow = _host_port(scenario), scenario.taskflow
    store = flow.backup_link or scenario.link.bandwidth
    used = decision.taskflow_technique or decision.technique or "none"
    figure = here.codecs.get(used)
    if used == "none" or figure is None:
        return here.job(_transfer(size, c, here.read, here.port_out, host, store))
    by_taskflow = decision.where == "taskflow"
    cores = min(c, flow.cores if by_taskflow else here.cores)
    plain_links, stored_links = [here.read, cores * figure.throughput], [host, store]
    (plain_links if by_taskflow else stored_links).extend([here.port_out, host])
    plain = _transfer(size, c, *plain_links)
    stored = _transfer(size / figure.ratio, c, *stored_links)
    return here.job((plain + (SEGMENTS - 1) * max(plain, stored) + stored) / SEGMENTS)


def _host_port(scenario: Scenario) -> float:
    plan = scenario.host.get(scenario.taskflow.host)
    return plan.port if plan is not None and plan.port is not None else scenario.link.bandwidth


def _profile(plan: Backend) -> SimulatedProfile:
    bed = NfsTestbed if plan.profile == "nfs-sim" else IscsiTestbed
    return load_profile(bed.name, bed.protocol_keys, plan.figures)


def _is_reference(scenario: Scenario, backend: str) -> bool:
    plan = scenario.driver.get(scenario.backend[backend].driver)
    return plan is None or plan.target == "reference"


def _publication(scenario: Scenario, plan: Backend) -> Publication:
    driver = scenario.driver.get(plan.driver)
    if driver is None or driver.publication is None:
        return Publication()
    return driver.publication
