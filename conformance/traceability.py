"""Which checks establish each clause, and which faulty drivers and taskflows prove that those checks can fail.

`python -m conformance.traceability` writes the table to TRACEABILITY.md beside this module; with `--check` it writes
nothing and ends with status 1 where the table is not up to date or a clause has a gap.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance import suite
from conformance.checks import spec_of
from conformance.clauses import CLAUSES, SPECIFICATION_VERSION
from conformance.faulty import catalogue as drivers
from conformance.faulty_taskflows import catalogue as taskflows
from harness.results import ClauseInfo

TABLE = Path(__file__).with_name("TRACEABILITY.md")
"""Where the table is kept."""

LEAST_DRIVERS = 2
"""How many faulty drivers prove a clause that binds the driver, at the least."""

LEAST_TASKFLOWS = 2
"""How many faulty taskflows prove a clause that binds the taskflow, at the least."""


@dataclass
class Row:
    """One clause: the names of its checks, with their module, and of what is faulty and has to be found by it."""

    clause: ClauseInfo
    checks: list[str] = field(default_factory=list)
    faulty_drivers: list[str] = field(default_factory=list)
    faulty_taskflows: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sources:
    """What the table is made of: clauses by id; and the clauses of each check, faulty driver and faulty taskflow.

    A check is named `module.function`. `checks` holds every test function of the suites, with no clause where none was
    declared.
    """

    clauses: Mapping[str, ClauseInfo]
    checks: Mapping[str, tuple[str, ...]]
    faulty_drivers: Mapping[str, tuple[str, ...]]
    faulty_taskflows: Mapping[str, tuple[str, ...]]


def sources() -> Sources:
    """The clauses, suites and catalogues as they are."""
    checks: dict[str, tuple[str, ...]] = {}
    for module_name in suite.MODULES:
        for name, function in vars(importlib.import_module(module_name)).items():
            if name.startswith("test_") and inspect.isfunction(function) and function.__module__ == module_name:
                spec = spec_of(function)
                checks[f"{module_name.rpartition('.')[2]}.{name}"] = spec.clauses if spec is not None else ()
    return Sources(
        CLAUSES,
        checks,
        {driver.name: driver.must_fail for driver in drivers.catalogue()},
        {taskflow.name: taskflow.must_fail for taskflow in taskflows.catalogue()},
    )


def rows(given: Sources) -> list[Row]:
    """The table, one row a clause, in the order of the specification."""
    table = {clause_id: Row(clause) for clause_id, clause in given.clauses.items()}
    for name, clauses in given.checks.items():
        for clause_id in clauses:
            if clause_id in table:
                table[clause_id].checks.append(name)
    for name, clauses in given.faulty_drivers.items():
        for clause_id in clauses:
            if clause_id in table:
                table[clause_id].faulty_drivers.append(name)
    for name, clauses in given.faulty_taskflows.items():
        for clause_id in clauses:
            if clause_id in table:
                table[clause_id].faulty_taskflows.append(name)
    return list(table.values())


def gaps(given: Sources) -> list[str]:
    """What is missing, in words; empty if every clause is traced.

    A clause that `clauses.py` flags as not checked yet (`u`) may be without a check, but not have one. Advisory clauses
    decide no verdict, so nothing faulty has to prove them.
    """
    found = []
    for name, clauses in given.checks.items():
        if not clauses:
            found.append(f"{name} names no clause; declare it with @check")
    for kind, names in (
        ("check", given.checks),
        ("faulty driver", given.faulty_drivers),
        ("faulty taskflow", given.faulty_taskflows),
    ):
        found += [
            f"the {kind} {name} names {clause_id}, which is no clause"
            for name, clauses in names.items()
            for clause_id in clauses
            if clause_id not in given.clauses
        ]
    for row in rows(given):
        found += _gaps_of(row)
    return found


def _gaps_of(row: Row) -> list[str]:
    clause, found = row.clause, []
    for name in row.faulty_drivers:
        if not clause.binds_driver:
            found.append(f"the faulty driver {name} is to fail {clause.id}, which binds no driver")
    for name in row.faulty_taskflows:
        if "T" not in clause.who:
            found.append(f"the faulty taskflow {name} is to fail {clause.id}, which binds no taskflow")
    if not clause.checked:
        if row.checks:
            found.append(f"{clause.id} has a check; take the flag u off it in clauses.py")
        return found
    if not row.checks:
        found.append(f"{clause.id} has no check")
    if not clause.mandatory:
        return found
    if clause.binds_driver and len(row.faulty_drivers) < LEAST_DRIVERS:
        found.append(f"{clause.id} has {len(row.faulty_drivers)} faulty drivers that prove it, not {LEAST_DRIVERS}")
    if "T" in clause.who and len(row.faulty_taskflows) < LEAST_TASKFLOWS:
        number = len(row.faulty_taskflows)
        found.append(f"{clause.id} has {number} faulty taskflows that prove it, not {LEAST_TASKFLOWS}")
    return found


def render(table: Sequence[Row]) -> str:
    """The table as Markdown."""
    unchecked = [row.clause.id for row in table if not row.clause.checked]
    lines = [
        "# Traceability",
        "",
        f"Specification version {SPECIFICATION_VERSION}. Generated by `python -m conformance.traceability`; not to be "
        "edited by hand.",
        "",
        "Each clause of [SPECIFICATION.md](SPECIFICATION.md), the checks that establish it, and the faulty drivers "
        "([faulty/](faulty/)) and",
        "faulty taskflows ([faulty_taskflows/](faulty_taskflows/)) that each of these clauses has to find.",
        "",
        f"Not checked in this version: {', '.join(unchecked)}." if unchecked else "Every clause has a check.",
        "",
        "| clause | who | what it asks | checks | faulty drivers | faulty taskflows |",
        "|---|---|---|---|---|---|",
    ]
    for row in table:
        title = row.clause.title if row.clause.mandatory else f"*(advisory)* {row.clause.title}"
        cells = [row.clause.id, row.clause.who, title, _list(row.checks)]
        cells += [_list(row.faulty_drivers), _list(row.faulty_taskflows)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _list(names: Iterable[str]) -> str:
    return "<br>".join(f"`{name}`" for name in names) or "–"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the table; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance.traceability", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with status 1 where something is amiss"
    )
    given = sources()
    text = render(rows(given))
    amiss = gaps(given)
    if parser.parse_args(arguments).check:
        if not TABLE.exists() or TABLE.read_text(encoding="utf-8") != text:
            amiss.append(f"{TABLE.name} is not up to date; run python -m conformance.traceability and commit it")
    else:
        TABLE.write_text(text, encoding="utf-8")
    for gap in amiss:
        print(gap, file=sys.stderr)
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main())
