"""Sweeps of real scenarios: rows that a seed reproduces, the same from a cluster, costs, and errors for people."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pandas
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from harness.cli import USAGE_ERROR, make_app
from harness.compression import TECHNIQUES
from scenarios.model import Scenario
from scenarios.omissions import AS_PUBLISHED, costliest, costs_of, toggles_of
from scenarios.parsing import ScenarioError
from scenarios.reading import load_scenario, parse_scenario
from scenarios.run import simulate
from scenarios.sweeps.break_even import Model, best_of, break_evens
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import Grid, axes_from
from scenarios.sweeps.runs_file import read_runs
from scenarios.sweeps.scenario_runs import ScenarioRuns, drivers_of, grid_of
from scenarios.sweeps.summary import summarize
from scenarios.sweeps.sweep import sweep, write_sweep
from scenarios.vary import with_values

VARY = {"link.bandwidth": ["1Gb", "10Gb"], "volume.size": ["1GiB", "4GiB"]}
FILE = """
[scenario]
name = "small"
question = "What does the fallback cost?"
replications = 2
[backend.primary]
family = "alpha"
driver = "vendor"
[backend.sibling]
family = "alpha"
driver = "vendor"
[driver.vendor.publication]
stateless_activities = ["create_snapshot"]
snapshot_replication = true
[host.compute]
[volume.data]
backend = "primary"
size = "1 GiB"
host = "compute"
[workload.load]
volume = "data"
streams = 2
think = "50 ms"
[operation.copy]
do = "replicate_snapshot"
volume = "data"
to = "sibling"
[variant.native]
[variant.fallback]
set = { "driver.vendor.publication.snapshot_replication" = false }
"""


@pytest.fixture(scope="module")
def small() -> Scenario:
    """A replication under load, natively and by fallback."""
    return parse_scenario(tomllib.loads(FILE), "small")


@pytest.fixture(scope="module")
def swept(small: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a sweep of it in two processes."""
    return write_sweep(small, VARY, tmp_path_factory.mktemp("swept"), replications=2, seed=7, jobs=2)


