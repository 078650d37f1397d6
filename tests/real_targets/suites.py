"""The conformance suites on the real targets: `python -m tests.real_targets.suites --report DIR tgt lio`.

A target that can't be had on this machine is skipped; the summary says so, and why. What a target can't show is
unverifiable on it and no failure; the summary names it. Ends with status 1 if a suite did not pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

from conformance.session import ExitCode

GROUP = "backend_activity.testbeds"

PUBLICATIONS = {"lio": ("conformance/publications/scsi_extended_copy.toml",)}
"""Publications that `--publications` acts out on a testbed beside the reference driver's own: LIO itself makes the
copies of connection-specific activities, and the reference driver's are unrestricted. Not by default: on a machine that
has nothing else to do a look-up may come after the end of such a copy, which leaves H-3 open."""

WORKERS = {"lio": 1.5}
"""Workers for each job, where it is not one: on LIO most of a check is waiting, for copies at their pace and for the
two seconds after which LIO notices that a connection is gone; the processors are idle for four fifths of it."""


def lacks(testbed: str) -> str | None:
    """What this machine lacks for a testbed."""
    (entry,) = entry_points(group=GROUP, name=testbed)
    found: str | None = entry.load().missing()
    return found


def outcome(status: int, report: Path, testbed: str) -> tuple[bool, str]:
    """Whether the suites passed, by their exit status and the report in that directory; and what remains to be said.

    A run that is incomplete only for what the testbed does not offer has passed.
    """
    if status != ExitCode.INCOMPLETE:
        return status == ExitCode.CONFORMANT, "" if status == ExitCode.CONFORMANT else f"exit status {status}"
    (driver,) = json.loads((report / "report.json").read_text(encoding="utf-8"))["drivers"]
    reasons: list[str] = driver["reasons"]
    not_offered = all(f": unverifiable: testbed {testbed} does not offer " in reason for reason in reasons)
    return bool(reasons) and not_offered, "; ".join(reasons)


def main() -> int:
    """Run the suites of the reference driver on each testbed, and print the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("testbeds", nargs="+")
    parser.add_argument("--jobs", default=2, type=int, help="processors to use")
    parser.add_argument("--check-timeout", default="900", help="seconds; a virtual machine takes its time")
    parser.add_argument("--publications", action="store_true", help="also act out publications that a testbed knows")
    parser.add_argument("--report", default="backend-activity-report-real", type=Path)
    options = parser.parse_args()
    summary, status = [], 0
    for testbed in options.testbeds:
        reason = lacks(testbed)
        if reason is not None:
            summary.append(f"{testbed}: SKIPPED: {reason}")
            continue
        runs = {testbed: ("--driver", "reference")}
        for path in PUBLICATIONS.get(testbed, ()) if options.publications else ():
            runs[f"{testbed}-{Path(path).stem}"] = ("--attributes", path)
        for name, driver in runs.items():
            began = time.monotonic()
            command = [sys.executable, "-m", "pytest", "conformance/", "-q"]
            command += ["-n", str(round(options.jobs * WORKERS.get(testbed, 1)))]
            command += [*driver, "--testbed", testbed, "--report", str(options.report / name)]
            command += ["--check-timeout", options.check_timeout]
            done = subprocess.run(command, check=False)
            took = f"{time.monotonic() - began:.0f} s"
            passed, remark = outcome(done.returncode, options.report / name, testbed)
            summary.append(f"{name}: {'passed in' if passed else 'FAILED after'} {took}{remark and '; ' + remark}")
            status = max(status, int(not passed))
    print("== real targets", *summary, sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
