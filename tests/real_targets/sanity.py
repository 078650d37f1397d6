"""Runs libiscsi's own test program, iscsi-test-cu, against a target; a test that skips is no pass.

The tests of iSCSI itself break their sessions (LIO closes a connection whose DataSN is wrong), and what follows on one
that is gone waits for ever. So each of their suites is run by a program of its own, with a limit.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.real_targets.iscsi.target import DATA_PASSWORD, DATA_USER, LUN, Target, host_name
from harness.real_targets.missing import need_program

PROGRAM, PACKAGE = "iscsi-test-cu", "libiscsi-bin"
SIZE = 100 << 20
NAME = "iqn.2026-11.org.example:{realm}:sanity"
LIMIT_S = 900.0
"""Seconds within which the tests of SCSI have to be over; and each suite of those of iSCSI."""
_PART = re.compile(r"SCSI|iSCSI\.\w+")
_SUITE = re.compile(r"^Suite: (.+)$")
_TEST = re.compile(r"^  Test: (\S+) \.\.\.(.*)$")
_END = re.compile(r"^(passed|FAILED)\b")
_SUMMARY = re.compile(r"^ +tests +(\d+)")


def outcomes(target: Target, directory: Path) -> dict[str, str]:
    """Test → "passed", "skipped" or "failed", of a whole run on a LUN of 100 MiB whose file is made in `directory`.

    Raises `NotInstalled`; `AssertionError` where the program's own summary counts other tests, and where one hangs.
    """
    program = need_program(PROGRAM, PACKAGE)
    path = directory / "sanity"
    path.touch()
    os.truncate(path, SIZE)
    name = NAME.format(realm=target.realm)
    target.create(name, DATA_USER, DATA_PASSWORD)
    target.attach_file(name, path, "0123456789abcdef", True)
    url = f"iscsi://{DATA_USER}%{DATA_PASSWORD}@{target.portal}/{name}/{LUN}"
    names = ["-i", host_name("sanity-1"), "-I", host_name("sanity-2")]
    listed = subprocess.run([program, "--list"], capture_output=True, text=True).stdout.splitlines()
    found: dict[str, str] = {}
    for some in filter(_PART.fullmatch, listed):
        argv = [program, "--dataloss", "--verbose", "--test", some, *names, url]
        printed = _printed(argv, directory / f"{some}.log")
        outcome_of = dict(read(printed))
        counted = next((int(m[1]) for m in map(_SUMMARY.match, printed.splitlines()) if m), 0)
        assert len(outcome_of) == counted > 0, (
            f"{some}: {counted} tests were run, {len(outcome_of)} were read: {printed[-1000:]}"
        )
        found |= outcome_of
    target.detach_file(name)
    target.destroy(name)
    missed = {line for line in listed if line.startswith("ALL.") and line.count(".") == 2} - {f"ALL.{t}" for t in found}
    assert not missed, f"these tests were not run: {', '.join(sorted(missed))}"
    return found


def _printed(argv: list[str], log: Path) -> str:
    """What the program prints, which goes to a file, so that it is there of one that hangs."""
    with log.open("w") as file:
        try:
            subprocess.run(argv, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=file, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a test hangs: {log.read_text(errors='replace')[-1000:]}") from None
    return log.read_text(errors="replace")


def read(printed: str) -> Iterator[tuple[str, str]]:
    """The outcome of each test in what the program prints with --verbose."""
    suite = test = ""
    skipped = False
    for line in printed.splitlines():
        if found := _SUITE.match(line):
            suite = found[1].strip()
            continue
        if found := _TEST.match(line):
            test, skipped, line = found[1], False, found[2].strip()
        skipped = skipped or "[SKIPPED]" in line
        if test and (ended := _END.match(line)):
            yield f"{suite}.{test}", "failed" if ended[1] == "FAILED" else "skipped" if skipped else "passed"
            test = ""