def run_line(directory: Path, *arguments: str) -> Any:
    """What a command line ends with, in a directory with the scenario's file."""
    (directory / "small.toml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("COLUMNS", "200")
        return CliRunner().invoke(make_app(), list(arguments))


def test_each_row_is_what_its_seed_gives(small: Scenario, swept: Path) -> None:
    """A row has every measure of the run with the row's values, variant and seed, and that run's digest."""
    frame = read_runs(swept)
    assert len(frame) == 16
    for row in frame.to_dict("records")[::5]:
        values = {key: row[key] for key in VARY}
        run = simulate(with_values(small, values), row["variant"], row["seed"])
        assert row["digest"] == run.digest
        for measure in run.measures:
            assert row[measure.key] == measure.value or (measure.value is None and pandas.isna(row[measure.key]))
    assert set(frame["link.bandwidth (bytes/s)"]) == {125e6, 1250e6}
    assert set(frame["seed"]) == {7, 8}


def test_the_verb_run_gives_the_same_row(swept: Path, tmp_path: Path) -> None:
    """`run` with a row's values and seed measures what stands in that row, with the same digest."""
    row = read_runs(swept).to_dict("records")[-1]
    settings = [part for key in VARY for part in ("--set", f"{key}={row[key]}")]
    ended = run_line(tmp_path, "run", "small.toml", "--seed", str(row["seed"]), "--replications", "1", *settings)
    assert ended.exit_code == 0, ended.output
    written = parquet.ParquetFile(tmp_path / "backend-activity-study" / "runs.parquet").read()
    runs = written.to_pandas().to_dict("records")
    (again,) = [run for run in runs if run["variant"] == row["variant"]]
    assert again["digest"] == row["digest"]
    assert again["completion[copy]"] == row["completion[copy]"]


def test_a_cluster_gives_the_same_rows(small: Scenario, swept: Path, tmp_path: Path) -> None:
    """A Dask cluster of two workers writes the same file as the process pool, row by row and byte for byte."""
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        theirs = write_sweep(small, VARY, tmp_path / "out", 2, 7, cluster=cluster.scheduler_address)
    pandas.testing.assert_frame_equal(read_runs(swept), read_runs(theirs))
    assert swept.read_bytes() == theirs.read_bytes()


def test_the_line_writes_runs_table_and_plots(tmp_path: Path) -> None:
    """The verb prints each point with its variants, says where the break-even is, and writes runs and plots; again, it
    runs nothing anew and prints the same."""
    line = (
        "sweep",
        "small.toml",
        "--vary",
        "link.bandwidth=1,2,10Gb",
        "--replications",
        "2",
        "--margin",
        "0.3",
        "--out",
        "o",
        "--jobs",
        "1",
    )
    first = run_line(tmp_path, *line)
    assert first.exit_code == 0, first.output
    for part in ("10Gb", "fallback", "12 runs in o/runs.parquet", "break-even at link.bandwidth = 2.", "o/curves.svg"):
        assert part in first.output
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["curves.png", "curves.svg", "runs.parquet"]
    before = (tmp_path / "o" / "runs.parquet").stat()
    assert run_line(tmp_path, *line).stdout == first.stdout
    assert (tmp_path / "o" / "runs.parquet").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vary", "link.bandwith=1,10Gb"], "did you mean 'bandwidth'?"),
        (["--vary", "linc.bandwidth=1Gb"], "did you mean 'link'?"),
        (["--vary", "link.bandwidth=1,fast"], "link.bandwidth is"),
        (["--vary", "link.bandwidth=1,10parsec"], "is no unit of bandwidth"),
        (["--vary", "link.bandwidth="], "the grid is empty"),
        (["--vary", "link.bandwidth=10Gb,10000Mb"], "10Gb and 10000Mb are one value"),
        (["--vary", "workload.rate=100/s,1e9/s"], "workload.load.rate is 1000000000.0 /s on 1 volumes"),
        (["--replications", "0"], "the grid is empty"),
        (["--vary", "driver.vendor.publication.snapshot_replication=true,false"], "variant 'fallback' sets"),
        (["--vary", "scenario.seed=1,2"], "the seed is given with --seed"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--jobs", "2", "--cluster", "tcp://127.0.0.1:1"], "leave one of them out"),
        (["--out", "small.toml/below"], "the directory can't be made"),
        (["--measure", "completoin"], "did you mean"),
        (["--margin", "2"], "--margin is 2"),
        (["--seed", str(1 << 63)], "it must be from 0 to"),
        (["--set", "volume.size"], "write it as KEY=VALUE"),
    ],
)  # fmt: skip
def test_what_people_get_wrong(tmp_path: Path, arguments: list[str], said: str) -> None:
    """A wrong key, value, grid, place or measure ends with status 4 and a message that says which, and what to do."""
    ended = run_line(tmp_path, "sweep", "small.toml", "--replications", "1", *arguments)
    assert (ended.exit_code, said in ended.stderr) == (USAGE_ERROR, True), ended.stderr
    assert "Traceback" not in ended.output


def test_the_best_has_most_of_what_is_good_and_never_fails() -> None:
    """Of I/Os done the variant with more is ahead; one that has no value in some runs is ahead in nothing."""
    rows = [
        {"scenario": "s", "variant": name, "seed": seed, "io_done[load]": done + seed, "completion[copy]": done - seed}
        for name, done in (("native", 100.0), ("fallback", 200.0))
        for seed in (1, 2, 3)
    ]
    frame = pandas.DataFrame(rows)
    assert summarize(frame, (), "io_done[load]")[0].best == "fallback"
    assert summarize(frame, (), "completion[copy]")[0].best == "native"
    frame.loc[0, "completion[copy]"] = float("nan")
    assert summarize(frame, (), "completion[copy]")[0].best is None


