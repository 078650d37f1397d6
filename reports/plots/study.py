"""The plots of a study: of each variant's run with details the flows over time and the latencies of its workload."""

from __future__ import annotations

import re
from pathlib import Path

from harness.study_results import Study
from reports.plots.gantt import draw_gantt
from reports.plots.latency import draw_latencies
from reports.plots.style import save

MAX_VARIANTS = 12
"""Of more variants than that only the first ones are drawn."""


def draw_study(study: Study, folder: Path) -> list[Path]:
    """Write `timeline-<variant>` and `latency-<variant>`, as PNG and SVG, to `folder`; returns the files.

    Drawn is the first run of each variant that has details; latencies only where there was foreground I/O. Raises
    OSError if the disk doesn't take them.
    """
    written: list[Path] = []
    for variant in study.variants[:MAX_VARIANTS]:
        run = next((row for row in study.rows if row.variant == variant and row.details is not None), None)
        if run is None or run.details is None:
            continue
        name = re.sub(r"[^A-Za-z0-9_-]", "_", variant)
        where = f"{study.scenario}, variant {variant}, seed {run.seed}"
        written += save(draw_gantt(run.details, f"Flows of {where}"), folder, f"timeline-{name}")
        latencies = run.details.latencies
        if latencies.inside_ns or latencies.outside_ns:
            written += save(draw_latencies(latencies, f"Foreground latency of {where}"), folder, f"latency-{name}")
    return written
