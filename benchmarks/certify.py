"""How long certifying takes, and how that compares with the targets: `python -m benchmarks.certify`.

Targets, on 2 cores after installation: the reference driver on one simulated backend in at most 10 s, all that
`make certify` runs in at most 60 s. Each row is the median of the runs, with least and most, in seconds of wall time.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PUBLICATIONS = ROOT / "conformance" / "publications"

CASES: dict[str, tuple[float, list[str]]] = {
    "reference on iscsi-sim": (10.0, ["--driver", "reference", "--testbed", "iscsi-sim"]),
    "reference on nfs-sim": (10.0, ["--driver", "reference", "--testbed", "nfs-sim"]),
    "all of make certify": (
        60.0,
        [
            "--driver",
            "reference",
            "--attributes",
            str(PUBLICATIONS / "zfs_send.toml"),
            "--attributes",
            str(PUBLICATIONS / "scsi_extended_copy.toml"),
        ],
    ),
}


def measure(arguments: list[str], jobs: int) -> float:
    """Seconds of wall time of one run; raises CalledProcessError if it does not end with status 0."""
    report = tempfile.mkdtemp(prefix="certify-")
    command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-n", str(jobs), "--report", report, *arguments]
    started = time.perf_counter()
    try:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    finally:
        shutil.rmtree(report, ignore_errors=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    print(f"{'what':28} {'median':>8} {'least':>8} {'most':>8} {'target':>8}  median/target")
    for name, (target, arguments) in CASES.items():
        times = [measure(arguments, options.jobs) for _ in range(options.runs)]
        median = statistics.median(times)
        row = f"{median:8.1f} {min(times):8.1f} {max(times):8.1f} {target:8.1f}  {median / target:.2f}"
        print(f"{name:28} {row}", flush=True)


if __name__ == "__main__":
    main()
