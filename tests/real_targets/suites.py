"""The conformance suites on the real targets: `python -m tests.real_targets.suites --report DIR tgt lio`.

A target that can't be had on this machine is skipped; the summary says so, and why. Ends with status 1 if a suite did
not pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

GROUP = "backend_activity.testbeds"


def lacks(testbed: str) -> str | None:
    """What this machine lacks for a testbed."""
    (entry,) = entry_points(group=GROUP, name=testbed)
    found: str | None = entry.load().missing()
    return found


def main() -> int:
    """Run the suites of the reference driver on each testbed, and print the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("testbeds", nargs="+")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--check-timeout", default="900", help="seconds; a virtual machine takes its time")
    parser.add_argument("--report", default="backend-activity-report-real", type=Path)
    options = parser.parse_args()
    summary, status = [], 0
    for testbed in options.testbeds:
        reason = lacks(testbed)
        if reason is not None:
            summary.append(f"{testbed}: SKIPPED: {reason}")
            continue
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-n", options.jobs]
        command += ["--driver", "reference", "--testbed", testbed, "--report", str(options.report / testbed)]
        command += ["--check-timeout", options.check_timeout]
        done = subprocess.run(command, check=False)
        took = f"{time.monotonic() - began:.0f} s"
        summary.append(f"{testbed}: " + (f"passed in {took}" if done.returncode == 0 else f"FAILED after {took}"))
        status = max(status, int(done.returncode != 0))
    print("== real targets", *summary, sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
