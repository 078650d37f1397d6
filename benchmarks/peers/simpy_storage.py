"""The foreground model in plain SimPy: a process for each stream, a Resource for the link and one for the disk."""

from __future__ import annotations

import itertools
import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy


@dataclass(frozen=True)
class StorageFigures:
    """Times in nanoseconds; `streams` writers, each with one write outstanding, on `blocks`."""

    link_ns: int
    round_trip_ns: int
    service_ns: int
    jitter_ns: int
    think_ns: int
    streams: int
    blocks: tuple[int, ...]


def history(
    figures: StorageFigures, sources: list[random.Random], jitter: random.Random, until_ns: int, resources: bool = True
) -> list[Any]:
    """Every write as a list: block, stamp, and place and time of issue and acknowledgement, in the order of issue.

    Link and disk are Resources with room for all streams, or, without `resources`, nothing but the time they take.
    """
    env = simpy.Environment(0)
    link = simpy.Resource(env, figures.streams)
    disk = simpy.Resource(env, figures.streams)
    place, next_stamp = itertools.count(1).__next__, itertools.count(1).__next__
    half, rest = divmod(figures.round_trip_ns, 2)
    content: dict[int, int] = {}
    writes: list[Any] = []

    def stream(blocks: list[int], rng: random.Random) -> Generator[Any, Any, None]:
        while env.now < until_ns:
            block, stamp = rng.choice(blocks), next_stamp()
            write = [block, stamp, place(), env.now, -1, -1]
            writes.append(write)
            delay = int(jitter.random() * figures.jitter_ns)
            if resources:
                with link.request() as turn:
                    yield turn
                    yield env.timeout(half + figures.link_ns)
                with disk.request() as turn:
                    yield turn
                    yield env.timeout(figures.service_ns + delay)
            else:
                yield env.timeout(half + figures.link_ns)
                yield env.timeout(figures.service_ns + delay)
            content[block] = stamp
            yield env.timeout(half + rest)
            write[4:] = [place(), env.now]
            yield env.timeout(1 + int(rng.expovariate(1.0) * figures.think_ns))

    for number, rng in enumerate(sources):
        env.process(stream(list(figures.blocks[number :: figures.streams]), rng))
    env.run()
    return writes
