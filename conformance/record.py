"""What checks ask of the record of a run."""

from __future__ import annotations

from typing import Any

from harness.recorder import Event, Recorder, WriteLog
from harness.results import Timeline, TimelineStep

MOST_WRITES = 2000
"""How many writes a timeline keeps at most."""

_BARS = (
    ("step", "step.started", ("step.done", "step.failed"), ("flow", "step"), "step"),
    ("quiesce", "gate.quiesced", ("gate.release", "gate.expired"), ("volume", "host", "owner"), "host"),
    ("activity", "activity.started", ("activity.ended",), ("backend", "handle"), "verb"),
)


_OWN_BACKENDS = ("primary", "sibling")
"""Where the driver under test runs; another one runs on a backend of another family."""

_INVOCATIONS = frozenset({"method.invoked", "activity.accepted", "method.returned", "method.failed", "method.lost"})


def timeline(recorder: Recorder, title: str, volume_id: str) -> Timeline:
    """What happened in a run as bars, with the writes to one volume; times in nanoseconds.

    A bar that never ended ends with the run's last event. Only what lies around the flows' steps is kept.
    """
    bars: list[TimelineStep] = []
    last = recorder.events[-1].at_ns if recorder.events else 0
    for kind, begins, ends, key, label in _BARS:
        for event in recorder.events:
            if event.kind != begins:
                continue
            end = next(
                (
                    later.at_ns
                    for later in recorder.events
                    if later.place > event.place
                    and later.kind in ends
                    and all(later.fields.get(k) == event.fields.get(k) for k in key)
                ),
                last,
            )
            text = str(event.fields.get(label, kind))
            bars.append(TimelineStep(label=text, start_ns=event.at_ns, end_ns=end, kind=kind))
    bars = [bar for bar in bars if bar.label != "create_volume"]  # how the check came by its volume
    flows = [bar for bar in bars if bar.kind == "step"]
    if not flows:
        return Timeline(title=title, steps=bars)
    start, end = min(bar.start_ns for bar in flows), max(bar.end_ns for bar in flows)
    margin = max((end - start) // 5, 1)
    log = recorder.writes(volume_id)
    rows = [
        (log.issued_ns[row], log.acknowledged_ns[row])
        for row in range(len(log))
        if start - margin <= log.issued_ns[row] <= end + margin and log.acknowledged_ns[row] >= 0
    ]
    thinned = rows[:: max(1, -(-len(rows) // MOST_WRITES))]
    kept = [bar for bar in bars if bar.end_ns >= start - margin and bar.start_ns <= end + margin]
    return Timeline(title=title, steps=kept, writes_ns=thinned)


def method_durations(recorder: Recorder) -> dict[str, list[int]]:
    """How long each of the driver's methods took that returned, in nanoseconds, in the order of their returns.

    The keys are methods as they were carried out, "create_snapshot" and "create_snapshot as an activity": these are
    different code of the driver, so their times have nothing in common.
    """
    begun: dict[tuple[str, ...], list[tuple[int, bool]]] = {}
    found: dict[str, list[int]] = {}
    for _, at_ns, kind, fields in recorder.events:
        if kind not in _INVOCATIONS or fields.get("backend") not in _OWN_BACKENDS:
            continue
        key = str(fields.get("flow")), str(fields.get("backend")), str(fields.get("method"))
        if kind == "method.invoked":
            begun.setdefault(key, []).append((at_ns, False))
        elif begun.get(key):
            started_ns, as_activity = begun[key].pop()
            if kind == "activity.accepted":
                begun[key].append((started_ns, True))
            elif kind == "method.returned":
                name = f"{key[-1]} as an activity" if as_activity else key[-1]
                found.setdefault(name, []).append(at_ns - started_ns)
    return found


def writes_acknowledged_between(log: WriteLog, after: int, before: int) -> list[dict[str, Any]]:
    """The writes acknowledged between two places, as witnesses."""
    return [
        {"block": log.blocks[row], "stamp": log.stamps[row], "acknowledged": log.acknowledged[row]}
        for row in range(len(log))
        if after < log.acknowledged[row] < before
    ]


def longest_wait(log: WriteLog, since: Event, until_ns: int) -> dict[str, Any] | None:
    """Of the writes that were under way after an event, the one that waited longest, as a witness; None without any.

    A write waits from its issue, but not before the event, to its acknowledgement, or to `until_ns` if there is none.
    """
    longest_ns, longest = -1, None
    for row in range(len(log)):
        acknowledged = log.acknowledged[row] >= 0
        if acknowledged and log.acknowledged[row] < since.place:
            continue
        end_ns = log.acknowledged_ns[row] if acknowledged else until_ns
        waited_ns = end_ns - max(log.issued_ns[row], since.at_ns)
        if waited_ns > longest_ns:
            longest_ns = waited_ns
            longest = {
                "block": log.blocks[row],
                "stamp": log.stamps[row],
                "issued_ns": log.issued_ns[row],
                "acknowledged_ns": log.acknowledged_ns[row] if acknowledged else None,
                "waited_ns": waited_ns,
            }
    return longest


def under_way_between(log: WriteLog, after: int, before: int) -> int:
    """How many writes were under way at some moment between two places."""
    return sum(
        1
        for issued, acknowledged in zip(log.issued, log.acknowledged, strict=True)
        if issued < before and (acknowledged < 0 or acknowledged > after)
    )


def foreground(log: WriteLog, after: int, before: int) -> int:
    """How many writes were issued between two places."""
    return sum(1 for place in log.issued if after < place < before)
