"""What a driver does decides the verdict and the exit status, and the report is whole whatever it does."""

from __future__ import annotations

import json

import pytest

from conformance.session import ExitCode

from .conftest import Certify

WHOLE = {
    "test_acts on sample-sim",
    "test_quiet on sample-sim",
    "test_sizes[large] on sample-sim",
    "test_sizes[small] on sample-sim",
    "test_taskflow on sample-sim",
}


def test_conformant(certify: Certify) -> None:
    """A driver that passes everything is conformant, and the status is 0."""
    run = certify("--driver", "acme:Good")
    assert (run.status, run.driver["verdict"]) == (ExitCode.CONFORMANT, "conformant")
    assert run.outcomes() == dict.fromkeys(WHOLE, "passed")


def test_consistent(certify: Certify) -> None:
    """Without any option the bundled driver runs, which can be consistent at most."""
    run = certify()
    assert (run.status, run.driver["verdict"]) == (ExitCode.CONFORMANT, "consistent")


def test_publication(certify: Certify, pytester: pytest.Pytester) -> None:
    """A publication without code is consistent at most, and runs on the testbeds that it names only."""
    file = pytester.path / "thin.toml"
    file.write_text('[publication]\ntestbeds = ["sample-sim"]\n[backend_activity_attributes]\n')
    run = certify("--attributes", str(file), "--testbed", "sample-real")
    assert (run.status, run.driver["verdict"]) == (ExitCode.CONFORMANT, "consistent")
    assert set(run.outcomes()) == WHOLE


def test_non_conformant(certify: Certify) -> None:
    """A broken clause makes the driver non-conformant; the witness and the line that reruns it are shown."""
    run = certify("--driver", "acme:Fails")
    assert (run.status, run.driver["verdict"]) == (ExitCode.NON_CONFORMANT, "non-conformant")
    assert "D-1: it did not" in run.text
    assert "block: 7" in run.text
    line = "pytest 'test_suite.py::test_acts[acme-Fails-sample-sim]' --driver acme:Fails --testbed sample-sim --seed 1"
    assert f"rerun: {line}" in run.text
    assert run.check("test_acts")["reproduce"] == line


def test_reproduce_line_reruns_the_check(certify: Certify) -> None:
    """The line from the report runs that check alone, to the same result."""
    first = certify("--driver", "acme:Fails", "--seed", "77").check("test_acts")
    name, *rest = first["reproduce"].removeprefix("pytest ").replace("'", "").split()
    again = certify(*rest, suite=(name,), testbed="")
    assert again.outcomes() == {"test_acts on sample-sim": "failed"}
    assert again.check("test_acts")["seed"] == 77


def test_each_clause_that_failed_by_a_schedule_of_its_own_has_it_saved(
    certify: Certify, pytester: pytest.Pytester
) -> None:
    """Each failed clause has a line to rerun it, on page and terminal, with a file that holds its own schedule only."""
    run = certify("--driver", "acme:FailsBySchedules")
    clauses = {c["clause"]: c for c in run.check("test_acts")["clauses"]}
    for clause, blocks in (("D-1", "[[1]]"), ("D-3", "[[3]]")):
        line = clauses[clause]["reproduce"]
        assert f"rerun: {line}" in run.text
        saved = json.loads((pytester.path / line.split(" --schedule ")[1]).read_text())
        assert saved["choices"] == {f"blocks {clause}": blocks, "user": 7}
        assert line in (pytester.path / "backend-activity-report" / "report.html").read_text().replace("&#39;", "'")
    assert clauses["T-1"]["reproduce"] == ""


def test_advisory_failure(certify: Certify) -> None:
    """An advisory clause that fails is a warning and costs no verdict."""
    run = certify("--driver", "acme:FailsAdvice")
    assert (run.status, run.driver["verdict"]) == (ExitCode.CONFORMANT, "conformant")
    assert "AdvisoryWarning: D-3: it had better" in run.text


def test_taskflow_failure(certify: Certify) -> None:
    """A broken taskflow clause is the harness's fault, not the driver's."""
    run = certify("--driver", "acme:BreaksTaskflow")
    assert (run.status, run.driver["verdict"]) == (ExitCode.HARNESS_ERROR, "harness error")


def test_unverifiable(certify: Certify) -> None:
    """A check that could not be made is a skip with its reason, and the run is incomplete."""
    run = certify("--driver", "acme:Unverifiable", "-rs")
    assert (run.status, run.driver["verdict"]) == (ExitCode.INCOMPLETE, "incomplete")
    assert "unverifiable: D-1: no such fault here" in run.text


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        ("acme:Hangs", "did not return within 1 s"),
        ("acme:Exits", "ended its process: the process ended itself with exit code 7"),
        ("acme:Hoards", "used up its memory"),
        ("acme:Crashes", "crashed: the process was ended by SIGSEGV"),
        ("acme:Scribbles", "wrote to the harness's own channel"),
    ],
)
def test_driver_that_kills_its_process(certify: Certify, driver: str, found: str) -> None:
    """A driver that takes its process with it fails that check with a finding; all other checks have their results."""
    run = certify("--driver", driver, "--check-timeout", "1" if driver == "acme:Hangs" else "30")
    assert (run.status, run.driver["verdict"]) == (ExitCode.NON_CONFORMANT, "non-conformant")
    assert run.outcomes() == dict.fromkeys(WHOLE, "passed") | {"test_acts on sample-sim": "failed"}
    result = run.check("test_acts")
    assert found in result["findings"][0]["found"]
    assert result["findings"][0]["remedy"]
    outcomes = {c["clause"]: c["outcome"] for c in result["clauses"]}
    assert outcomes == {"D-1": "failed", "D-3": "failed", "T-1": "unverifiable"}