def test_nobody_is_ahead_where_the_closed_form_has_no_answer(small: Scenario) -> None:
    """Where more is done at once than the backend has job slots for, the closed form claims nothing."""
    many = with_values(small, {"volume.count": 64})
    model = Model(many, "completion[copy]")
    assert model
    assert best_of(model.at({"operation.concurrency": 1}), 0.05) == "native"
    assert best_of(model.at({"operation.concurrency": 64}), 0.05) is None


def test_there_is_nothing_between_whole_numbers(small: Scenario) -> None:
    """The closed form of so many at a time is that of the next whole number, which can be simulated."""
    model = Model(with_values(small, {"volume.count": 6}), "completion[copy]")
    for near, whole in ((1.4, 1), (2.6, 3)):
        assert model.at({"operation.concurrency": near}) == model.at({"operation.concurrency": whole})
    assert model.at({"operation.concurrency": 1}) != model.at({"operation.concurrency": 6})


@pytest.mark.parametrize("figures", [{}, {"control_ns": 1_000_000}])
def test_figures_that_are_varied_count_in_the_closed_form(figures: dict[str, int], small: Scenario) -> None:
    """A figure of a backend's profile is set in the closed form, also where the file sets others."""
    model = Model(with_values(small, {"backend.sibling.figures": figures}), "completion[copy]")
    quick, slow = (model.at({"backend.sibling.figures.snapshot_ns": ns}) for ns in (1e6, 5e9))
    assert slow["fallback"] - quick["fallback"] > 4
    assert slow["native"] == quick["native"]


def test_failures_are_told(tmp_path: Path) -> None:
    """Operations that failed are told beside the table; a run that comes to no end is no error of its user's."""
    ended = run_line(tmp_path, "sweep", "small.toml", "--vary", "backend.primary.pool=1,8GiB", "--jobs", "1")
    assert ended.exit_code == 0, ended.output
    assert "in 2 of them operations failed" in ended.stdout and "operation copy, data-0: " in ended.stdout
    endless = FILE.replace("replications = 2", 'replications = 2\nhorizon = "100 ms"')
    (tmp_path / "endless.toml").write_text(endless)
    ended = run_line(tmp_path, "sweep", "endless.toml", "--jobs", "1", "--out", "o")
    assert (ended.exit_code, "run 0 (variant native, seed 1) failed" in ended.stderr) == (3, True), ended.output


OWN = """
from harness.reference_driver import ReferenceDriver
from sweep_own_figures import TIMES

class Own(ReferenceDriver):
    def replicate_snapshot(self, *arguments):
        for _ in range(TIMES):
            super().replicate_snapshot(*arguments)
"""


def test_a_changed_driver_is_another_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished sweep and a journal of a driver of one's own are gone on with only while its module, and those beside
    it that it imports, are as they were; a process that finds another source than the sweep's makes no runs of it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    driver, figures = tmp_path / "sweep_own_driver.py", tmp_path / "sweep_own_figures.py"
    driver.write_text(OWN)
    figures.write_text("TIMES = 1\n")
    (tmp_path / "unrelated.py").write_text("")
    target = 'target = "sweep_own_driver:Own"\noptions'
    data = tomllib.loads(FILE.replace("[driver.vendor.publication]", f"[driver.vendor]\n{target} = {{}}\n[other]"))
    del data["other"], data["variant"]
    own = parse_scenario(data, "own")
    path = write_sweep(own, {}, tmp_path / "out", replications=1, jobs=1)
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    assert write_sweep(own, {}, tmp_path / "out", replications=1, jobs=1) == path
    begun_with = drivers_of(own, ())
    for file in (driver, figures):
        before = file.read_text()
        file.write_text(before + "# changed\n")
        with pytest.raises(SweepError, match="the code of a driver is another"):
            write_sweep(own, {}, tmp_path / "out", replications=1, jobs=1)
        file.write_text(before)
    figures.write_text("TIMES = 2\n")
    with pytest.raises(SweepError, match="is not what the sweep was begun with"):
        ScenarioRuns(own, (), begun_with)(Grid((), own.variants, 1).run(0))


