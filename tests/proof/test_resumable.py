"""The long proof can be interrupted and goes on where it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.proof.many_seeds import FAULTY_SCHEDULES, HONEST, main, plan
from tests.proof.resumable import Done, Job, Progress, work

JOBS = [Job("kind", f"driver {number}", 1, 5) for number in range(6)]


def carry_on(path: Path, code: str, most: int) -> tuple[list[Job], Progress]:
    """Run at most so many jobs of those that are left; which were run, and what is done."""
    progress = Progress(path, code)
    ran: list[Job] = []

    def run(job: Job) -> Done:
        ran.append(job)
        return Done(job, job.seeds, ["wrong"] if job.name == "driver 4" else [])

    with ThreadPoolExecutor(1) as pool:
        for done in work(pool, run, progress.left(JOBS), 1, lambda: len(ran) < most):
            progress.note(done)
    return ran, progress


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """Each job is run once, however often the proof is broken off, and the figure counts all of them."""
    path = tmp_path / "kept" / "progress.jsonl"
    first, progress = carry_on(path, "code", 2)
    assert progress.figure("kind", JOBS).startswith("kind: 6 drivers, 10 of 30 seeds, 10 runs")
    path.write_bytes(path.read_bytes() + b'{"job": {"kind": "kind", "na')  # killed while it wrote
    second, progress = carry_on(path, "code", 3)
    third, progress = carry_on(path, "code", 9)
    assert (first, second, third) == (JOBS[:2], JOBS[2:5], JOBS[5:])
    assert "30 of 30 seeds, 30 runs of all checks, in which 1 results are not" in progress.figure("kind", JOBS)
    assert carry_on(path, "code", 9)[0] == []


def test_other_code_is_proved_anew(tmp_path: Path) -> None:
    """What was proved of other code does not count."""
    carry_on(tmp_path / "progress.jsonl", "code", 9)
    assert carry_on(tmp_path / "progress.jsonl", "other code", 9)[0] == JOBS


def test_what_is_left_is_told_from_a_wrong_command(tmp_path: Path) -> None:
    """The exit status is 3 where seeds are left to do, and another one for a command line that proves nothing."""
    progress = ["--progress", str(tmp_path / "progress.jsonl")]
    assert main(["--only", HONEST, "--minutes", "0", *progress]) == 3
    with pytest.raises(SystemExit) as ended:
        main(["--only", "no such proof", *progress])
    assert ended.value.code == 2


def test_the_plan_gives_every_driver_every_seed() -> None:
    """Each honest driver has each seed once, and each faulty one has as many under schedules as are asked for."""
    jobs = plan(25, 1, 2)
    seeds: dict[tuple[str, str], list[int]] = {}
    for job in jobs:
        seeds.setdefault((job.kind, job.name), []).extend(range(job.first, job.first + job.seeds))
    assert {tuple(s) for (kind, _), s in seeds.items() if kind == HONEST} == {tuple(range(1, 26))}
    assert {tuple(s) for (kind, _), s in seeds.items() if kind == FAULTY_SCHEDULES} == {(1, 2)}
