"""Runs libiscsi's own test program, iscsi-test-cu, against a target; a test that skips is no pass.

The tests of iSCSI itself may break their sessions, and what follows on one that is gone waits for ever; some wait for
an answer that a target does not give. So each of their suites is run by a program of its own, with a limit, and each
test of a suite in which some are known to hang. (Not each test of the others: LUNResetSimpleAsync fails if it is run
alone.)
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

from harness.real_targets.iscsi.target import DATA_PASSWORD, DATA_USER, LUN, Target, host_name
from harness.real_targets.missing import need_program

PROGRAM, PACKAGE = "iscsi-test-cu", "libiscsi-bin"
SIZE = 100 << 20
NAME = "iqn.2026-11.org.example:{realm}:sanity"
SCSI_S, ISCSI_S = 1200.0, 30.0
"""Seconds within which the tests of SCSI have to be over, and each program for those of iSCSI; they take minutes on LIO
without KVM, and some seconds."""
_SUITE = re.compile(r"^Suite: (.+)$")
_TEST = re.compile(r"^  Test: (\S+) \.\.\.(.*)$")
_END = re.compile(r"^(passed|FAILED)\b")
_SUMMARY = re.compile(r"^ +tests +(\d+)")


def outcomes(target: Target, directory: Path, last: Collection[str] = ()) -> dict[str, str]:
    """Test → "passed", "skipped", "failed" or "hung", of a whole run on a LUN of 100 MiB whose file is in `directory`.

    Tests of iSCSI in `last` come last: a LUN with a command that is not answered can't be relied on. If one hung, the
    LUN is left as it is, since it can't be taken back. Raises `NotInstalled`; `AssertionError` where the program's own
    summary counts other tests, or where tests were not run.
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
    for part in _parts(listed, last):
        argv = [program, "--dataloss", "--verbose", "--test", part, *names, url]
        printed = _printed(argv, directory / f"{part}.log", SCSI_S if part == "SCSI" else ISCSI_S)
        if printed is None:
            assert part.count(".") == 2, f"a test of {part} hangs; see {directory / part}.log"
            found[part.removeprefix("iSCSI.")] = "hung"
            continue
        outcome_of = dict(read(printed))
        counted = next((int(m[1]) for m in map(_SUMMARY.match, printed.splitlines()) if m), 0)
        assert len(outcome_of) == counted > 0, (
            f"{part}: {counted} tests were run, {len(outcome_of)} were read: {printed[-1000:]}"
        )
        found |= outcome_of
    if "hung" not in found.values():
        target.detach_file(name)
        target.destroy(name)
    missed = {line for line in listed if line.startswith("ALL.") and line.count(".") == 2} - {f"ALL.{t}" for t in found}
    assert not missed, f"these tests were not run: {', '.join(sorted(missed))}"
    return found


def _parts(listed: list[str], last: Collection[str]) -> list[str]:
    """What to run, each by a program of its own; the tests in `last` last."""
    parts = ["SCSI"]
    for suite in (line for line in listed if line.startswith("iSCSI.") and line.count(".") == 1):
        tests = [line for line in listed if line.startswith(f"{suite}.")]
        parts += tests if any(test.removeprefix("iSCSI.") in last for test in tests) else [suite]
    return sorted(parts, key=lambda part: part.removeprefix("iSCSI.") in last)


def _printed(argv: list[str], log: Path, limit_s: float) -> str | None:
    """What the program prints, None if it does not end within the limit; it is in the log in any case."""
    with log.open("w") as file:
        try:
            subprocess.run(
                argv, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            return None
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
