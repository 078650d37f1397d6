"""Which faulty driver or taskflow each check was seen to fail on: `witnesses.json`, a line for each check.

`python -m tests.seen_to_fail.witnesses` looks for a witness of each check that has none, or that no longer fails on it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from conformance.invocations import COPYING, MOVING
from conformance.suite import CheckCase, cases
from conformance.test_handles import USES
from tests.proof.support import cell
from tests.seen_to_fail.suspects import Suspect, suspects

FILE = Path(__file__).with_name("witnesses.json")

NO_STEP = "not applicable by itself: that way of replicating has no such step"
NOBODY = "not applicable by itself: after a restart nobody has the first connection"
ADVISORY = "advisory: it tells of what it finds (tests/proof/test_under_claimed.py), and fails nobody"
UNSEEN = {
    **{
        f"test_nothing_is_left_after_a_fault_and_one_clean_up[native,{step} fails]": NO_STEP
        for step in ("clone", "migrate", "snapshot", "delete")
    },
    **{
        f"test_nothing_is_left_after_a_fault_and_one_clean_up[{way},replicate fails]": NO_STEP
        for way in ("fallback", "other family")
    },
    **{f"test_scope_holds_after_the_first_connection_is_gone[restarted,same connection,{use}]": NOBODY for use in USES},
    **{f"test_method_that_could_be_listed_is[{method}]": ADVISORY for method in (*COPYING, *MOVING)},
}
"""The checks that nothing can fail, each with the reason."""


def witnesses() -> dict[str, Suspect]:
    """The witness of each check that has one, by the check's name."""
    if not FILE.exists():
        return {}
    return {check: Suspect(**found) for check, found in json.loads(FILE.read_text(encoding="utf-8")).items()}


def by_suspect(found: dict[str, Suspect]) -> dict[Suspect, list[CheckCase]]:
    """What each witness has to fail, witnesses in the order of the suites."""
    grouped: dict[Suspect, list[CheckCase]] = {}
    for case in cases():
        if case.name in found:
            grouped.setdefault(found[case.name], []).append(case)
    return grouped


def not_failed(suspect: Suspect, checks: list[CheckCase]) -> list[str]:
    """The names of the checks that a witness does not fail."""
    with cell() as where:
        return [case.name for case in checks if not suspect.fails(where, case)]


def main() -> None:
    """Find witnesses, and write them down."""
    found = witnesses()
    for suspect, checks in by_suspect(found).items():
        for name in not_failed(suspect, checks):
            del found[name]
    left = [case for case in cases() if case.name not in found and case.name not in UNSEEN]
    for suspect in suspects():
        if not left:
            break
        print(f"\r{len(left)} checks are without a witness; {suspect.kind} {suspect.name:40}", end="", file=sys.stderr)
        with cell() as where:
            seen = [case for case in left if suspect.fails(where, case)]
        found |= {case.name: suspect for case in seen}
        left = [case for case in left if case not in seen]
        _write(found)
    print(f"\n{len(found)} checks have a witness; without one are:", *(case.name for case in left), sep="\n  ")


def _write(found: dict[str, Suspect]) -> None:
    lines = [f"{json.dumps(c.name)}: {json.dumps(asdict(found[c.name]))}" for c in cases() if c.name in found]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
