"""The timeline shows its data: judged by what the figure is made of, not by pixels."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from matplotlib.container import BarContainer
from report_markup import Page
from report_samples import MS, fallback_timeline

from harness.results import Timeline, TimelineStep
from reports.timeline import MAX_BARS, MAX_MARKS, MAX_ROWS, build_figure, caption, draw_timeline, thin


def bars(figure: Any) -> list[tuple[str, float, float]]:
    """Each bar: the label of its row, its start and its end on the axis."""
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    patches = [p for c in axes.containers if isinstance(c, BarContainer) for p in c.patches]
    return [(labels[round(p.get_y() + p.get_height() / 2)], p.get_x(), p.get_x() + p.get_width()) for p in patches]


def marks(figure: Any, gid: str) -> list[float]:
    """The positions of the marks in a row of writes."""
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == gid]
    return [float(x) for x in line.get_xdata()]


def windows(figure: Any) -> list[tuple[float, float]]:
    """Start and end of each shaded window."""
    return [(p.get_x(), p.get_x() + p.get_width()) for p in figure.axes[0].patches if p.get_gid() == "quiesced"]


def test_bars_stand_where_the_steps_were() -> None:
    """Each step is one bar in the row of its name, from its start to its end, counted from the first event."""
    timeline = fallback_timeline()
    origin = min([step.start_ns for step in timeline.steps] + [issued for issued, _ in timeline.writes_ns])
    expected = [
        (s.label, (s.start_ns - origin) / MS, (s.end_ns - origin) / MS) for s in timeline.steps if s.kind != "quiesce"
    ]
    found = bars(build_figure(timeline))
    assert sorted(found) == [(label, pytest.approx(a), pytest.approx(b)) for label, a, b in sorted(expected)]


def test_writes_are_marked_at_their_times() -> None:
    """Writes stand at the times of issue and acknowledgement; one never acknowledged has no mark for that."""
    timeline = Timeline(title="t", writes_ns=[(10 * MS, 14 * MS), (12 * MS, -1), (30 * MS, 31 * MS)])
    figure = build_figure(timeline)
    assert marks(figure, "writes-issued") == pytest.approx([0, 2, 20])
    assert marks(figure, "writes-acknowledged") == pytest.approx([4, 21])
    assert "1 of them never acknowledged" in caption(timeline)


def test_quiesced_windows_are_shaded() -> None:
    """Each quiesced window is shaded over its time, and the legend and the caption say what the shade means."""
    steps = [TimelineStep(label="q", start_ns=a * MS, end_ns=b * MS, kind="quiesce") for a, b in ((0, 5), (7, 9))]
    figure = build_figure(Timeline(title="t", steps=steps))
    assert windows(figure) == [pytest.approx((0, 5)), pytest.approx((7, 9))]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["quiesced"]
    assert "quiesced 2 times, for 7 ms in all (shaded)" in caption(Timeline(title="t", steps=steps))


@pytest.mark.parametrize(("end_ns", "unit", "length"), [(5_000, "µs", 5), (5 * MS, "ms", 5), (5_000 * MS, "s", 5)])
def test_the_axis_has_a_unit_that_fits(end_ns: int, unit: str, length: float) -> None:
    """The axis is labelled with its unit, chosen so that its numbers stay small."""
    figure = build_figure(Timeline(title="t", steps=[TimelineStep(label="s", start_ns=0, end_ns=end_ns, kind="step")]))
    assert figure.axes[0].get_xlabel().endswith(f"({unit})")
    assert bars(figure) == [("s", 0, pytest.approx(length))]


def test_many_writes_are_thinned_and_the_caption_says_so() -> None:
    """Of 100,000 writes at most a thousand marks are drawn, over the whole range; the caption tells both numbers."""
    timeline = Timeline(title="t", writes_ns=[(n * MS, n * MS + 1) for n in range(100_000)])
    shown = marks(build_figure(timeline), "writes-issued")
    assert len(shown) == MAX_MARKS
    assert shown[0] == 0
    assert shown[-1] >= 99.8
    assert "Thinned out to 1,000 marks for the 100,000 writes" in caption(timeline)
    assert len(draw_timeline(timeline)) < 400_000


def test_thinning_keeps_a_gap_open() -> None:
    """Thinning keeps real times only and leaves a pause in the writes empty."""
    times = [n for n in range(100_000) if not 40_000 <= n < 60_000]
    kept = thin(times)
    assert set(kept) <= set(times)
    assert not any(40_000 <= at < 60_000 for at in kept)
    assert 700 <= len(kept) <= MAX_MARKS


def test_steps_beyond_the_bound_are_counted() -> None:
    """A flow of very many steps gives a bounded figure, and the caption counts what is not drawn."""
    steps = [TimelineStep(label=f"s{n % 50}", start_ns=n, end_ns=n + 1, kind="step") for n in range(1000)]
    found = bars(build_figure(Timeline(title="t", steps=steps)))
    assert len({label for label, _, _ in found}) == MAX_ROWS
    assert len(found) <= MAX_BARS
    assert f"{1000 - len(found):,} further steps are not drawn" in caption(Timeline(title="t", steps=steps))


def test_the_text_is_deterministic_across_processes() -> None:
    """Another process, with another hash seed, draws the same text."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; from report_samples import fallback_timeline as f; "
        "from reports.timeline import draw_timeline as d; sys.stdout.buffer.write(d(f()).encode())"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={"PYTHONHASHSEED": seed}, check=True
        )
        assert done.stdout.decode() == draw_timeline(fallback_timeline())


def test_the_text_has_no_date_and_only_own_ids() -> None:
    """The SVG holds no metadata, all its ids begin with the prefix, and its colours can be set by a page."""
    text = draw_timeline(fallback_timeline(), prefix="p7-")
    svg = Page(text).all("svg")[0]
    assert "metadata" not in text
    assert all(i.startswith("p7-") for i in re.findall(r'\bid="([^"]*)"', text))
    assert "var(--plot-step, #0072b2)" in text
    assert svg.attributes["aria-labelledby"] == "p7-title p7-desc"


def test_labels_are_text_not_formulas() -> None:
    """A name with dollar signs, markup and what looks like an attribute is shown as it is."""
    label = 'a $\\frac$ <b> id="x" fill: #0072b2'
    text = draw_timeline(Timeline(title=label, steps=[TimelineStep(label=label, start_ns=0, end_ns=9, kind="step")]))
    page = Page(text)
    assert not page.all("b")
    assert label[:34] in page.all("svg")[0].text
    assert page.all("title")[0].text == label


def test_an_empty_timeline_is_drawn() -> None:
    """Neither steps nor writes still gives a figure and a caption."""
    assert "<svg" in draw_timeline(Timeline(title=""))
    assert caption(Timeline(title="")) == "No writes were recorded."


def test_drawing_leaves_global_settings_alone() -> None:
    """The caller's matplotlib settings neither change nor leak into the figure, and pyplot is not loaded."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import reports; assert 'matplotlib' not in sys.modules\n"
        "from report_samples import fallback_timeline as f; from reports.timeline import draw_timeline as d\n"
        "a = d(f())\n"
        "import matplotlib as m; m.rcParams['xtick.labelsize'] = 40; m.rcParams['font.size'] = 30\n"
        "assert d(f()) == a and m.rcParams['font.size'] == 30 and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
