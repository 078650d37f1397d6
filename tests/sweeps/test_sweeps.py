"""Sweeps lose no run and repeat none, whoever is killed, and their file does not depend on who ran what when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_samples import SWEEP, Accident, Here, grid, plain, pool

from scenarios.sweeps.conduct import JOURNAL_NAME, RUNS_NAME, conduct
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import RunSpec
from scenarios.sweeps.journal import Journal
from scenarios.sweeps.runs_file import read_runs
from scenarios.sweeps.work import Work


def here(run_one: object) -> object:
    """What makes an executor in this process."""
    return lambda: Here(Work(run_one, grid()))  # type: ignore[arg-type]


def nobody() -> Here:
    """An executor that must not be made."""
    raise AssertionError("nothing was left to run")


def counted(log: Path) -> dict[int, int]:
    """How often each run was run."""
    numbers = [int(line) for line in log.read_text().splitlines()] if log.exists() else []
    return {number: numbers.count(number) for number in numbers}


def test_the_file_is_the_same_from_any_executor(tmp_path: Path) -> None:
    """One process, two processes, and batches that come back in reverse write the same file, byte for byte."""
    makers = {"one": pool(plain, 1), "two": pool(plain, 2), "reverse": here(plain)}
    files = [conduct(tmp_path / name, grid(), SWEEP, maker).read_bytes() for name, maker in makers.items()]  # type: ignore[arg-type]
    assert files[0] == files[1] == files[2]
    frame = read_runs(tmp_path / "one" / RUNS_NAME)
    assert frame.to_dict("records") == [plain(grid().run(number)) for number in range(len(grid()))]
    assert [p.name for p in (tmp_path / "one").iterdir()] == [RUNS_NAME]


@pytest.mark.parametrize("kind", ["parent killed", "interrupted"])
def test_a_sweep_goes_on_where_it_was_stopped(tmp_path: Path, kind: str) -> None:
    """After kill -9 of the parent, or Ctrl-C, its workers end; the sweep then runs exactly what was not finished."""
    where, log = tmp_path / "out", tmp_path / "out.log"
    program = [sys.executable, str(Path(__file__).with_name("sweep_samples.py")), kind, str(where)]
    # returns once the workers, too, have let go of the pipes
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == (-signal.SIGKILL if kind == "parent killed" else -signal.SIGINT), ended.stderr
    with Journal(where / JOURNAL_NAME, SWEEP) as journal:
        kept = set(journal.rows)
    assert kept and 17 not in kept and not (where / RUNS_NAME).exists()
    first = counted(log)
    log.unlink()
    conduct(where, grid(), SWEEP, here(Accident(kind, log)))  # type: ignore[arg-type]
    assert counted(log) == dict.fromkeys(set(range(len(grid()))) - kept, 1)
    assert kept <= set(first)
    assert list(read_runs(where / RUNS_NAME)["run"]) == list(range(len(grid())))
    conduct(where, grid(), SWEEP, nobody)


def test_a_worker_that_is_killed_costs_no_run(tmp_path: Path) -> None:
    """When a worker is killed, what it had begun is run again in another, and the file is whole."""
    path = conduct(tmp_path / "out", grid(), SWEEP, pool(Accident("worker killed", tmp_path / "log")))
    assert path.read_bytes() == conduct(tmp_path / "plain", grid(), SWEEP, here(plain)).read_bytes()  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "said"), [("poison", "died 3 times"), ("raises", "RuntimeError: no such volume")])
def test_a_run_that_fails_is_named(tmp_path: Path, kind: str, said: str) -> None:
    """A run that kills its process each time, or raises, ends the sweep with its values and seed; the rest is kept."""
    with pytest.raises(SweepError) as ended:
        conduct(tmp_path / "out", grid(), SWEEP, pool(Accident(kind, tmp_path / "log", at=79), jobs=1))
    assert said in str(ended.value)
    assert "link.bandwidth=10Gb, volume.size=2GiB, variant fallback, seed 14" in str(ended.value)
    with Journal(tmp_path / "out" / JOURNAL_NAME, SWEEP) as journal:
        assert 0 in journal.rows and 79 not in journal.rows


def test_lines_that_are_cut_off_do_not_count(tmp_path: Path) -> None:
    """However short the journal was cut, what is whole is taken, the rest is run, and the file is the same."""
    rows = [(number, plain(grid().run(number))) for number in range(len(grid()))]
    with Journal(tmp_path / JOURNAL_NAME, SWEEP) as journal:
        journal.append(rows[:3])
    whole = (tmp_path / JOURNAL_NAME).read_bytes()
    expected = conduct(tmp_path / "plain", grid(), SWEEP, here(plain)).read_bytes()  # type: ignore[arg-type]
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(0, len(whole), 7):
        (tmp_path / JOURNAL_NAME).write_bytes(whole[:length])
        seen: list[int] = []

        def count(spec: RunSpec, seen: list[int] = seen) -> dict[str, object]:
            seen.append(spec.number)
            return plain(spec)

        assert conduct(tmp_path, grid(), SWEEP, here(count)).read_bytes() == expected  # type: ignore[arg-type]
        kept = max(0, sum(end <= length for end in ends) - 1)
        assert sorted(seen) == list(range(kept, len(grid())))
        (tmp_path / RUNS_NAME).unlink()


def test_a_journal_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    """What is appended after a line that was cut off is found again: the rest of that line does not stand before it."""
    rows = [(number, plain(grid().run(number))) for number in range(4)]
    path = tmp_path / JOURNAL_NAME
    with Journal(path, SWEEP) as journal:
        journal.append(rows[:2])
    path.write_bytes(path.read_bytes()[:-20])
    with Journal(path, SWEEP) as journal:
        assert list(journal.rows) == [0]
        journal.append(rows[2:])
    with Journal(path, SWEEP) as journal:
        assert journal.rows == dict([rows[0], *rows[2:]])


def test_damage_is_not_taken_for_a_result(tmp_path: Path) -> None:
    """A digit of a row that was changed on the disk makes that row and what follows it be run again."""
    with Journal(tmp_path / JOURNAL_NAME, SWEEP) as journal:
        journal.append([(number, plain(grid().run(number))) for number in range(3)])
    text = (tmp_path / JOURNAL_NAME).read_text()
    (tmp_path / JOURNAL_NAME).write_text(text.replace('"seed":6', '"seed":9'))
    with Journal(tmp_path / JOURNAL_NAME, SWEEP) as journal:
        assert list(journal.rows) == [0]


def test_another_sweep_is_refused(tmp_path: Path) -> None:
    """Neither the journal nor the file of another scenario, of other contents or of another grid is gone on with; a
    journal without a run is nobody's."""
    for changed, said in ((("scenario", "other"), "its scenario is another"), (("digest", "e"), "other contents"),
                          (("grid", "h"), "its grid is another"), (("harness", "9"), "another version")):  # fmt: skip
        with Journal(tmp_path / JOURNAL_NAME, SWEEP | dict([changed])):
            pass
        with Journal(tmp_path / JOURNAL_NAME, SWEEP) as journal:
            journal.append([(0, plain(grid().run(0)))])
        with pytest.raises(SweepError, match=said):
            conduct(tmp_path, grid(), SWEEP | dict([changed]), nobody)
        (tmp_path / JOURNAL_NAME).unlink()
        path = conduct(tmp_path, grid(), SWEEP, here(plain))  # type: ignore[arg-type]
        with pytest.raises(SweepError, match=said):
            conduct(tmp_path, grid(), SWEEP | dict([changed]), nobody)
        path.unlink()