def test_one_replication_is_said_to_be_too_few(tmp_path: Path) -> None:
    """Where nothing can be clear because there are no intervals, sweeps and costs say so."""
    for verb in ("sweep", "costs"):
        ended = run_line(tmp_path, verb, "small.toml", "--replications", "1", "--jobs", "1")
        assert ended.exit_code == 0, ended.output
        assert ended.stdout.count("give --replications 2 or more") == 1


def test_no_cluster_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address at which no scheduler answers, or that is none, is told with the address, and how to start one."""
    pytest.importorskip("distributed", reason="needs the extra cluster")
    monkeypatch.setattr("scenarios.sweeps.cluster.CONNECT_S", 1)
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        ended = run_line(tmp_path, "sweep", "small.toml", "--replications", "1", "--cluster", address)
        assert ended.exit_code == USAGE_ERROR, ended.output
        assert f"--cluster {address}: no Dask scheduler answers there" in ended.stderr


def test_the_cost_of_an_omission_is_the_paired_difference(small: Scenario) -> None:
    """The cost is what the runs without an attribute take more than those with it, seed by seed."""
    toggled, toggles = toggles_of(small)
    assert [(t.attribute, t.published) for t in toggles] == [
        ("stateless_activities", True),
        ("snapshot_replication", True),
        ("backup_compression_techniques", False),
        ("handle_scope", False),
    ]
    frame = sweep(toggled, {}, replications=3, jobs=1)
    costs = {(c.attribute, c.measure): c for c in costs_of(frame, toggles, 0.95)}
    by_seed = frame.set_index(["variant", "seed"])["completion[copy]"]
    for toggle in toggles:
        pairs = by_seed[toggle.variant] - by_seed[AS_PUBLISHED]
        cost = costs[toggle.attribute, "completion[copy]"]
        assert cost.mean == pytest.approx(float(pairs.mean()) * (1 if toggle.published else -1))
        assert cost.pairs == 3 and cost.low is not None and cost.high is not None and cost.low <= cost.mean <= cost.high
    assert costliest(list(costs.values()), "completion[copy]")[0].attribute == "snapshot_replication"
    without = parse_scenario(
        json.loads(
            json.dumps(
                {**_data(small), "driver": {"vendor": {"publication": {"stateless_activities": ["create_snapshot"]}}}}
            )
        ),
        "without",
    )
    toggled, toggles = toggles_of(without)
    assert [toggle.attribute for toggle in toggles if toggle.published] == ["stateless_activities"]
    other = {
        c.attribute: c
        for c in costs_of(sweep(toggled, {}, 2, jobs=1), toggles, 0.95)
        if c.measure == "completion[copy]"
    }
    assert other["snapshot_replication"].mean == pytest.approx(costs["snapshot_replication", "completion[copy]"].mean)


def _data(scenario: Scenario) -> dict[str, Any]:
    from scenarios.reading import scenario_data

    return {key: value for key, value in scenario_data(scenario).items() if key != "variant"}


def test_the_line_tells_which_omission_costs_most(tmp_path: Path) -> None:
    """The verb prints a row for each attribute, the costliest first, concludes with it, and writes all of it."""
    ended = run_line(tmp_path, "costs", "small.toml", "--out", "c", "--jobs", "1")
    assert ended.exit_code == 0, ended.output
    assert "leaving out snapshot_replication would cost most: 1.1" in ended.stdout
    table = pandas.read_csv(tmp_path / "c" / "costs.csv")
    assert set(table["attribute"]) == {t.attribute for t in toggles_of(load_scenario(tmp_path / "small.toml"))[1]}
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["costs.csv", "costs.png", "costs.svg", "runs.parquet"]
    gain = run_line(tmp_path, "costs", "small.toml", "--out", "c", "--measure", "io_done")
    assert gain.exit_code == USAGE_ERROR and "--measure io_done[load]: more of it is better" in gain.stderr
    wrong = run_line(tmp_path, "costs", "small.toml", "--driver", "vendr")
    assert wrong.exit_code == USAGE_ERROR and "did you mean 'vendor'?" in wrong.stderr
    both = run_line(tmp_path, "costs", "small.toml", "--jobs", "2", "--cluster", "tcp://127.0.0.1:1")
    assert both.exit_code == USAGE_ERROR and "leave one of them out" in both.stderr


def test_break_even_by_size(tmp_path: Path) -> None:
    """With a set-up of native replication, volumes lose by it whose clone takes less time: the sweep says from which
    size on it is ahead, and the simulated points on either side agree."""
    settings = ("--set", "backend.primary.replication_setup=4s", "--set", "backend.write=500 MB/s")
    line = ("--vary", "volume.size=1,2,3GiB", "--margin", "0", "--replications", "2", "--jobs", "1", "--out", "o")
    ended = run_line(tmp_path, "sweep", "small.toml", *settings, *line)
    assert ended.exit_code == 0, ended.output
    # the clone of S takes S / 500 MB/s, and four short jobs with their polls a little more: S is below 2 GB
    (found,) = [line for line in ended.stdout.splitlines() if line.startswith("break-even at volume.size = 1.")]
    assert found.endswith("below it fallback is ahead, above it native is ahead")
    ahead = [row.split("│")[4].strip() for row in ended.stdout.splitlines() if "GiB │" in row]
    assert ahead == ["fallback", "native", "native"]


@pytest.mark.long
def test_break_even_by_codec(small: Scenario) -> None:
    """Over a slow link the strongest codec wins, over a fast one none; the closed form says where that changes, and the
    simulation agrees on either side."""
    variants = {
        technique: {"set": {"operation.copy.techniques": [technique]}} for technique in ("none", "zlib", "zstd")
    }
    assert set(variants) <= set(TECHNIQUES)
    data = _data(small) | {"operation": {"copy": {"do": "backup_snapshot", "volume": "data"}}, "variant": variants}
    data["driver"] = {"vendor": {"publication": {"backup_compression_techniques": ["zstd", "zlib"]}}}
    codecs = parse_scenario(data, "codecs")
    axes = axes_from(["link.bandwidth=0.1,1,3,6,10Gb"])
    changes = break_evens(codecs, axes, "completion[copy]", 0.0)
    assert [(change.below, change.above) for change in changes] == [("zstd", "none")]
    frame = sweep(codecs, {axes[0].key: axes[0].values}, replications=2, jobs=1)
    for point in summarize(frame, axes, "completion[copy]"):
        below = float(point.values[0].removesuffix("Gb")) * 125e6 < changes[0].at
        assert point.best == ("zstd" if below else "none")


def test_only_what_is_in_the_grid_has_to_be_feasible(small: Scenario) -> None:
    """A value of the file that no run has does not keep a sweep from running; a point that is too heavy does, though
    each of its values alone is not."""
    busy = with_values(small, {"workload.load.rate": "4000000 /s"})
    axes = axes_from(["workload.load.rate=10,20/s", "volume.size=1,2GiB"])
    assert len(grid_of(busy, axes)) == 2 * 2 * 2 * 2
    light = with_values(small, {"workload.load.rate": "10 /s"})
    for alone in (["workload.load.rate=10,100000/s"], ["volume.size=1,500GiB"]):
        grid_of(light, axes_from(alone))
    with pytest.raises(ScenarioError, match=r"more than scenario\.most_ios"):
        grid_of(light, axes_from(["workload.load.rate=10,100000/s", "volume.size=1,500GiB"]))
