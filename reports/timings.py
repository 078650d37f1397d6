"""Whether methods take longer or shorter than in an earlier run, with a confidence interval.

Only virtual time is compared: wall time says more about the machine than about the driver. For each method on each
testbed, called and started as an activity apart, every check that ran in both runs gives one pair: the means of how
long the method's invocations took in it. The checks put a method into different circumstances (load, size, faults),
so they differ more among themselves than between runs; therefore the logarithm of the ratio new/old is taken pair by
pair, and Student's t gives the interval of its mean. The level is 95 % for all timings of a driver together
(Bonferroni: each interval is at 1 - 0.05/m for m timings). A timing has changed if its interval does not contain 1
and its ratio is off by more than 1 %. A change in few of many checks widens the interval as well as it moves it, and
may go untold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.results import CheckResult

FAMILY_ERROR = 0.05
"""The probability that any timing of a driver is called changed though none is."""
LEAST_PAIRS = 5
"""With fewer checks in common a method's timing is not compared."""
LEAST_CHANGE = 0.01
"""Relative changes below this are not told, however certain."""


@dataclass(frozen=True)
class Timing:
    """How long a method takes in a new run relative to an old one: the ratio, with its confidence interval."""

    testbed: str
    method: str
    pairs: int
    ratio: float
    low: float
    high: float

    @property
    def changed(self) -> bool:
        """Whether the ratio left the interval around 1."""
        return not self.low <= 1.0 <= self.high and abs(self.ratio - 1.0) > LEAST_CHANGE


def compare_timings(old: Iterable[CheckResult], new: Iterable[CheckResult]) -> list[Timing]:
    """The timing of each method on each testbed that enough checks of both runs have in common."""
    before, after = _means(old), _means(new)
    samples: dict[tuple[str, str], list[float]] = {}
    for key in sorted(before.keys() & after.keys()):
        testbed, method, _ = key
        if before[key] > 0 and after[key] > 0:
            samples.setdefault((testbed, method), []).append(math.log(after[key] / before[key]))
    enough = {key: ratios for key, ratios in samples.items() if len(ratios) >= LEAST_PAIRS}
    return [_timing(*key, ratios, FAMILY_ERROR / len(enough)) for key, ratios in enough.items()]


def _means(checks: Iterable[CheckResult]) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], list[int]] = {}
    for check in checks:
        for method, durations in check.durations_ns.items():
            found.setdefault((check.testbed, method, check.check), []).extend(durations)
    return {key: math.fsum(durations) / len(durations) for key, durations in found.items() if durations}


def _timing(testbed: str, method: str, logs: list[float], error: float) -> Timing:
    count = len(logs)
    mean = math.fsum(logs) / count
    variance = math.fsum((each - mean) ** 2 for each in logs) / (count - 1)
    half = student_t(1.0 - error / 2.0, count - 1) * math.sqrt(variance / count)
    return Timing(testbed, method, count, math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution for a probability above one half, by bisection of its exact sum.

    The sum for whole degrees of freedom is 26.7.3 and 26.7.4 of Abramowitz and Stegun.
    """
    low, high = 0.0, 1.0
    while _t_probability(high, freedom) < probability:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if _t_probability(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def _t_probability(t: float, freedom: int) -> float:
    """The probability of a value up to `t` >= 0."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    terms = [term] if freedom > 1 else []
    for number in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (number - 1) / number
        terms.append(term)
    total = sine * math.fsum(terms)
    within = 2.0 / math.pi * (angle + total) if odd else total
    return 0.5 + within / 2.0
