"""The verb `run`, and the example, as their users meet them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.cli import main
from harness.study_results import Estimate, Study
from scenarios.table import shown

Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("--set", "volume.size=1GiB", "--set", "workload.oltp.think=20 ms")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `activity-harness run` in an empty directory, in a process of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "harness.cli", "run", *arguments]
        return subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_run_prints_a_table_and_writes_results(command: Command, tmp_path: Path) -> None:
    """The table has a column for each variant, JSON and Parquet have every run with the seed that makes it again."""
    done = command("native-or-fallback", *SMALL, "--seed", "3", "--replications", "2", "--out", "study")
    assert done.returncode == 0, done.stderr
    for text in ("native", "fallback", "completion", "2 replications (seeds 3 to 4)", "Student's t"):
        assert text in done.stdout
    study = Study.model_validate_json((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert study.scenario == "native-or-fallback"
    assert json.loads(study.scenario_text)["volume"]["data"]["size"] == "1 GiB"
    table = pq.read_table(tmp_path / "study" / "runs.parquet")
    written = [(row["variant"], row["seed"], row["completion[replicate]"]) for row in table.to_pylist()]
    assert written == [(row.variant, row.seed, row.value("completion", "replicate")) for row in study.rows]
    assert table.schema.field("completion[replicate]").metadata[b"unit"] == b"s"
    assert table.schema.metadata[b"scenario"] == b"native-or-fallback"
    assert {row["seed"] for row in table.to_pylist()} == {3, 4}


def test_a_value_that_a_variant_sets_itself_is_told(command: Command) -> None:
    """Who sets what a variant sets too is warned where that does not count; who sets anything else is not."""
    key = "driver.vendor.publication.snapshot_replication"
    done = command("native-or-fallback", *SMALL, "--set", f"{key}=true", "--replications", "1")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert warnings == [f"warning: --set {key}: variant fallback sets {key} itself, which counts there"]


def test_a_driver_of_one_s_own_is_found_beside_the_scenario(tmp_path: Path) -> None:
    """A class in a module of the working directory is the driver of the runs, without anything set for Python."""
    (tmp_path / "study_own_driver.py").write_text(
        "from harness.reference_driver import ReferenceDriver\nclass Own(ReferenceDriver):\n"
        "    def start_activity(self, *arguments, **named):\n        raise ValueError('mine')\n"
    )
    line = ("--set", "driver.vendor.target=study_own_driver:Own", "--replications", "1", "--set", "volume.size=1GiB")
    done = subprocess.run(
        [Path(sys.executable).with_name("activity-harness"), "run", "native-or-fallback", *line],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, "Own.start_activity: raised ValueError: mine" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-such",), "give a .toml file, or the name of a scenario of the library"),
        (("bad.toml",), "bad.toml: link.bandwith: there is no such key; did you mean 'bandwidth'?"),
        (("native-or-fallback", "--set", "volume.size"), "write it as KEY=VALUE"),
        (("native-or-fallback", "--set", "volume.size=big"), "volume.data.size is 'big'"),
        (("native-or-fallback", "--replications", "0"), "--replications"),
        (
            ("native-or-fallback", "--set", "workload.oltp.rate=1e9/s"),
            "workload.oltp.rate is 1000000000.0 /s on 1 volumes: in variant native a run of about 68.86 s would have "
            "about 6.9e+10 I/Os, more than scenario.most_ios, 20,000,000; lower the rate",
        ),
        (
            ("native-or-fallback", "--set", "driver.vendor.target=json:JSONDecoder"),
            "the driver json:JSONDecoder of backend primary: it can't be set up: TypeError: ",
        ),
        (("backup-window", "--set", "scenario.most_ios=1000"), "volume.fleet.count is 10000"),
        (("log.toml",), "log.toml: workload.w.replay is '/dev/zero': it is not a regular file; give the path of a log"),
    ],
)
def test_what_can_not_be_run_is_refused(
    arguments: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A usage error ends with status 4 and a message that says what to do."""
    (tmp_path / "bad.toml").write_text('[link]\nbandwith = "1 Gb/s"\n')
    (tmp_path / "log.toml").write_text('[workload.w]\nvolume = "v"\nreplay = "/dev/zero"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["activity-harness", "run", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_results_that_can_not_be_written_are_told(command: Command, tmp_path: Path) -> None:
    """Where results can't be written the table is printed all the same, and the message asks for another place."""
    (tmp_path / "taken").write_text("")
    done = command("native-or-fallback", *SMALL, "--replications", "1", "--out", "taken")
    assert done.returncode == 4
    assert "completion" in done.stdout
    assert "give another --out" in done.stderr
    assert "Traceback" not in done.stderr


INTERRUPTED = """
import os, signal, sys
from harness.cli import main
from scenarios.workloads import IoLog
noted = IoLog.issue
def issue(log, now_ns, size):
    if len(log.sizes) == 1000:  # in the task of an I/O, for which nobody waits
        os.kill(os.getpid(), signal.SIGINT)
    return noted(log, now_ns, size)
IoLog.issue = issue
sys.argv[1:] = ["run", "native-or-fallback", "--set", "workload.oltp.rate=1000/s"]
main()
"""


def test_a_run_that_is_interrupted_ends(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a long run, whoever's turn it is then, ends it with status 2 and a message alone."""
    program = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.strip() == "activity-harness run: interrupted; nothing was written"


def test_a_run_that_comes_to_no_end_is_a_harness_error(command: Command) -> None:
    """A run past its horizon ends with status 3 and says who was waiting for what."""
    done = command("native-or-fallback", "--set", "scenario.horizon=5s", "--replications", "1")
    assert done.returncode == 3
    assert "came to no end" in done.stderr
    assert "horizon" in done.stderr


def test_the_example_does_its_study(tmp_path: Path) -> None:
    """The example for notebooks prints what the omission costs at each size, proportional to it."""
    program = [sys.executable, "-m", "scenarios.examples.replication_costs"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    costs = [line.split() for line in done.stdout.splitlines() if line.endswith("more than natively")]
    found = {int(words[0]): float(words[5]) for words in costs}
    assert found == {size: pytest.approx(size * 1.0737, rel=0.1) for size in (1, 8, 64)}


def test_figures_are_written_as_people_write_them() -> None:
    """Half of an interval is in the unit of the larger of it and the mean, without exponents for ordinary numbers."""

    def text(mean: float, half: float, unit: str) -> str:
        return shown(Estimate(variant="v", name="m", unit=unit, count=3, mean=mean, low=mean - half, high=mean + half))

    assert text(64 << 30, 0.0, "bytes") == "64 GiB"
    assert text(20.475, 0.000069, "s") == "20.48 ± 0.000069 s"
    assert text(-0.0003738, 0.0047, "s") == "-0.3738 ± 4.7 ms"
    assert text(10711.0, 141.0, "") == "10,711 ± 141"
    assert text(0.0, 0.0, "s") == "0 s"
