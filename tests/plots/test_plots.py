"""Plots show their data: judged by what the figures are made of, not by pixels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plot_samples import MS, stalled, two_flows

from harness.study_results import FlowTimeline, Latencies, RunDetails
from reports.plots.curves import BAND, MODEL, SIMULATED, Curve, Scale, draw_curves
from reports.plots.gantt import MAX_FLOWS, draw_gantt
from reports.plots.latency import INSIDE, OUTSIDE, draw_latencies
from reports.plots.maps import UNDECIDED, MapPoint, Regions, draw_map
from reports.plots.omissions import ABSENT, PUBLISHED, Omission, draw_omissions
from reports.plots.style import LOOKS, save

X = Scale("link bandwidth", "Gb/s", ((1, "1"), (10, "10"), (100, "100")))
Y = Scale("completion", "s")


def artists(figure: Any, gid: str) -> list[Any]:
    """The artists of that name."""
    return [a for a in figure.axes[0].get_children() if a.get_gid() == gid]


def lines(figure: Any, gid: str) -> list[list[tuple[float, float]]]:
    """The points of each line of that name."""
    return [list(zip(map(float, a.get_xdata()), map(float, a.get_ydata()), strict=True)) for a in artists(figure, gid)]


def spans(figure: Any, kind: str) -> list[tuple[str, float, float, float]]:
    """Each bar of that kind: the label of its row, start, end, height in rows."""
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    return [
        (labels[round(p.get_y() + p.get_height() / 2)], p.get_x(), p.get_x() + p.get_width(), p.get_height())
        for p in artists(figure, kind)
    ]


def legend(figure: Any) -> list[str]:
    """The words of the legend."""
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def test_gantt_bars_stand_where_the_steps_were() -> None:
    """Each bar of each flow is drawn from its start to its end in the row of its label, counted from the first one."""
    figure = draw_gantt(two_flows(), "t")
    for kind in ("operation", "step", "activity", "downtime"):
        expected = sorted(
            ((b.start_ns - 1000 * MS) / MS, (b.end_ns - 1000 * MS) / MS, b.label)
            for flow in two_flows().timelines for b in flow.bars if b.kind == kind
        )  # fmt: skip
        found = sorted(spans(figure, kind), key=lambda span: span[1:3])
        assert [(a, b) for _, a, b, _ in found] == [pytest.approx(each[:2]) for each in expected]
        assert all(label.endswith(each[2]) for (label, *_), each in zip(found, expected, strict=True))
    assert figure.axes[0].get_xlabel().endswith("(ms)")


def test_gantt_shades_the_windows_of_the_flow_s_own_volume() -> None:
    """A window is shaded over the rows of the flow on its volume, as long as that is under way, and over no others."""
    figure = draw_gantt(two_flows(), "t")
    assert [span[1:] for span in spans(figure, "quiesce")] == [pytest.approx((10, 880, 3))]
    assert all(p.get_hatch() for p in artists(figure, "quiesce"))
    assert "volume quiesced" in legend(figure)


def test_gantt_tells_how_many_flows_it_leaves_out() -> None:
    """Flows beyond the bound, and those that the run did not keep, are counted in the title."""
    (flow, _) = two_flows().timelines
    many = RunDetails(
        end_ns=0, timelines=tuple(flow.model_copy(update={"title": f"f{n}"}) for n in range(20)), left_out=5
    )
    title = draw_gantt(many, "t").axes[0].get_title(loc="left")
    shown = len({label.get_text().partition(" ")[0] for label in draw_gantt(many, "t").axes[0].get_yticklabels()
                 if label.get_text().startswith("f")})  # fmt: skip
    assert shown <= MAX_FLOWS
    assert f"({25 - shown} more flows not drawn)" in title


def test_latencies_are_the_share_that_took_longer() -> None:
    """At each I/O's latency the curve tells the share of I/Os that took at least as long, to the longest one."""
    figure = draw_latencies(
        Latencies(inside_ns=(8 * MS, 2 * MS), outside_ns=(4 * MS,), inside_count=2, outside_count=9), "t"
    )
    assert lines(figure, INSIDE) == [[pytest.approx((2, 1.0)), pytest.approx((8, 0.5))]]
    assert lines(figure, OUTSIDE) == [[pytest.approx((4, 1.0))]]
    assert figure.axes[0].get_xlabel() == "latency (ms)"
    assert [words.partition(" I/Os")[0] for words in legend(figure)] == [f"{INSIDE}: 2", f"{OUTSIDE}: 9"]


def test_latency_quantiles_are_marked_where_there_are_enough() -> None:
    """p50 and p99 stand at the I/Os of that rank; p99.9 is marked only where more than a thousand I/Os were kept."""
    sample = stalled()
    figure = draw_latencies(sample, "t")
    ((at,),) = lines(figure, f"{OUTSIDE} p99.9")
    assert at == pytest.approx((sorted(sample.outside_ns)[9989] / MS, 0.001))
    ((at,),) = lines(figure, f"{INSIDE} p99")
    assert at == pytest.approx((sorted(sample.inside_ns)[395] / MS, 0.01))
    assert lines(figure, f"{INSIDE} p99.9") == []


