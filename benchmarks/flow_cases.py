"""The flows that fabric and SimGrid carry alike: 40 uplinks of 25 Gb/s, 8 targets of 40 Gb/s, one core of 400 Gb/s."""

from __future__ import annotations

import random
from dataclasses import dataclass

GIGABIT = 125_000_000
UPLINKS, TARGETS = 40, 8
UPLINK, TARGET, CORE = 25 * GIGABIT, 40 * GIGABIT, 400 * GIGABIT


@dataclass(frozen=True)
class FlowCase:
    """A transfer: when it starts (ns), from which uplink to which target, bytes, and the capacity of its own link."""

    start_ns: int
    uplink: int
    target: int
    size: int
    own: int


def flow_cases(count: int, paths: int, seed: int = 7) -> list[FlowCase]:
    """`count` flows over that many distinct paths, started within a second, ascending; 0 paths: each has its own."""
    rng = random.Random(seed)
    cases = []
    for _ in range(count):
        uplink, target = rng.randrange(UPLINKS), rng.randrange(TARGETS)
        if paths:
            uplink, target = divmod((uplink * TARGETS + target) % paths, TARGETS)
        size, own = rng.randrange(1 << 30, 16 << 30), rng.randrange(GIGABIT, 20 * GIGABIT)
        cases.append(FlowCase(rng.randrange(10**9), uplink, target, size, own))
    return sorted(cases, key=lambda case: case.start_ns)
