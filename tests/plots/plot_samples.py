"""Results to draw: a quiesced backup beside a fallback, latencies with a window, grids of two options."""

from __future__ import annotations

import random

from harness.study_results import Bar, FlowTimeline, Latencies, QuiesceWindow, RunDetails

MS = 1_000_000


def two_flows() -> RunDetails:
    """A backup that quiesces its volume and a fallback in four steps, 100 ms apart; times in ms from 1000."""

    def bar(label: str, kind: str, start: int, end: int) -> Bar:
        return Bar.model_validate({"label": label, "kind": kind, "start_ns": start * MS, "end_ns": end * MS})

    backup = FlowTimeline(
        title="backup data-1",
        volume="data-1",
        bars=(
            bar("backup_volume", "operation", 1000, 1900),
            bar("quiesce", "step", 1000, 1040),
            bar("read", "activity", 1050, 1850),
        ),
    )
    fallback = FlowTimeline(
        title="replicate_snapshot data-2",
        volume="data-2",
        bars=(
            bar("clone", "step", 1100, 1130),
            bar("migrate", "step", 1130, 2700),
            bar("move", "activity", 1140, 2690),
            bar("taskflow restarts", "downtime", 1600, 1750),
            bar("snapshot", "step", 2700, 2730),
            bar("delete_copy", "step", 2730, 2735),
        ),
    )
    windows = (
        QuiesceWindow(volume="data-1", start_ns=1010 * MS, end_ns=1880 * MS),
        QuiesceWindow(volume="data-1", start_ns=5000 * MS, end_ns=5100 * MS),
        QuiesceWindow(volume="other", start_ns=1200 * MS, end_ns=1300 * MS),
    )
    return RunDetails(end_ns=6000 * MS, timelines=(fallback, backup), left_out=3, windows=windows)


def stalled() -> Latencies:
    """Ten thousand I/Os of about 0.2 ms, and four hundred of which some wait up to 800 ms."""
    source = random.Random("latencies")
    outside = sorted(int(source.lognormvariate(0, 0.4) * 0.2 * MS) for _ in range(10_000))
    inside = sorted(int((0.2 + source.random() ** 3 * 800) * MS) for _ in range(400))
    return Latencies(inside_ns=tuple(inside), outside_ns=tuple(outside), inside_count=400, outside_count=10_000)
