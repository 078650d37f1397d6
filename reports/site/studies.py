"""What the page of a study shows: its question, variants, measures with intervals, and flows as they went."""

from __future__ import annotations

import base64
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import unescape

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
    """One measure, of what, and for each variant, in their order, its estimate, or None where there is none."""

    name: str
    of: str
    estimates: list[Estimate | None]

    @property
    def is_empty(self) -> bool:
        """Whether no variant has anything of it."""
        return not any(each and (each.mean or each.low or each.high) for each in self.estimates)


@dataclass(frozen=True)
class Plot:
    """A plot of a study that was drawn already. `svg` is the text of an SVG file, whoever wrote it: it is shown as an
    image, so that nothing in it can run. `about` says in words what is to be seen."""

    caption: str
    about: str
    svg: str

    @classmethod
    def of(cls, svg: str, name: str, told: str = "") -> Plot:
        """A plot with the title and description that its file holds, else with what is told of it, or its name."""
        title, about = (
            one_line(unescape(found[1]), 1000) if (found := re.search(rf"<{tag}\b[^>]*>([^<]*)</{tag}>", svg)) else ""
            for tag in ("title", "desc")
        )
        caption = title or one_line(told or name, 400)
        return cls(caption, about or told or caption, svg)

    @property
    def source(self) -> Markup:
        """The image as a `data:` URL."""
        return Markup("data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode())


@dataclass(frozen=True)
class StudyPage:
    """A study. `href` is the file of its page."""

    href: str
    study: Study
    rows: list[MeasureRow]
    empty_rows: list[MeasureRow]
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
    rows = _measures(study)
    return StudyPage(
        href=href,
        study=study,
        rows=[row for row in rows if not row.is_empty],
        empty_rows=[row for row in rows if row.is_empty],
        differences=[d for d in study.differences if d.variant != d.baseline and (d.mean or d.low or d.high)],
        drawings=drawings,
        drawings_omitted=omitted,
        plots=list(plots),
        runs=list(study.rows[:MAX_RUNS]),
        runs_omitted=max(0, len(study.rows) - MAX_RUNS),
        failures=failures[:200],
    )


def about_plots(study: Study) -> dict[str, str]:
    """What is to be seen on the plots that are usually drawn of a study, in words, by their names."""
    found = {}
    for run in study.rows:
        name = f"latency-{re.sub(r'[^A-Za-z0-9_-]', '_', run.variant)}"
        if run.details is not None and name not in found:
            both = run.details.latencies
            parts = [
                f"{count:,} {where} with a median of {duration(statistics.median(kept))}" if kept else f"none {where}"
                for where, kept, count in (
                    ("while writes were held or an operation went on", both.inside_ns, both.inside_count),
                    ("at other times", both.outside_ns, both.outside_count),
                )
            ]
            found[name] = f"Foreground latencies of {run.variant}, seed {run.seed}: {', '.join(parts)}."
    return found


def _measures(study: Study) -> list[MeasureRow]:
    by_name: dict[tuple[str, str], dict[str, Estimate]] = {}
    for estimate in study.estimates:
        by_name.setdefault((estimate.name, estimate.of), {})[estimate.variant] = estimate
    return [
        MeasureRow(name, of, [found.get(variant) for variant in study.variants])
        for (name, of), found in by_name.items()
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
        return duration(value * 1e9) if value else "0 s"
    unit = one_line(unit, 40)
    for name in ("bytes", "byte", "B"):
        if unit == name or unit.startswith((f"{name}·", f"{name}/")):
            rest = unit.removeprefix(name)
            for prefix, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
                if abs(value) >= size:
                    return f"{value / size:,.4g} {prefix}{rest}"
            return f"{value:,.4g} bytes{rest}"
    return f"{value:,.4g} {unit}".rstrip()
