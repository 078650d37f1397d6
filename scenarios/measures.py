"""What a run is measured by: from its record and its meters to named figures. `measure_names` says what each means."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.recorder import UNACKNOWLEDGED
from harness.runtime import SECOND
from harness.storage import BLOCK
from harness.study_results import Measure, QuiesceWindow
from scenarios.measure_names import MEASURES
from scenarios.model import Do, Practice
from scenarios.operations import Course
from scenarios.workloads import IoLog
from scenarios.world import World

Nanoseconds = NDArray[np.int64]


class Ios(NamedTuple):
    """I/Os of one kind: when each was issued and over (ns), in the order of issue."""

    issued: Nanoseconds
    over: Nanoseconds

    @property
    def latency(self) -> Nanoseconds:
        """How long each took (ns)."""
        return self.over - self.issued


def measure(world: World) -> tuple[tuple[Measure, ...], tuple[str, ...]]:
    """Every measure of a run that is over, and a sentence for each volume for which an operation failed."""
    kept = set(world.scenario.scenario.measures) or set(MEASURES)
    found: list[Measure] = []
    for part in (_operations, _links, _quiesces, _latencies, _background, _losses):
        for name, of, value in part(world):
            if name in kept:
                number = None if value is None or math.isnan(value) else float(value)
                found.append(Measure(name=name, of=of, unit=MEASURES[name].unit, value=number))
    failures = [
        f"operation {course.name}, {item.volume}: {item.error}"
        for course in world.timetable.courses.values()
        for item in course.items
        if item.error
    ]
    return tuple(found), tuple(failures)


_Figures = Iterable[tuple[str, str, float | None]]


def _operations(world: World) -> _Figures:
    for name, course in world.timetable.courses.items():
        failed = [item for item in course.items if item.error]
        times = [item.ended_ns - item.began_ns for item in course.items if item.is_done and item.began_ns is not None]  # type: ignore[operator]
        complete = course.ended_ns is not None and not failed
        yield "completion", name, _seconds(course.ended_ns - course.began_ns[0]) if complete else None  # type: ignore[operator]
        yield "volume_time", name, _seconds(sum(times)) / len(times) if times else None
        yield "volume_time_longest", name, _seconds(max(times)) if times else None
        yield "done", name, len(times)
        yield "failed", name, len(failed)
        if course.plan.practice is Practice.CINDER:
            yield "refusals", name, sum(item.refusals for item in course.items)
        if course.plan.deadline is not None:
            yield "late", name, _late(course, course.plan.deadline)
        if course.plan.do in (Do.BACKUP, Do.BACKUP_SNAPSHOT):
            stores = [world.deployment.stored.get(item.product) for item in course.items if item.is_done]
            yield "stored", name, sum(store.stored for store in stores if store is not None)
    ends = [course.ended_ns for course in world.timetable.courses.values() if course.ended_ns is not None]
    yield "end", "", _seconds(max(ends) - world.zero_ns) if ends else None


def _late(course: Course, deadline_ns: int) -> int:
    """How many volumes were not done so long after the beginning of their round."""
    late = 0
    for item in course.items:
        due_ns = course.began_ns[item.number] + deadline_ns
        late += not item.is_done or item.ended_ns is None or item.ended_ns > due_ns
    return late


def _links(world: World) -> _Figures:
    crossed = dict.fromkeys(world.backends.link_names(), 0)
    crossed.update({link.name: size for link, size in world.backends.fabric.crossed().items()})
    for link, size in foreground_bytes(world).items():
        crossed[link] = crossed.get(link, 0) + size
    for load in world.background.loads.values():
        for part in load.path:
            crossed[part.name] = crossed.get(part.name, 0) + load.sent_bytes
    for name in sorted(crossed):
        if not name.startswith(("cpu of ", "rate of ", "way of ")):
            yield "link_bytes", name, crossed[name]


def foreground_bytes(world: World) -> dict[str, int]:
    """The bytes of foreground I/O over each link, by its name; a volume that moves takes its I/O along."""
    total: dict[str, int] = {}
    moves: dict[str, list[tuple[int, str]]] = {}
    for event in world.deployment.recorder.find("volume.cutover"):
        moves.setdefault(event.fields["volume"], []).append((event.at_ns, event.fields["destination"]))
    hosts = {name: group.host for name, group in world.scenario.volume.items()}
    for workload, plan in world.scenario.workload.items():
        host = hosts[plan.volume] or ""
        for volume in world.deployment.volumes_of(plan.volume):
            place, since_ns = world.scenario.volume[plan.volume].backend, 0
            written = world.deployment.recorder.writes(volume)
            writes = np.frombuffer(written.issued_ns, np.int64) if len(written) else np.empty(0, np.int64)
            log = world.foreground.reads.get((workload, volume)) or IoLog()
            reads, sizes = np.array(log.issued_ns, np.int64), np.array(log.sizes, np.int64)
            for until_ns, there in [*moves.get(volume, []), (world.end_ns, "")]:
                size = int(((writes >= since_ns) & (writes < until_ns)).sum()) * BLOCK
                for link in (f"{host} port out", f"{place} port in", f"{place} disk write"):
                    total[link] = total.get(link, 0) + size
                size = int(sizes[(reads >= since_ns) & (reads < until_ns)].sum())
                for link in (f"{place} disk read", f"{place} port out", f"{host} port in"):
                    total[link] = total.get(link, 0) + size
                place, since_ns = there, until_ns
    return total


def _quiesces(world: World) -> _Figures:
    lengths = [window.end_ns - window.start_ns for window in quiesce_windows(world)]
    yield "quiesce_count", "", len(lengths)
    yield "quiesce_total", "", _seconds(sum(lengths))
    yield "quiesce_longest", "", _seconds(max(lengths, default=0))


def quiesce_windows(world: World) -> list[QuiesceWindow]:
    """The times in which hosts held a volume's writes, overlapping holds as one, in the order of their beginnings."""
    windows: list[QuiesceWindow] = []
    holding: dict[str, dict[tuple[str, str], None]] = {}
    since: dict[str, int] = {}
    for event in world.deployment.recorder.events:
        if not event.kind.startswith("gate.") or event.kind == "gate.quiesced":
            continue
        volume, key = event.fields["volume"], (event.fields["host"], event.fields["owner"])
        holders = holding.setdefault(volume, {})
        if event.kind == "gate.hold":
            if not holders:
                since[volume] = event.at_ns
            holders[key] = None
        elif key in holders:
            del holders[key]
            if not holders:
                windows.append(QuiesceWindow(volume=volume, start_ns=since.pop(volume), end_ns=event.at_ns))
    for volume, start_ns in since.items():
        windows.append(QuiesceWindow(volume=volume, start_ns=start_ns, end_ns=world.end_ns))
    return sorted(windows, key=lambda window: (window.start_ns, window.volume))


