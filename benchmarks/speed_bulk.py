"""1 TiB over a shared 10 Gb/s link: a flow against textbook SimPy in chunks, and how far the finish times are apart."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import simpy

from benchmarks.measure import Row, cpu, in_turns
from harness.runtime.agenda import Agenda
from simulated_backends.fabric import Fabric, Link

BYTES_PER_S = 1_250_000_000
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
START_NS = 10_000_300
"""When the second transfer joins the first one on the link."""
PHASES_NS = tuple(START_NS + n * 5_243 for n in range(21))
"""The same, over twice the time that a chunk of 64 KiB takes: how far the finish times are apart depends on it."""


def as_flows(size: int, second: int, start_ns: int = START_NS) -> tuple[float, float, int]:
    """Finish times (s) of both transfers, and the number of events."""
    env = Agenda()
    fabric = Fabric(env)
    link = Link("10 Gb/s", BYTES_PER_S)
    ends = [0, 0]

    def end(which: int) -> None:
        ends[which] = int(env.now)

    fabric.start([link], size, lambda: end(0))
    env.alarm(start_ns, lambda: fabric.start([link], second, lambda: end(1)) and None)  # type: ignore[arg-type]
    events = 0
    while env.next_at() is not None:
        env.step()
        events += 1
    return ends[0] / 1e9, ends[1] / 1e9, events


def as_chunks(size: int, second: int, chunk: int, start_ns: int = START_NS) -> tuple[float, float]:
    """The same with a process for each transfer, which asks for the link chunk by chunk."""
    env = simpy.Environment()
    link = simpy.Resource(env, 1)
    ends = [0.0, 0.0]

    def transfer(which: int, left: int, after: float) -> Generator[Any, Any, None]:
        yield env.timeout(after)
        while left > 0:
            part = min(chunk, left)
            with link.request() as turn:
                yield turn
                yield env.timeout(part / BYTES_PER_S)
            left -= part
        ends[which] = env.now

    env.process(transfer(0, size, 0.0))
    env.process(transfer(1, second, start_ns / 1e9))
    env.run()
    return ends[0], ends[1]


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    size, second = (GIB, 64 * MIB) if tiny else (TIB, 64 * GIB)
    repeat = 20 if tiny else 200  # a flow is too short to be measured alone

    def ours() -> float:
        return cpu(lambda: [as_flows(size, second) for _ in range(repeat)])[0] / repeat

    here, there, ratio = in_turns(min(runs, 3), ours, lambda: cpu(lambda: as_chunks(size, second, MIB))[0])
    few, many = as_flows(size // 1024, second // 1024)[2], as_flows(size, second)[2]
    apart = abs(as_flows(size, second)[0] / as_chunks(size, second, MIB)[0] - 1)
    yield Row(
        f"{size // GIB:,} GiB over a shared 10 Gb/s link",
        f"{here * 1e6:.0f} us",
        f"SimPy {there:.2f} s",
        f"{ratio:,.0f} x",
        ">= 10,000 x",
        ratio >= 10_000 and few == many,
        f"{many} events, {few} for a 1024th of the bytes; finish of the whole {apart:.1e} from 1 MiB chunks, relative",
    )
    sizes = (64 * KIB, MIB, 16 * MIB, 64 * MIB, 256 * MIB, GIB)
    errors = {short: _apart(short, tiny) for short in sizes[: 4 if tiny else None]}
    worst = max(error for short, error in errors.items() if short >= 64 * MIB)
    small = ", ".join(f"{short // KIB:,} KiB {errors[short]:.2%}" for short in sizes[:3])
    yield Row(
        "duration beside another transfer, 64 MiB and more",
        f"{worst:.3%} apart",
        "64 KiB chunks",
        target="<= 0.1 %",
        met=worst <= 0.001,
        note=f"the worst of {len(_phases_ns(MIB, tiny))} phases, of {len(_phases_ns(GIB, tiny))} from 256 MiB on; "
        f"smaller ones: {small}; foreground I/O (single blocks) is no flow",
    )


def _phases_ns(short: int, tiny: bool) -> tuple[int, ...]:
    """The starts that are tried; few for long transfers, whose many chunks take long and are the less of the whole."""
    return PHASES_NS[:: 10 if tiny or short >= 256 * MIB else 1]


def _apart(short: int, tiny: bool) -> float:
    """How far (relative) the durations of a transfer as a flow and in chunks are apart at most, over its starts."""
    size, worst = 4 * short + GIB // 8, 0.0
    for start_ns in _phases_ns(short, tiny):
        flow, chunks = as_flows(size, short, start_ns)[1], as_chunks(size, short, 64 * KIB, start_ns)[1]
        worst = max(worst, abs((flow - start_ns / 1e9) / (chunks - start_ns / 1e9) - 1))
    return worst
