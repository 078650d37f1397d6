"""The report says for each series how far the model is off, and what others reached."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from benchmarks import analytic, fidelity
from benchmarks.analytic import fewest_expected, report_lines
from benchmarks.fidelity import Comparison, Series, measured_series, series_lines
from benchmarks.published import Published

SERIES = Series(
    "sample",
    (
        Comparison("a", "calibration", measured=1.0, model=9.0),
        Comparison("b", "check", measured=10.0, model=11.0),
        Comparison("c", "check", measured=10.0, model=7.0),
    ),
    target=0.25,
    peers={"WRENCH": 0.5},
)


def test_errors_count_checked_rows_only() -> None:
    """The mean and the largest error are those of the checked rows, without their signs."""
    assert SERIES.mean == pytest.approx(0.2)
    assert SERIES.largest.case == "c"
    assert SERIES.largest.error == pytest.approx(-0.3)


def test_a_series_above_its_target_is_missed() -> None:
    """The mean error decides against the target; a series without one can't be missed."""
    missed = [Series("sample", SERIES.comparisons, target, {}).is_missed for target in (0.25, 0.15, None)]
    assert missed == [False, True, False]


def test_a_line_shows_errors_target_and_what_others_reached() -> None:
    """A series' line has mean, largest error and its case, target, verdict, and each peer's error or a dash."""
    line = list(series_lines([SERIES]))[1]
    assert line.split() == ["sample", "20.0", "%", "30.0", "%", "c", "25", "%", "met", "50.0", "%", "-"]


def test_the_report_shows_each_series_and_each_row(published: Published) -> None:
    """Every series has its line of errors, and every row of the data its line with role and both times."""
    series = measured_series(published)
    lines = list(series_lines(series))
    assert [
        one.name for one in series if not any(line.startswith(one.name) for line in lines[1 : len(series) + 1])
    ] == []
    rows = [row for one in series for row in one.comparisons]
    details = lines[-len(rows) :]
    for row, line in zip(rows, details, strict=True):
        assert row.case in line
        assert row.role in line
        assert f"{row.measured:.2f}" in line


def test_the_targets_are_met(published: Published) -> None:
    """Every series with a target reaches it, and is nearer to the measurements than the other simulators."""
    for one in measured_series(published):
        assert not one.is_missed, one.name
        assert all(one.mean < other for other in one.peers.values()), one.name


def test_a_missed_target_ends_with_status_1(
    altered: Callable[[str, str, float], Published],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command names each missed target and ends with status 1; with all of them met it ends with 0."""
    monkeypatch.setattr(sys, "argv", ["fidelity", "--seeds", "1", "--batch", "50"])
    monkeypatch.setattr(analytic, "LOADS", (0.3,))
    assert fidelity.main() == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = altered("cinder_backup_codecs", "check", 2.0)
    monkeypatch.setattr(fidelity, "Published", lambda: figures)
    assert fidelity.main() == 1
    assert "MISSED: backup by codec: mean error" in capsys.readouterr().out


def test_theory_that_does_not_hold_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fair share that is off, and a queue whose intervals miss too often, are told as failures."""
    wrong = analytic.FairShare("wrong", (100,), ((0,),), (100,), (2,))
    queue = analytic.Queue("strange", 0.5, 2.0, lambda load, customers, seed: [1.0 + n % 2 for n in range(customers)])
    monkeypatch.setattr(analytic, "FAIR_SHARES", (wrong,))
    monkeypatch.setattr(analytic, "queues", lambda load: [queue])
    failures: list[str] = []
    lines = list(report_lines(3, 10, (0.5,), failures))
    assert any(line.split() == ["wrong", "1000000000", "ns"] for line in lines)
    assert failures == ["fair share, wrong", "strange at load 0.5: 0 of 3 intervals hold, fewer than 1"]


def test_few_enough_intervals_may_miss() -> None:
    """How many 95 % intervals must hold is the binomial quantile at 0.001, worked out by hand for small numbers."""
    # two of two fail to hold with chance 0.0025, so that must be allowed; three of three with 0.000125
    assert [fewest_expected(seeds) for seeds in (1, 2, 3)] == [0, 0, 1]
