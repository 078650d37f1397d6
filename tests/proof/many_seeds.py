"""The whole proof over many seeds, too long for CI: `make proof`, or `python -m tests.proof.many_seeds --help`.

Honest drivers: no check fails or is left unverifiable. Faulty drivers: the declared clauses find each, and nothing
fails beyond its declared consequences, every check being run on both simulated testbeds. Prints the figures; the exit
status is 1 where anything is amiss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from conformance.faulty import catalogue as faulty_drivers
from conformance.honest import catalogue as honest_drivers
from harness.loading import CandidateSpec
from tests.proof.support import SIMULATED, beyond, errors, missed, not_good, run_all, run_seeds

BATCH = 10
"""Seeds that one cell runs."""


def honest(name: str, first: int, seeds: int) -> tuple[int, list[str]]:
    """Run an honest driver for seeds `first` and on; returns how many seeds, and what went wrong."""
    driver = next(d for d in honest_drivers.catalogue() if d.name == name)
    amiss: list[str] = []
    for testbed, seed, results in run_seeds(driver.spec(), range(first, first + seeds)):
        amiss += [f"{name}, seed {seed} on {testbed}: {told}" for told in not_good(results)]
    return seeds, amiss


def faulty(name: str, seed: int) -> tuple[int, list[str]]:
    """Run a faulty driver for one seed on both testbeds; returns how many runs, and what went wrong."""
    driver = next(d for d in faulty_drivers.catalogue() if d.name == name)
    amiss = []
    for testbed in SIMULATED:
        results = run_all(CandidateSpec.for_driver(driver.reference), testbed, seed)
        where = f"{name}, seed {seed} on {testbed}"
        amiss += [f"{where}: {error}" for error in errors(results)]
        amiss += [f"{where}: {clause} did not find it" for clause in missed(driver, results)]
        amiss += [f"{where}: beyond its consequences, {c}: {told}" for c, told in beyond(driver, results).items()]
    return len(SIMULATED), amiss


def show(what: str, outcomes: Iterator[tuple[int, list[str]]], total: int) -> bool:
    """Print what goes wrong as it comes, and the figure at the end; whether all went well."""
    done = wrong = 0
    for runs, amiss in outcomes:
        done += runs
        wrong += len(amiss)
        for line in amiss:
            print(line, flush=True)
        print(f"\r{what}: {done} of {total} runs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{what}: {done} runs of all checks, in which {wrong} results are not as they have to be", flush=True)
    return wrong == 0


def main() -> int:
    """Run both proofs; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof.many_seeds", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--honest-seeds", type=int, default=200, help="seeds for each honest driver (default 200)")
    parser.add_argument("--faulty-seeds", type=int, default=20, help="seeds for each faulty driver (default 20)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    asked = parser.parse_args()
    good = [d.name for d in honest_drivers.catalogue()]
    bad = [d.name for d in faulty_drivers.catalogue()]
    batches = [(first, min(BATCH, asked.honest_seeds + 1 - first)) for first in range(1, asked.honest_seeds + 1, BATCH)]
    with ProcessPoolExecutor(asked.jobs) as pool:
        jobs = [(name, first, seeds) for first, seeds in batches for name in good]
        well = show(
            "honest drivers",
            pool.map(honest, *([job[i] for job in jobs] for i in range(3))),
            len(good) * asked.honest_seeds,
        )
        total = len(bad) * asked.faulty_seeds * len(SIMULATED)
        rounds = [pool.map(faulty, bad, repeat(seed)) for seed in range(1, asked.faulty_seeds + 1)]
        found = show("faulty drivers", (outcome for each in rounds for outcome in each), total)
    return 0 if well and found else 1


if __name__ == "__main__":
    sys.exit(main())
