"""Cases that theory answers, fair-share splits and waiting times of queues: `python -m benchmarks.analytic`.

Fair shares are exact: capacities divide evenly, so every flow has to end at the very nanosecond. Queues are simulated
with seeds 1, 2, 3, ...; an estimate is the mean over customers, its confidence interval comes from batch means: after a
first batch that is left out because the queue starts empty, the means of 30 batches are taken as independent.

Queues:

* M/D/1 and M/G/1, waiting time of single writes that hosts send to a testbed whose disk has a queue (`disk_queue` of
  the profile), without jitter and with as much as makes services uniform from almost nothing to 2 ms: ρ/(1-ρ) mean
  service times times (1+c²)/2, where c² is the variance of services over their squared mean (Pollaczek and Khinchine);
* M/M/1, waiting time at `DiskQueue` alone, a blocking task each, since no figure of a profile makes services
  exponential: ρ/(1-ρ) mean service times;
* M/M/1 and M/D/1 with processor sharing, time in the system of flows that share a link of the fabric: 1/(1-ρ) mean
  service times, whatever the distribution of sizes.

Service takes 1 ms in the mean; ρ is the load. Ends with status 1 if a fair share is not exact, or an interval of theory
fails at more seeds than 95 % intervals explain.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.flows import in_virtual_time
from harness.runtime import SECOND, Limits
from harness.runtime.virtual import VirtualRuntime
from harness.schedule import random_source
from harness.storage import BLOCK, BLOCKS_PER_GIB
from simulated_backends.disk_queue import DiskQueue
from simulated_backends.fabric import Fabric, Link
from simulated_backends.iscsi.testbed import IscsiTestbed

LOADS = (0.5, 0.8)
BATCHES = 30
BATCH = 1000
"""Customers in a batch: many times what a queue at the highest of the loads takes to forget its state."""

T_95, T_99 = 2.045, 2.756
"""Two-sided quantiles of Student's t with 29 degrees of freedom."""

SERVICE_NS = 1_000_000

_LINK_BYTES_PER_S = 1_000_000_000
_MB_PER_S = 1_000_000

_BLOCK_NS = BLOCK * SECOND // _LINK_BYTES_PER_S
"""What the bytes of one block take of a write's service."""

_ROUND_TRIP_NS = 200_000

_WIDEST_NS = 2 * (SERVICE_NS - _BLOCK_NS)
"""The most jitter that leaves the mean service at `SERVICE_NS`."""


# ---- fair shares ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FairShare:
    """Flows that start at once on links (MB/s); `paths` and `sizes` (MB) one for each flow.

    `ends` are the seconds at which the flows have to end, derived by hand.
    """

    name: str
    capacities: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    ends: tuple[int, ...]

    def simulated_ns(self) -> list[int]:
        """When the fabric ends each flow (ns)."""

        def main(runtime: VirtualRuntime, fabric: Fabric) -> list[int]:
            links = [Link(f"link {n}", capacity * _MB_PER_S) for n, capacity in enumerate(self.capacities)]
            ended: dict[int, int] = {}
            over = runtime.signal("all flows are over")

            def end(number: int) -> None:
                ended[number] = runtime.now()
                if len(ended) == len(self.paths):
                    over.set(None)

            for number, (path, size) in enumerate(zip(self.paths, self.sizes, strict=True)):
                fabric.start([links[n] for n in path], size * _MB_PER_S, partial(end, number))
            over.wait()
            return [ended[number] for number in range(len(self.paths))]

        return in_virtual_time(main)

    def largest_error_ns(self) -> int:
        """The largest distance between an end and where it has to be."""
        return max(abs(a - b * SECOND) for a, b in zip(self.simulated_ns(), self.ends, strict=True))


FAIR_SHARES = (
    # 4 flows at 250 MB/s
    FairShare("four equal flows on one link", (1000,), ((0,),) * 4, (1000,) * 4, (4,) * 4),
    # 3 at 200 until 1 s; 2 at 300 until 2 s; 1 at 600 until 3 s
    FairShare("unequal flows on one link", (600,), ((0,),) * 3, (200, 500, 1100), (1, 2, 3)),
    # the long flow and that on the first link get 300 each, the one on the second link what is left of 900: 600;
    # all end at 2 s
    FairShare("parking lot", (600, 900), ((0, 1), (0,), (1,)), (600, 600, 1200), (2, 2, 2)),
    # the slow link holds its two flows at 100; the third takes 800 of the fast one, and the flow that outlives it stays
    FairShare("bottleneck elsewhere", (1000, 200), ((0, 1), (0, 1), (0,)), (300, 300, 1600), (3, 3, 2)),
)


