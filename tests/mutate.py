"""Mutation testing of the harness's own checkers: each is broken in many small ways, and its tests have to notice.

`make mutation` runs all of it, `python -m tests.mutate activity results` two of the modules. The work is done on a copy
of the repository. What survives is printed, and is listed with its reason in MUTANTS.md; a survivor that is not listed
there makes the exit status 1. The mutations are cosmic-ray's (`pip install '.[mutation]'`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LISTED = Path(__file__).with_name("MUTANTS.md")
TIMEOUT_S = 60.0
"""Wall time for the tests of one mutant: some mutants never end."""

SUBJECTS = {
    "point_in_time": ("harness/point_in_time.py", "tests/point_in_time"),
    "compression": ("harness/compression.py", "tests/compression"),
    "activity": ("harness/activity.py", "tests/handles"),
    "expected_handles": ("conformance/expected_handles.py", "tests/handles"),
    "judging": ("harness/judging.py", "tests/results"),
    "results": ("harness/results.py", "tests/results"),
    "verdicts": ("conformance/verdicts.py", "tests/results/test_ledger.py"),
}
"""The modules that are mutated, and the tests that have to notice."""

ARITHMETIC = ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "Div_Mul", "Mod_FloorDiv", "LShift_RShift")
COMPARISON = (
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
)
"""One wrong operator and one wrong boundary for each operator; cosmic-ray knows eleven of each, which say no more."""


@dataclass(frozen=True)
class Survivor:
    """A mutant that all tests passed with; `line` is the mutated source line, stripped, `now` what it became."""

    module: str
    number: int
    operator: str
    line: str
    now: str

    def __str__(self) -> str:
        return f"{self.module}:{self.number} {self.operator}: `{self.line}` → `{self.now}`"


def excluded_operators() -> str:
    """A regular expression for the operators that are left out: annotations' `|`, and more of the same."""
    kept = "|".join((*ARITHMETIC, *COMPARISON))
    return rf"core/Replace(BinaryOperator|ComparisonOperator)_(?!({kept})$).*"


def mutate(name: str, directory: Path) -> tuple[int, list[Survivor]]:
    """Mutate one subject in the copy at `directory`; the number of mutants, and those that survived."""
    module, tests = SUBJECTS[name]
    config, session = directory / f"{name}.toml", directory / f"{name}.sqlite"
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"
    config.write_text(
        f"[cosmic-ray]\nmodule-path = {json.dumps(module)}\ntimeout = {TIMEOUT_S}\nexcluded-modules = []\n"
        f"test-command = {json.dumps(command)}\n[cosmic-ray.distributor]\nname = 'local'\n"
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = [{json.dumps(excluded_operators())}]\n"
    )
    _run(directory, "cosmic_ray.cli", "init", str(config), str(session))
    _run(directory, "cosmic_ray.tools.filters.operators_filter", str(session), str(config))
    _run(directory, "cosmic_ray.cli", "--verbosity", "ERROR", "baseline", str(config))
    _run(directory, "cosmic_ray.cli", "exec", str(config), str(session))
    total, survivors = 0, []
    for line in _run(directory, "cosmic_ray.cli", "dump", str(session)).splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        total += 1
        if result["test_outcome"] == "survived":
            survivors.append(_survivor(item["mutations"][0], result["diff"] or ""))
    return total, survivors


def _survivor(mutation: dict[str, Any], diff: str) -> Survivor:
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    gone = [line[1:].strip() for line in lines if line.startswith("-")]
    come = [line[1:].strip() for line in lines if line.startswith("+")]
    operator = mutation["operator_name"].rpartition("/")[2]
    return Survivor(
        mutation["module_path"], mutation["start_pos"][0], operator, " ".join(gone), " ".join(come) or "(nothing)"
    )


def _run(directory: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


def main() -> int:
    """Run the subjects named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    subjects = parser.parse_args().subjects or list(SUBJECTS)
    listed = LISTED.read_text(encoding="utf-8")
    unlisted = 0
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "repository"
        shutil.copytree(ROOT, directory, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache"))
        for name in subjects:
            total, survivors = mutate(name, directory)
            print(f"{SUBJECTS[name][0]}: {total} mutants, {len(survivors)} survived", flush=True)
            for survivor in survivors:
                known = f"`{survivor.line}` → `{survivor.now}`" in listed
                unlisted += not known
                print(f"  {'listed  ' if known else 'UNLISTED'} {survivor}", flush=True)
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
