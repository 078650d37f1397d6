"""The whole proof over many seeds, too long for CI: `make proof`, or `python -m tests.proof.many_seeds --help`.

Honest drivers: no check fails or is left unverifiable. Faulty drivers: the declared clauses find each, and nothing
fails beyond its declared consequences, every check being run on both simulated testbeds. Under schedules (every single
fault at every step, and drawn ones): no honest driver fails, and of a faulty one nothing beyond what it declares.

The proof can be interrupted, with Ctrl-C or by `--minutes`, and goes on where it was; it prints what is proved so far.
The exit status is 0 if all is proved, 1 where anything is amiss, 3 where something is left to do
(2 is that of a wrong command line).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from conformance.faulty import catalogue as faulty_drivers
from conformance.honest import catalogue as honest_drivers
from harness.loading import CandidateSpec
from tests.proof.resumable import Done, Job, Progress, code_digest, work
from tests.proof.support import (
    SIMULATED,
    bed_for,
    beyond,
    errors,
    missed,
    not_good,
    run_all,
    run_schedules,
    run_seeds,
)

BATCH = 10
"""Seeds that one cell runs of an honest driver's single checks; of all else it runs one."""

HONEST, FAULTY = "honest drivers", "faulty drivers"
HONEST_SCHEDULES, FAULTY_SCHEDULES = "honest drivers under schedules", "faulty drivers under schedules"


def run(job: Job) -> Done:
    """Run a job; what went wrong is in the result."""
    seeds = range(job.first, job.first + job.seeds)
    amiss: list[str] = []
    runs = 0
    if job.kind in (HONEST, HONEST_SCHEDULES):
        honest = next(d for d in honest_drivers.catalogue() if d.name == job.name)
        spec, under_schedules = honest.spec(), job.kind == HONEST_SCHEDULES
        every = ((bed_for(s), s, run_schedules(spec, bed_for(s), s)) for s in seeds)
        for testbed, seed, results in every if under_schedules else run_seeds(spec, seeds):
            amiss += [f"{job.name}, seed {seed} on {testbed}: {told}" for told in not_good(results)]
            runs += 1
        return Done(job, runs, amiss)
    faulty = next(d for d in faulty_drivers.catalogue() if d.name == job.name)
    spec = CandidateSpec.for_driver(faulty.reference)
    for seed in seeds:
        for testbed in SIMULATED if job.kind == FAULTY else (bed_for(seed),):
            results = (run_all if job.kind == FAULTY else run_schedules)(spec, testbed, seed)
            where = f"{job.name}, seed {seed} on {testbed}"
            amiss += [f"{where}: {error}" for error in errors(results)]
            if job.kind == FAULTY:  # schedules judge the clauses of callers that meet, faults and leftovers only
                amiss += [f"{where}: {clause} did not find it" for clause in missed(faulty, results)]
            amiss += [f"{where}: beyond its consequences, {c}: {told}" for c, told in beyond(faulty, results).items()]
            runs += 1
    return Done(job, runs, amiss)


def plan(honest: int, faulty: int, under_schedules: int) -> list[Job]:
    """The jobs of so many seeds, all drivers having their turn at a seed before the next one begins."""
    good = [d.name for d in honest_drivers.catalogue()]
    bad = [d.name for d in faulty_drivers.catalogue()]
    firsts = range(1, honest + 1, BATCH)
    jobs = [Job(HONEST, name, first, min(BATCH, honest + 1 - first)) for first in firsts for name in good]
    jobs += [Job(FAULTY, name, seed, 1) for seed in range(1, faulty + 1) for name in bad]
    for seed in range(1, under_schedules + 1):
        jobs += [Job(HONEST_SCHEDULES, name, seed, 1) for name in good]
        jobs += [Job(FAULTY_SCHEDULES, name, seed, 1) for name in bad]
    return jobs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is left of the proofs; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof.many_seeds", description=(__doc__ or "").split("\n")[0]
    )
    kinds = (HONEST, FAULTY, HONEST_SCHEDULES, FAULTY_SCHEDULES)
    parser.add_argument("--honest-seeds", type=int, default=200, help="seeds for each honest driver (default 200)")
    parser.add_argument("--faulty-seeds", type=int, default=20, help="seeds for each faulty driver (default 20)")
    parser.add_argument("--schedule-seeds", type=int, default=20, help="seeds for each under schedules (default 20)")
    parser.add_argument("--only", choices=kinds, action="append", help="only this proof; may be repeated")
    parser.add_argument("--minutes", type=float, help="begin nothing new after so many minutes")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument(
        "--progress", type=Path, default=Path(".proof/progress.jsonl"), help="where it is kept what is done"
    )
    asked = parser.parse_args(arguments)
    jobs = [
        job
        for job in plan(asked.honest_seeds, asked.faulty_seeds, asked.schedule_seeds)
        if asked.only is None or job.kind in asked.only
    ]
    progress = Progress(asked.progress, code_digest())
    until = None if asked.minutes is None else time.monotonic() + 60 * asked.minutes
    left = progress.left(jobs)
    with contextlib.suppress(KeyboardInterrupt), ProcessPoolExecutor(asked.jobs) as pool:
        try:
            for done in work(pool, run, left, asked.jobs, lambda: until is None or time.monotonic() < until):
                progress.note(done)
                print(
                    "\n".join([f"{done.job.kind}, {done.job.name}, from seed {done.job.first}", *done.amiss]),
                    flush=True,
                )
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for kind in kinds:
        if asked.only is None or kind in asked.only:
            print(progress.figure(kind, jobs), flush=True)
    if any(progress.done[job].amiss for job in jobs if job in progress.done):
        return 1
    return 3 if progress.left(jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