def test_curves_have_points_and_bands() -> None:
    """Each variant's means are joined by a line and its intervals fill a band, which leaves out points without one."""
    curve = Curve("native", (1, 10, 100), (80, 20, 10), (70, 18, None), (90, 22, None))
    figure = draw_curves([curve, Curve("fallback", (1, 10), (90, 30), (90, 30), (90, 30))], X, Y, "t")
    assert lines(figure, SIMULATED)[0] == [(1, 80), (10, 20), (100, 10)]
    corners = {(float(a), float(b)) for a, b in artists(figure, BAND)[0].get_paths()[0].vertices}
    assert corners == {(1, 70), (1, 90), (10, 18), (10, 22)}
    assert figure.axes[0].get_xlabel() == "link bandwidth (Gb/s)"
    assert figure.axes[0].get_ylabel() == "completion (s)"
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "10", "100"]
    assert legend(figure) == ["native", "fallback"]


def test_a_model_is_drawn_with_the_points() -> None:
    """A model's line goes where the model says, points and their bars stay as simulated; crossings are marked."""
    curve = Curve("native", (1, 10), (80, 20), (70, 18), (90, 22), model=((1, 3, 10), (82, 40, 19)))
    figure = draw_curves([curve], X, Y, "t", [(4.5, "break-even")])
    assert lines(figure, MODEL) == [[(1, 82), (3, 40), (10, 19)]]
    assert lines(figure, SIMULATED) == [[(1, 80), (10, 20)]]
    assert artists(figure, SIMULATED)[0].get_linestyle() == "None"
    assert [seg.tolist() for seg in artists(figure, BAND)[0].get_segments()] == [
        [[1, 70], [1, 90]],
        [[10, 18], [10, 22]],
    ]
    assert lines(figure, "crossing")[0][0][0] == 4.5
    assert "native, closed form" in legend(figure)


def test_a_map_has_the_model_s_regions_and_the_points() -> None:
    """Each place lies in the region of the option that the model says is best there, each point has its own mark."""
    regions = Regions(
        (1, 2, 3, 4), (1, 2, 3), (((0.4, 0.2, -0.2, -0.4),) * 3, ((-0.4, -0.2, 0.2, 0.4),) * 3), margin=0.1
    )
    points = [MapPoint(1, 1, "native"), MapPoint(4, 3, "native"), MapPoint(2, 2, None)]
    figure = draw_map(["native", "fallback"], regions, points, X, Y, "t")
    for option, inside, outside in (("native", (2.2, 2), (2.3, 2)), ("fallback", (2.8, 2), (2.7, 2))):
        (region,) = artists(figure, f"region {option}")
        paths = region.get_paths()
        assert any(path.contains_point(inside) for path in paths)
        assert not any(path.contains_point(outside) for path in paths)
    assert f"{UNDECIDED}, by the closed form" in legend(figure)
    assert lines(figure, "points native") == [[(1, 1), (4, 3)]]
    assert lines(figure, f"points {UNDECIDED}") == [[(2, 2)]]
    assert lines(figure, "points fallback") == []
    assert "fallback best by the closed form" in legend(figure)


def test_omissions_stand_at_their_cost() -> None:
    """Each attribute is a row with its cost and interval, marked by whether it is published."""
    rows = [Omission("snapshot_replication", False, 5.0, 4.0, 6.0), Omission("handle_scope", True, 0.5, None, None)]
    figure = draw_omissions(rows, Scale("completion", "s"), "t")
    assert lines(figure, ABSENT) == [[(5.0, 0)]]
    assert lines(figure, PUBLISHED) == [[(0.5, 1)]]
    assert [s.tolist() for s in artists(figure, "interval 0")[0].get_segments()] == [[[4, 0], [6, 0]]]
    assert artists(figure, "interval 1") == []
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["snapshot_replication", "handle_scope"]


def test_series_differ_without_colour() -> None:
    """No two looks share a colour, a marker, a line style or a hatch, so that a grey print tells them apart."""
    for part in ("colour", "marker", "line", "hatch"):
        assert len({str(getattr(look, part)) for look in LOOKS}) == len(LOOKS)


def test_files_are_the_same_each_time_and_leave_settings_alone(tmp_path: Path) -> None:
    """PNG and SVG are equal in processes with other hash seeds and settings, and names are text, not formulas."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; import matplotlib as m\n"
        "m.rcParams['font.size'] = 30 if sys.argv[2] == '1' else 5\n"
        "from plot_samples import two_flows; from reports.plots.gantt import draw_gantt\n"
        "from reports.plots.style import save\n"
        "save(draw_gantt(two_flows(), 'costs $\\\\frac$'), Path(sys.argv[1]), 'g')\n"
        "assert m.rcParams['font.size'] in (5, 30) and 'matplotlib.pyplot' not in sys.modules"
    )
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        subprocess.run([sys.executable, "-c", code, tmp_path / seed, seed], env={"PYTHONHASHSEED": seed}, check=True)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / seed).iterdir()} for seed in ("1", "2"))
    assert first == second and sorted(first) == ["g.png", "g.svg"]
    assert "costs $\\frac$" in first["g.svg"].decode()


@pytest.mark.parametrize(
    "figure",
    [
        lambda: draw_gantt(RunDetails(end_ns=0), "t"),
        lambda: draw_gantt(RunDetails(end_ns=0, timelines=(FlowTimeline(title="x", volume="v"),)), "t"),
        lambda: draw_latencies(Latencies(), "t"),
        lambda: draw_curves([], X, Y, "t"),
        lambda: draw_map(["native"], None, [], X, Y, "t"),
        lambda: draw_omissions([], Y, "t"),
    ],
)
def test_nothing_to_draw_is_drawn(figure: Any, tmp_path: Path) -> None:
    """Without any data there is still a figure."""
    save(figure(), tmp_path, "empty")
    assert (tmp_path / "empty.png").stat().st_size > 0