def test_two_sweeps_do_not_share_a_directory(tmp_path: Path) -> None:
    """While one sweep writes to a directory, another is refused there."""
    with Journal(tmp_path / JOURNAL_NAME, SWEEP):
        with pytest.raises(SweepError, match="another sweep is writing here"):
            conduct(tmp_path, grid(), SWEEP, nobody)


def test_places_that_can_not_be_written(tmp_path: Path) -> None:
    """A directory that can't be made, a journal that is none and a file that is none are refused by name."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(SweepError, match=r"file/out: the directory can't be made"):
        conduct(tmp_path / "file" / "out", grid(), SWEEP, nobody)
    (tmp_path / JOURNAL_NAME).write_text("no journal\n")
    with pytest.raises(SweepError, match="this is no journal"):
        conduct(tmp_path, grid(), SWEEP, nobody)
    (tmp_path / RUNS_NAME).write_text("no parquet")
    with pytest.raises(SweepError, match="no file of a sweep"):
        conduct(tmp_path, grid(), SWEEP, nobody)
    if os.geteuid():  # root may write anywhere
        (tmp_path / "shut").mkdir(mode=0o500)
        with pytest.raises(SweepError, match="can't be written to"):
            conduct(tmp_path / "shut", grid(), SWEEP, nobody)
