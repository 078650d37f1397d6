"""What the page of a study shows: its question, variants, measures with intervals, and flows as they went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from markupsafe import Markup

from harness.results import Timeline, TimelineStep
from harness.study_results import Difference, Estimate, FlowTimeline, RunMeasures, Study
from reports.site.lens import Drawing, draw
from reports.text import duration, one_line

MAX_DRAWINGS = 24
MAX_RUNS = 2000
_PER_VARIANT = 4


@dataclass(frozen=True)
class MeasureRow:
    """One measure: its name, and for each variant, in their order, its estimate, or None where there is none."""

    key: str
    unit: str
    estimates: list[Estimate | None]


@dataclass(frozen=True)
class Plot:
    """A plot of a study that was drawn already: `svg` is one `<svg>` element with its own title and description."""

    caption: str
    svg: Markup


@dataclass(frozen=True)
class StudyPage:
    """A study. `href` is the file of its page."""

    href: str
    study: Study
    rows: list[MeasureRow]
    differences: list[Difference]
    drawings: list[tuple[str, Drawing]]
    drawings_omitted: int
    plots: list[Plot]
    runs: list[RunMeasures]
    runs_omitted: int
    failures: list[tuple[RunMeasures, str]]


def study_page(study: Study, href: str, plots: Iterable[Plot] = ()) -> StudyPage:
    """What the page of a study shows."""
    drawings, omitted = _drawings(study)
    failures = [(run, failure) for run in study.rows for failure in run.failures]
    return StudyPage(
        href=href,
        study=study,
        rows=_measures(study),
        differences=[d for d in study.differences if d.variant != d.baseline],
        drawings=drawings,
        drawings_omitted=omitted,
        plots=list(plots),
        runs=list(study.rows[:MAX_RUNS]),
        runs_omitted=max(0, len(study.rows) - MAX_RUNS),
        failures=failures[:200],
    )


def _measures(study: Study) -> list[MeasureRow]:
    by_key: dict[tuple[str, str], dict[str, Estimate]] = {}
    for estimate in study.estimates:
        by_key.setdefault((estimate.key, estimate.unit), {})[estimate.variant] = estimate
    return [
        MeasureRow(key, unit, [found.get(variant) for variant in study.variants])
        for (key, unit), found in by_key.items()
    ]


def _drawings(study: Study) -> tuple[list[tuple[str, Drawing]], int]:
    """Flows of the first run of each variant that has any."""
    found: list[tuple[str, Drawing]] = []
    omitted = 0
    for variant in study.variants:
        run = next((r for r in study.rows if r.variant == variant and r.details and r.details.timelines), None)
        if run is None or run.details is None:
            continue
        flows = run.details.timelines
        for flow in flows[:_PER_VARIANT]:
            if len(found) < MAX_DRAWINGS:
                drawing = draw(_timeline(flow, run), f"timeline-{len(found) + 1}")
                about = drawing.about.removesuffix(" No writes were recorded.")  # a study's flows hold none
                found.append((f"{variant}, seed {run.seed}", replace(drawing, about=about)))
        omitted += max(0, len(flows) - _PER_VARIANT) + run.details.left_out
    return found, omitted


def _timeline(flow: FlowTimeline, run: RunMeasures) -> Timeline:
    """A flow's bars, with the quiesce windows of its volume if it has none of its own."""
    steps = [TimelineStep(label=b.label, start_ns=b.start_ns, end_ns=b.end_ns, kind=b.kind) for b in flow.bars]
    if steps and run.details is not None and not any(step.kind == "quiesce" for step in steps):
        begin, end = min(s.start_ns for s in steps), max(s.end_ns for s in steps)
        steps += [
            TimelineStep(label="quiesce", start_ns=max(begin, w.start_ns), end_ns=min(end, w.end_ns), kind="quiesce")
            for w in run.details.windows
            if w.volume == flow.volume and w.end_ns >= begin and w.start_ns <= end
        ]
    return Timeline(title=one_line(flow.title, 200), steps=steps)


def amount(value: float | None, unit: str) -> str:
    """A measure's value with its unit, as it reads best; a dash where there is none."""
    if value is None:
        return "–"
    if unit == "s":
        return duration(value * 1e9)
    if unit in ("bytes", "B"):
        for name, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if abs(value) >= size:
                return f"{value / size:,.4g} {name}"
        return f"{value:,.4g} bytes"
    return f"{value:,.4g} {one_line(unit, 40)}".rstrip()