def _latencies(world: World) -> _Figures:
    for name in world.scenario.workload:
        writes, reads = writes_of(world, name), reads_of(world, name)
        for kind, ios in (("write", writes), ("read", reads)):
            if len(ios.issued):
                ordered = np.sort(ios.latency)
                for label, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
                    yield f"{kind}_{label}", name, _seconds(_quantile(ordered, share))
            else:
                for label in ("p50", "p99", "p999"):
                    yield f"{kind}_{label}", name, None
        longest = [int(ios.latency.max()) for ios in (writes, reads) if len(ios.issued)]
        yield "longest_stall", name, _seconds(max(longest)) if longest else None
        yield "io_done", name, int((writes.over < world.end_ns).sum() + (reads.over < world.end_ns).sum())


def _background(world: World) -> _Figures:
    for name in world.scenario.background:
        inside, outside = world.background.inside[name], world.background.outside[name]
        yield "background_ios", name, inside.ios + outside.ios
        for label, parts in (("", (inside, outside)), ("_inside", (inside,)), ("_outside", (outside,))):
            ios, waiting_ns = sum(part.ios for part in parts), sum(part.waiting_ns for part in parts)
            longest_ns = max(part.longest_ns for part in parts)
            yield f"background_mean{label}", name, _seconds(waiting_ns) / ios if ios else None
            yield f"background_longest{label}", name, _seconds(longest_ns) if ios else None


def writes_of(world: World, workload: str) -> Ios:
    """The writes of a workload that were issued while the scenario lasted; what was never acknowledged is over at its
    end, and not done."""
    columns = []
    for volume in world.deployment.volumes_of(world.scenario.workload[workload].volume):
        own = world.foreground.writes.get((workload, volume))
        if own is not None:
            columns.append((own.issued_ns, own.answered_ns))
        else:  # single blocks: the record has a row for each
            log = world.deployment.recorder.writes(volume)
            columns.append((log.issued_ns, log.acknowledged_ns))
    return _within(world, columns)


def reads_of(world: World, workload: str) -> Ios:
    """The reads of a workload that were issued while the scenario lasted; what was never answered as with writes."""
    logs = [log for (name, _), log in world.foreground.reads.items() if name == workload]
    return _within(world, [(log.issued_ns, log.answered_ns) for log in logs])


def _within(world: World, columns: Sequence[tuple[array[int], array[int]]]) -> Ios:
    if not columns:
        return Ios(np.empty(0, np.int64), np.empty(0, np.int64))
    issued = np.concatenate([np.array(column[0], np.int64) for column in columns])
    over = np.concatenate([np.array(column[1], np.int64) for column in columns])
    over[over == UNACKNOWLEDGED] = world.end_ns
    inside = (issued >= world.zero_ns) & (issued < world.end_ns)
    return Ios(issued[inside], over[inside])


def _losses(world: World) -> _Figures:
    yield "work_lost", "", work_lost(world)
    yield "temporary_space", "", world.space.most()
    yield "temporary_space_time", "", world.space.over_time(world.end_ns) / SECOND
    for compressor in world.backends.compressors.values():
        yield "compression_cpu", compressor.machine, _seconds(compressor.cpu_ns)


def work_lost(world: World) -> int:
    """Bytes moved by activities that did not end well, that belong to a flow that was undone, or whose taskflow died
    before it knew their handle.

    Of a driver without activity hooks only those count that did not end well, or ran when the taskflow died: its
    blocking calls don't say which activity they started.
    """
    flow_of: dict[tuple[str, str], str] = {}
    undone: dict[str, None] = {}
    for event in world.deployment.recorder.events:
        if event.kind == "activity.accepted":
            flow_of[event.fields["backend"], event.fields["handle"]] = event.fields["flow"]
        elif event.kind == "flow.undone":
            undone[event.fields["flow"]] = None
    lost = 0
    for key, activity in world.activities.over.items():
        stays = (
            activity.verb == "move"
        )  # where a volume has been moved to it stays, whatever becomes of the flow
        orphaned = key not in flow_of and any(
            activity.started_ns <= died_ns < activity.ended_ns for died_ns, _ in world.timetable.restarts
        )
        if activity.state != "done" or ((orphaned or flow_of.get(key) in undone) and not stays):
            lost += activity.moved
    return lost


def _quantile(ordered: Nanoseconds, share: float) -> int:
    """The smallest value that at least that share of the values does not exceed."""
    return int(ordered[max(0, math.ceil(share * len(ordered)) - 1)])


def _seconds(ns: int) -> float:
    return ns / SECOND


Part = Callable[["World"], _Figures]