def test_hang_says_where(certify: Certify) -> None:
    """The witness of a hang is the stack of the driver, without the harness's own frames."""
    run = certify("--driver", "acme:Hangs", "--check-timeout", "1")
    stack = run.check("test_acts")["clauses"][0]["witness"]["stack"]
    assert any("in act" in line for line in stack)
    assert not any("cell_worker" in line for line in stack)


def test_hanging_everywhere_ends(certify: Certify, pytester: pytest.Pytester) -> None:
    """After some checks that hung, the others are not run, and the report says so."""
    checks = "".join(f'@check("D-1")\ndef test_{n}(lab):\n    """It acts."""\n    act(lab)\n\n' for n in range(6))
    head = "from conformance.checks import check\nfrom sample_runner import act\n\n"
    (pytester.path / "test_many.py").write_text(head + checks)
    run = certify("--driver", "acme:Hangs", "--check-timeout", "0.5", suite=("test_many.py",))
    assert sorted(run.outcomes().values()) == ["failed"] * 3 + ["unverifiable"] * 3
    assert "the driver hung in 3 checks" in run.check("test_5")["message"]
    assert run.status == ExitCode.NON_CONFORMANT


def test_printing_driver(certify: Certify) -> None:
    """Printing to standard output is an advisory finding and fails nothing."""
    run = certify("--driver", "acme:Prints")
    result = run.check("test_acts")
    assert (run.status, result["outcome"]) == (ExitCode.CONFORMANT, "passed")
    (finding,) = result["findings"]
    assert (finding["severity"], finding["found"]) == (
        "advisory",
        "printed to standard output: 'hello from the driver'",
    )
    assert result["output"] == "hello from the driver\n"


@pytest.mark.parametrize("driver", ["acme:Raises", "acme:Malformed"])
def test_harness_error(certify: Certify, driver: str) -> None:
    """An exception of the runner and a result that is none are harness errors, never a driver's failure."""
    run = certify("--driver", driver)
    assert (run.status, run.driver["verdict"]) == (ExitCode.HARNESS_ERROR, "harness error")
    assert run.check("test_acts")["outcome"] == "error"
    assert "harness error: " in run.text


def test_driver_dead_at_setup(certify: Certify) -> None:
    """A driver that ends the process while it is set up gets a whole report with that as a finding."""
    run = certify("--driver", "acme:DeadAtSetup")
    assert (run.status, run.driver["verdict"]) == (ExitCode.NON_CONFORMANT, "non-conformant")
    (finding,) = run.driver["description"]["findings"]
    assert "exit code 5" in finding["found"]
    assert set(run.outcomes()) == WHOLE


def test_driver_that_raises_at_setup(certify: Certify) -> None:
    """A driver that raises while it is set up gets a whole report with that as a finding, and so do the others."""
    run = certify("--driver", "acme:RaisesAtSetup", "--driver", "acme:Good")
    assert run.report is not None, run.text
    assert run.status == ExitCode.NON_CONFORMANT
    raises, good = run.report["drivers"]
    assert [raises["verdict"], good["verdict"]] == ["non-conformant", "conformant"]
    violation, printed = raises["description"]["findings"]
    assert violation["severity"] == "violation"
    assert "Array.do_setup: raised RuntimeError: no array (array.py, line 3)" in violation["found"]
    assert "'connecting'" in printed["found"]
    assert len(raises["checks"]) == len(good["checks"]) == len(WHOLE)


def test_unrepeatable_driver(certify: Certify) -> None:
    """A vendor's driver whose run differs under another hash seed gets a finding, and does not pass."""
    run = certify("--driver", "acme:Unrepeatable", "test_suite.py::test_acts", suite=())
    (finding,) = run.check("test_acts")["findings"]
    assert "the same seed does not give the same run" in finding["found"]
    assert run.status == ExitCode.NON_CONFORMANT


def test_worst_driver_decides(certify: Certify) -> None:
    """Of several drivers, each has its verdict, and the worst decides the status."""
    run = certify("--driver", "acme:Good", "--driver", "acme:Fails", "--driver", "acme:Unverifiable")
    assert run.report is not None
    assert [d["verdict"] for d in run.report["drivers"]] == ["conformant", "non-conformant", "incomplete"]
    assert run.status == ExitCode.NON_CONFORMANT