# ---- queues --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A mean and half the width of its confidence interval."""

    mean: float
    half_width: float

    def holds(self, value: float) -> bool:
        """Whether the interval contains the value."""
        return abs(value - self.mean) <= self.half_width


def batch_means(values: Sequence[float], quantile: float) -> Interval:
    """The interval of the mean from `BATCHES` batches; one more batch at the beginning is left out.

    Raises ValueError if the values don't make that many batches of equal size.
    """
    size, rest = divmod(len(values), BATCHES + 1)
    if size == 0 or rest:
        raise ValueError(f"{len(values)} values can't be parted into {BATCHES + 1} equal batches")
    means = [statistics.fmean(values[n * size : (n + 1) * size]) for n in range(1, BATCHES + 1)]
    return Interval(statistics.fmean(means), quantile * statistics.stdev(means) / math.sqrt(BATCHES))


@dataclass(frozen=True)
class Queue:
    """A queue at a load; `simulate(load, customers, seed)` gives each customer's time, in mean services."""

    name: str
    load: float
    theory: float
    simulate: Callable[[float, int, int], list[float]]

    def estimate(self, batch: int, seed: int, quantile: float = T_95) -> Interval:
        """The interval of the mean time, from batches of `batch` customers."""
        return batch_means(self.simulate(self.load, batch * (BATCHES + 1), seed), quantile)


Draw = Callable[[random.Random], float]
"""Draws a service time with mean 1."""


def _exponential(source: random.Random) -> float:
    return source.expovariate(1.0)


def _constant(source: random.Random) -> float:
    return 1.0


def _gap_ns(source: random.Random, load: float) -> int:
    return round(source.expovariate(load) * SERVICE_NS)


def writes_to_a_disk(jitter_ns: int, load: float, customers: int, seed: int) -> list[float]:
    """Waiting times of single writes from two hosts to a testbed whose disk has a queue, in the order of arrival.

    Services are uniform with that spread (ns). A wait is the latency without the round trip and the mean service.
    """
    arrivals = random_source(seed, "arrivals")
    waits = [0.0] * customers
    figures = {
        "disk_queue": True,
        "service_ns": SERVICE_NS - _BLOCK_NS - jitter_ns // 2,
        "service_jitter_ns": jitter_ns,
        "round_trip_ns": _ROUND_TRIP_NS,
        "disk_write_bytes_per_s": _LINK_BYTES_PER_S,
        "link_bytes_per_s": _LINK_BYTES_PER_S,
    }
    bed = IscsiTestbed(seed, figures)
    runtime = bed.runtime

    def main() -> list[float]:
        backend = bed.backend("primary")
        backend.store.create_volume("volume", 1)
        attachments = [backend.attach("volume", host) for host in ("host-a", "host-b")]

        def write(number: int) -> None:
            began_ns = runtime.now()
            attachments[number % 2].write(number % BLOCKS_PER_GIB, bed.recorder.next_stamp())
            waits[number] = (runtime.now() - began_ns - _ROUND_TRIP_NS) / SERVICE_NS - 1

        for number in range(customers):
            runtime.sleep(_gap_ns(arrivals, load))
            last = runtime.spawn("write", partial(write, number))
        last.wait()  # first come, first served: all others are over by then
        return waits

    try:
        return runtime.run(main, Limits())
    finally:
        bed.close()


def first_come_first_served(draw: Draw, load: float, customers: int, seed: int) -> list[float]:
    """Waiting times at a `DiskQueue`, in the order of arrival."""
    arrivals, services = random_source(seed, "arrivals"), random_source(seed, "services")
    waits = [0.0] * customers

    def main(runtime: VirtualRuntime, fabric: Fabric) -> list[float]:
        disk = DiskQueue(runtime)

        def request(number: int, service_ns: int) -> None:
            waits[number] = disk.serve(service_ns) / SERVICE_NS

        for number in range(customers):
            runtime.sleep(_gap_ns(arrivals, load))
            last = runtime.spawn("request", partial(request, number, round(draw(services) * SERVICE_NS)))
        last.wait()  # first come, first served: all others are over by then
        return waits

    return in_virtual_time(main)


