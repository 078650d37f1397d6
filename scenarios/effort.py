"""How long a run will be, before it is made: simulated time, and foreground I/Os, of which a scenario allows so many.

An estimate, for a run in which nothing fails. Simulated time is by the closed form where there is one, else the bytes
of each operation over the slowest part of its way. I/Os are those of every workload over that time, and no more than a
disk that serves one I/O at a time can take; closed loops have what arrivals leave of it. What else takes the simulator
as long as I/Os do is counted in I/Os: `IOS_OF_OPERATION` for each operation on each volume, `IOS_OF_VOLUME` for each
volume, one for each second of a stream, one for each `BACKGROUND_IOS` background I/Os; an I/O of a workload that is
larger than `IO_BYTES` counts once for each so many bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.runtime import SECOND
from scenarios.closed_form import Place, mean_rate, predicted
from scenarios.fio_log import read_fio_log
from scenarios.model import AS_IT_STANDS, Do, Operation, Scenario, Workload
from scenarios.parsing import ScenarioError
from scenarios.quantities import rate_text, time_text
from scenarios.vary import variant_of

IOS_OF_OPERATION = 200
IOS_OF_VOLUME = 10
IO_BYTES = 64 << 10
BACKGROUND_IOS = 50

_LEAST_SHARE = 0.1
"""Of a disk's time closed loops are expected to get at least this share, however much arrives."""

_NO_BYTES = (Do.CREATE_SNAPSHOT, Do.EXTEND, Do.DELETE)


@dataclass(frozen=True)
class Part:
    """What one table of a scenario contributes: `ios` I/Os, which `key` and its `value` decide most of."""

    key: str
    value: str
    ios: float
    remedy: str


@dataclass(frozen=True)
class Effort:
    """How long a run is expected to be: nanoseconds of simulated time, and I/Os by what they are of."""

    simulated_ns: int
    parts: tuple[Part, ...]

    @property
    def ios(self) -> float:
        """All I/Os."""
        return math.fsum(part.ios for part in self.parts)


def check_effort(scenario: Scenario) -> None:
    """As `check_effort_of`, for every variant of a scenario."""
    for variant in scenario.variants:
        check_effort_of(variant_of(scenario, variant), variant)


def check_effort_of(plan: Scenario, variant: str) -> None:
    """Raises `ScenarioError` if a scenario without variants is expected to have more I/Os than its `most_ios`.

    `variant` is what it was, for the message. Raises `FioLogError` for a log that can't be read.
    """
    effort, most = effort_of(plan), plan.scenario.most_ios
    if effort.ios <= most:
        return
    worst = max(effort.parts, key=lambda part: part.ios)
    how_many = f"a run of about {effort.simulated_ns / SECOND:,.4g} s would have about {effort.ios:,.2g} I/Os"
    where = "" if variant == AS_IT_STANDS else f"in variant {variant} "
    limit = f"more than scenario.most_ios, {most:,}; {worst.remedy}, or raise scenario.most_ios"
    raise ScenarioError(plan.name, [f"{worst.key} is {worst.value}: {where}{how_many}, {limit}"])


def effort_of(plan: Scenario) -> Effort:
    """The effort of a scenario without variants."""
    simulated_ns = _simulated_ns(plan)
    return Effort(simulated_ns, tuple(_parts(plan, simulated_ns / SECOND)))


def _parts(plan: Scenario, seconds: float) -> Iterator[Part]:
    for name, workload in plan.workload.items():
        yield _of_workload(plan, name, workload, seconds)
    for name, operation in plan.operation.items():
        path, volumes = f"operation.{name}", plan.volume[operation.volume].count
        ios = float(operation.times * volumes * IOS_OF_OPERATION)
        if operation.times > volumes:
            yield Part(f"{path}.times", str(operation.times), ios, "repeat it less often")
        else:
            yield Part(f"volume.{operation.volume}.count", str(volumes), ios, "have fewer volumes")
    for name, group in plan.volume.items():
        ios = float(group.count * IOS_OF_VOLUME)
        yield Part(f"volume.{name}.count", str(group.count), ios, "have fewer volumes")
    for name, stream in plan.stream.items():
        lasts = seconds if stream.lasts is None else stream.lasts / SECOND
        yield Part(f"stream.{name}.rate", f"{stream.rate} B/s", min(lasts, seconds), "let operations take less time")
    for name, load in plan.background.items():
        ios = load.rate * seconds / BACKGROUND_IOS
        yield Part(f"background.{name}.rate", rate_text(load.rate), ios, "lower the rate")


def _of_workload(plan: Scenario, name: str, workload: Workload, seconds: float) -> Part:
    group = plan.volume[workload.volume]
    path, each = f"workload.{name}", max(1.0, workload.block / IO_BYTES)
    if workload.replay is not None:
        sizes = [io.length for io in read_fio_log(workload.replay) if io.at_ns <= seconds * SECOND]
        ios = group.count * math.fsum(max(1.0, size / IO_BYTES) for size in sizes)
        return Part(f"{path}.replay", repr(workload.replay), ios, "replay a part of it, or on fewer volumes")
    place = Place.of(plan, group.backend)
    rate = mean_rate(workload, place.io_ns, min(place.read, place.write, place.port_in))
    ios = group.count * rate * seconds * each
    loops, arrivals = place.disk_loads
    if workload.rate is not None:
        ios /= max(1.0, arrivals)
        value = f"{rate_text(workload.rate)} on {group.count:,} volumes"
        return Part(f"{path}.rate", value, ios, "lower the rate, or have fewer volumes")
    ios /= max(1.0, loops / max(_LEAST_SHARE, 1 - arrivals))
    value = f"{workload.streams} with a think of {time_text(workload.think)} on {group.count:,} volumes"
    return Part(f"{path}.streams", value, ios, "think longer, or have fewer streams or volumes")


def _simulated_ns(plan: Scenario) -> int:
    """From the scenario's beginning to its end; no longer than its horizon."""
    ends: dict[str, float] = {}
    while len(ends) < len(plan.operation):  # an operation may stand before the one that it follows
        for name, operation in plan.operation.items():
            if name not in ends and (operation.after is None or operation.after in ends):
                begin = operation.at + (ends[operation.after] if operation.after is not None else 0.0)
                last = begin + (operation.times - 1) * (operation.every or 0)
                ends[name] = max(last, begin) + _once_ns(plan, name, operation)
    end = max(ends.values())
    for fault in plan.fault.values():
        if fault.at is not None and fault.at <= end:
            end = max(end, fault.at + fault.lasts)
    return int(min(end + plan.scenario.settle, plan.scenario.horizon))


def _once_ns(plan: Scenario, name: str, operation: Operation) -> float:
    only: Mapping[str, Operation] = {name: operation.model_copy(update={"times": 1, "at": 0, "after": None})}
    alone = plan.model_copy(update={"operation": only, "stream": {}, "background": {}, "fault": {}})
    known = predicted(alone, f"completion[{name}]")
    if known is not None:
        return known * SECOND
    group = plan.volume[operation.volume]
    if operation.do in _NO_BYTES:
        return 0.0
    here = Place.of(plan, group.backend)
    ends = [here.read] if operation.to is None else [here.read, here.port_out]
    if operation.to is not None:
        there = Place.of(plan, operation.to)
        ends += [there.port_in, there.write]
    return group.count * group.size * SECOND / min(ends)
