"""The specification as prose, the clauses as data, and the checks and faulty things that belong to each agree."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conformance import traceability
from conformance.clauses import CLAUSES, SPECIFICATION_VERSION
from conformance.traceability import TABLE, gaps, main, render, rows, sources

SPECIFICATION = TABLE.with_name("SPECIFICATION.md").read_text(encoding="utf-8")
ADVISORY = "*(advisory)*"


def test_clauses_of_the_specification_are_those_of_the_program() -> None:
    """Ids, whom they bind and what is advisory are the same, in the same order, in SPECIFICATION.md and clauses.py."""
    told = re.findall(r"^\| ([A-Z]-\d+) \| ([DT,]+) \| (.+) \|$", SPECIFICATION, re.MULTILINE)
    assert [(i, who, not text.startswith(ADVISORY)) for i, who, text in told] == [
        (clause.id, clause.who, clause.mandatory) for clause in CLAUSES.values()
    ]


def test_reports_get_the_wording() -> None:
    """Each clause carries its wording from SPECIFICATION.md, and the rulings of RULINGS.md that name it."""
    told = re.findall(r"^\| ([A-Z]-\d+) \| [DT,]+ \| (.+) \|$", SPECIFICATION, re.MULTILINE)
    assert [(clause.id, clause.text) for clause in CLAUSES.values()] == told
    assert "Is evidence" not in str([clause.rulings for clause in CLAUSES.values()])  # on no clause
    assert [len(CLAUSES[name].rulings) for name in ("A-1", "Q-1", "Q-10", "H-5")] == [0, 1, 2, 1]
    assert CLAUSES["R-5"].rulings == [
        "The replica is complete when the driver says so, but holds something else. That is R-3's matter; R-5 is about "
        "completeness only."
    ]


def test_specification_version_is_the_one_that_the_program_quotes() -> None:
    """The version that reports can quote is the one in the head of SPECIFICATION.md."""
    assert f"Specification version {SPECIFICATION_VERSION}." in SPECIFICATION


def test_rulings_name_clauses_that_exist() -> None:
    """Every clause id in RULINGS.md is one of the specification's."""
    rulings = TABLE.with_name("RULINGS.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\b[A-Z]-\d+\b", rulings)) <= set(CLAUSES)


def test_every_clause_is_traced() -> None:
    """Each mandatory clause has a check, each check a clause, and each clause something faulty that it has to find."""
    assert not gaps(sources())


def test_table_is_up_to_date() -> None:
    """TRACEABILITY.md is what the generator makes of the suites and catalogues as they are."""
    assert TABLE.read_text(encoding="utf-8") == render(rows(sources())), "run python -m conformance.traceability"


def test_check_mode_passes_from_the_command_line() -> None:
    """`python -m conformance.traceability --check` ends with status 0 and says nothing."""
    command = [sys.executable, "-m", "conformance.traceability", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=TABLE.parents[1])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_mode_finds_a_table_that_is_out_of_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Check mode ends with status 1, and writes nothing, where the committed table is another; writing mends it."""
    stale = tmp_path / TABLE.name
    stale.write_text("# Traceability of yesterday\n", encoding="utf-8")
    monkeypatch.setattr(traceability, "TABLE", stale)
    assert main(["--check"]) == 1
    assert stale.read_text(encoding="utf-8") == "# Traceability of yesterday\n"
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_gaps_are_found() -> None:
    """A check without a clause or with an unknown one, and a clause that nothing checks or proves, is named."""
    whole = sources()
    clauses = dict(whole.clauses)
    clauses["Q-1"] = clauses["Q-1"].model_copy(update={"checked": False})
    clauses["Z-1"] = clauses["A-1"].model_copy(update={"id": "Z-1"})
    holed = replace(
        whole,
        clauses=clauses,
        checks={**whole.checks, "test_x.test_bare": (), "test_x.test_odd": ("Q-99",)},
        faulty_drivers={name: found for name, found in whole.faulty_drivers.items() if "H-4" not in found}
        | {"Strayed": ("R-11",)},
        faulty_taskflows={name: found for name, found in whole.faulty_taskflows.items() if "Q-6" not in found}
        | {"strayed": ("H-4",)},
    )
    assert set(gaps(holed)) == {
        "test_x.test_bare names no clause; declare it with @check",
        "the check test_x.test_odd names Q-99, which is no clause",
        "Q-1 has a check; take the flag u off it in clauses.py",
        "Z-1 has no check",
        "Z-1 has 0 faulty drivers that prove it, not 2",
        "H-4 has 0 faulty drivers that prove it, not 2",
        "the faulty driver Strayed is to fail R-11, which binds no driver",
        "the faulty taskflow strayed is to fail H-4, which binds no taskflow",
        "Q-6 has 0 faulty taskflows that prove it, not 2",
    }
