"""Runs libiscsi's own test program, iscsi-test-cu, against a target; a test that skips is no pass."""

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
_SUITE = re.compile(r"^Suite: (.+)$")
_TEST = re.compile(r"^  Test: (\S+) \.\.\.(.*)$")
_END = re.compile(r"^(passed|FAILED)\b")
_SUMMARY = re.compile(r"^ +tests +(\d+)")


def outcomes(target: Target, directory: Path, family: str = "ALL") -> dict[str, str]:
    """Test → "passed", "skipped" or "failed", of a whole run on a LUN of 100 MiB whose file is made in `directory`.

    Raises `NotInstalled`, and `AssertionError` where the program's own summary counts other tests.
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
    done = subprocess.run(
        [program, "--dataloss", "--verbose", "--test", family, *names, url],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    target.detach_file(name)
    target.destroy(name)
    found = dict(read(done.stdout))
    counted = next((int(m[1]) for m in map(_SUMMARY.match, done.stdout.splitlines()) if m), 0)
    assert len(found) == counted > 0, f"{counted} tests were run, {len(found)} were read: {done.stdout[-1000:]}"
    return found


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