def processor_sharing(draw: Draw, load: float, customers: int, seed: int) -> list[float]:
    """Times from start to end of flows that share one link, in the order of arrival."""
    arrivals, services = random_source(seed, "arrivals"), random_source(seed, "services")
    times = [0.0] * customers
    bytes_per_service = _LINK_BYTES_PER_S * SERVICE_NS // SECOND

    def main(runtime: VirtualRuntime, fabric: Fabric) -> list[float]:
        link = Link("link", _LINK_BYTES_PER_S)
        over = runtime.signal("all flows are over")
        left = customers

        def end(number: int, started_ns: int) -> None:
            nonlocal left
            times[number] = (runtime.now() - started_ns) / SERVICE_NS
            left -= 1
            if left == 0:
                over.set(None)

        for number in range(customers):
            runtime.sleep(_gap_ns(arrivals, load))
            size = round(draw(services) * bytes_per_service)
            fabric.start((link,), size, partial(end, number, runtime.now()))
        over.wait()
        return times

    return in_virtual_time(main)


def queues(load: float) -> list[Queue]:
    """The queues at a load between 0 and 1."""
    wait = load / (1 - load)
    variance = _WIDEST_NS**2 / 12 / SERVICE_NS**2
    return [
        Queue("M/D/1 wait of writes", load, wait / 2, partial(writes_to_a_disk, 0)),
        Queue("M/G/1 wait of writes, uniform", load, wait * (1 + variance) / 2, partial(writes_to_a_disk, _WIDEST_NS)),
        Queue("M/M/1 wait at DiskQueue alone", load, wait, partial(first_come_first_served, _exponential)),
        Queue("M/M/1 sharing, time on the link", load, 1 / (1 - load), partial(processor_sharing, _exponential)),
        Queue("M/D/1 sharing, time on the link", load, 1 / (1 - load), partial(processor_sharing, _constant)),
    ]


# ---- report --------------------------------------------------------------------------------------------------------


def fewest_expected(seeds: int) -> int:
    """How many of so many 95 % intervals have to hold; fewer would come by chance in less than 1 of 1000 runs."""
    chance, held = 0.0, 0
    while True:
        chance += math.comb(seeds, held) * 0.95**held * 0.05 ** (seeds - held)
        if chance >= 0.001:
            return held
        held += 1


def report_lines(seeds: int, batch: int, loads: Sequence[float], failures: list[str]) -> Iterator[str]:
    """The cases of theory as a table; what does not hold is added to `failures`."""
    yield f"{'fair share':36}{'largest error of an end':>24}"
    for case in FAIR_SHARES:
        off_ns = case.largest_error_ns()
        yield f"{case.name:36}{off_ns:21} ns"
        if off_ns:
            failures.append(f"fair share, {case.name}")
    yield ""
    least = fewest_expected(seeds)
    heads = f"{'load':>5}{'theory':>9}{'seed 1, 95 % interval':>24}{'seeds that hold':>17}"
    yield f"{'queue (times in mean services)':36}{heads}"
    for load in loads:
        for queue in queues(load):
            intervals = [queue.estimate(batch, seed) for seed in range(1, seeds + 1)]
            held = sum(interval.holds(queue.theory) for interval in intervals)
            first = intervals[0]
            interval = f"{first.mean:.3f} ± {first.half_width:.3f}"
            yield f"{queue.name:36}{load:5.2f}{queue.theory:9.3f}{interval:>24}{f'{held} of {seeds}':>17}"
            if held < least:
                failures.append(f"{queue.name} at load {load:g}: {held} of {seeds} intervals hold, fewer than {least}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of whoever prints the cases."""
    parser.add_argument("--seeds", type=int, default=10, help="seeds 1 to this for the queues (default 10)")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"customers in each batch (default {BATCH})")


def print_cases(options: argparse.Namespace, failures: list[str]) -> int:
    """Print the cases, and then all failures, those that are given first; returns the exit status."""
    for line in report_lines(options.seeds, options.batch, LOADS, failures):
        print(line, flush=True)
    for failure in failures:
        print(f"MISSED: {failure}")
    return 1 if failures else 0


def main() -> int:
    """Print the cases; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    return print_cases(parser.parse_args(), [])


if __name__ == "__main__":
    raise SystemExit(main())
