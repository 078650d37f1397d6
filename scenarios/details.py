"""What plots of one run are drawn from: timelines of flows, quiesce windows, space over time, latencies."""

from __future__ import annotations

import numpy as np

from harness.recorder import Event
from harness.study_results import Bar, FlowTimeline, Latencies, RunDetails, Space
from scenarios.measures import Nanoseconds, quiesce_windows, reads_of, writes_of
from scenarios.world import World

MOST_FLOWS = 50
"""Of so many flows timelines are kept."""
MOST_SAMPLES = 2000
"""So many latencies are kept on either side."""


def details_of(world: World) -> RunDetails:
    """The details of a run that is over; times count from the scenario's beginning."""
    timelines, left_out = _timelines(world)
    windows = quiesce_windows(world)
    zero = world.zero_ns
    return RunDetails(
        end_ns=world.end_ns - zero,
        timelines=timelines,
        left_out=left_out,
        windows=tuple(w.model_copy(update={"start_ns": w.start_ns - zero, "end_ns": w.end_ns - zero}) for w in windows),
        space=Space(at_ns=tuple(at - zero for at in world.space.at_ns), bytes=tuple(world.space.bytes)),
        latencies=_latencies(world),
    )


def _timelines(world: World) -> tuple[tuple[FlowTimeline, ...], int]:
    flows: dict[str, _Course] = {}
    activities: dict[tuple[str, str], tuple[str, str]] = {}
    left_out: dict[str, None] = {}
    volumes = {record.id: next(iter((*record.reads, *record.changes)), "") for record in world.deployment.journal.flows}
    for event in world.deployment.recorder.events:
        if event.at_ns < world.zero_ns:
            continue
        flow = event.fields.get("flow") or event.fields.get("owner") or ""
        if event.kind == "flow.started":
            if len(flows) < MOST_FLOWS:
                flows[flow] = _Course(flow, volumes.get(flow, ""), event.at_ns, world.zero_ns)
            else:
                left_out[flow] = None
        elif event.kind == "activity.accepted":
            activities[event.fields["backend"], event.fields["handle"]] = (flow, event.fields["method"])
        if flow in flows:
            flows[flow].look(event)
    for key, (flow, method) in activities.items():
        over = world.activities.over.get(key)
        if flow in flows and over is not None:
            flows[flow].bar(f"{method} on {over.backend}", "activity", over.started_ns, over.ended_ns)
    downtime = [
        FlowTimeline(title="taskflow", volume="", bars=(_downtime(began - world.zero_ns, ended - world.zero_ns),))
        for began, ended in world.timetable.restarts
    ]
    lines = [course.timeline(world.end_ns) for course in flows.values()]
    return (*downtime, *lines), len(left_out)


def _downtime(start_ns: int, end_ns: int) -> Bar:
    return Bar(label="down, and recovering", kind="downtime", start_ns=start_ns, end_ns=end_ns)


class _Course:
    """One flow as its events tell it; times count from `zero`."""

    def __init__(self, flow: str, volume: str, began_ns: int, zero: int) -> None:
        self._flow = flow
        self._volume = volume
        self._zero = zero
        self._began_ns = began_ns
        self._ended_ns: int | None = None
        self._bars: list[Bar] = []
        self._open: dict[tuple[str, str], int] = {}

    def look(self, event: Event) -> None:
        """Take an event of the flow in."""
        fields = event.fields
        match event.kind:
            case "step.started":
                self._open["step", fields["step"]] = event.at_ns
            case "step.done" | "step.failed":
                started_ns = self._open.pop(("step", fields["step"]), event.at_ns)
                self.bar(fields["step"], "step", started_ns, event.at_ns)
            case "gate.hold":
                self._open["quiesce", fields["host"]] = event.at_ns
            case "gate.release" | "gate.expired" | "gate.timeout":
                started_ns = self._open.pop(("quiesce", fields["host"]), event.at_ns)
                self.bar(f"writes of {fields['volume']} held", "quiesce", started_ns, event.at_ns)
            case "flow.done" | "flow.failed" | "flow.undone":
                self._ended_ns = event.at_ns

    def bar(self, label: str, kind: str, start_ns: int, end_ns: int) -> None:
        """Add a bar."""
        bar = {"label": label, "kind": kind, "start_ns": start_ns - self._zero, "end_ns": end_ns - self._zero}
        self._bars.append(Bar.model_validate(bar))

    def timeline(self, end_ns: int) -> FlowTimeline:
        """The flow from its beginning to its end, or to that of the run."""
        for (kind, label), started_ns in self._open.items():
            self.bar(label, kind, started_ns, end_ns)
        self.bar(self._flow, "operation", self._began_ns, self._ended_ns if self._ended_ns is not None else end_ns)
        bars = sorted(self._bars, key=lambda bar: (bar.start_ns, -bar.end_ns))
        return FlowTimeline(title=self._flow, volume=self._volume, bars=tuple(bars))


def _latencies(world: World) -> Latencies:
    """I/Os that overlapped the time in which an operation ran are inside, the others outside."""
    spans = sorted(
        (item.began_ns, item.ended_ns)
        for course in world.timetable.courses.values()
        for item in course.items
        if item.began_ns is not None and item.ended_ns is not None
    )
    merged: list[list[int]] = []
    for start_ns, end_ns in spans:
        if merged and start_ns <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end_ns)
        else:
            merged.append([start_ns, end_ns])
    ios = [found for name in world.scenario.workload for found in (writes_of(world, name), reads_of(world, name))]
    if not ios:
        return Latencies()
    issued, over = np.concatenate([o.issued for o in ios]), np.concatenate([o.over for o in ios])
    within = np.zeros(len(issued), bool)
    for start_ns, end_ns in merged:
        within |= (issued < end_ns) & (over > start_ns)
    latency = over - issued
    return Latencies(
        inside_ns=_thinned(latency[within]),
        outside_ns=_thinned(latency[~within]),
        inside_count=int(within.sum()),
        outside_count=int((~within).sum()),
    )


def _thinned(latencies: Nanoseconds) -> tuple[int, ...]:
    ordered = np.sort(latencies)
    if len(ordered) > MOST_SAMPLES:
        ordered = ordered[np.linspace(0, len(ordered) - 1, MOST_SAMPLES).round().astype(np.int64)]
    return tuple(int(value) for value in ordered)
