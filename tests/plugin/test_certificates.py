"""Identity, level and versions get from the command line into report and certificate; JUnit agrees with both."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from conformance.clauses import SPECIFICATION_VERSION
from conformance.session import ExitCode
from reports.schema import certificate_schema

from .conftest import Certify
from .test_waivers import IDENTITY, waiver


def written(pytester: pytest.Pytester, name: str) -> Path:
    """A file of the report."""
    return Path(pytester.path) / "backend-activity-report" / name


def certificate(pytester: pytest.Pytester) -> dict[str, Any]:
    """The certificate of the last run."""
    return dict(json.loads(written(pytester, "certificate.json").read_text()))


def test_certificate_lies_beside_the_report(certify: Certify, pytester: pytest.Pytester) -> None:
    """The certificate follows its schema and tells identity, versions, level, seed, command, clauses and counts."""
    (pytester.path / "identity.toml").write_text(IDENTITY)
    run = certify("--driver", "acme:Unverifiable", "--identity", "identity.toml", "--seed", "9")
    found = certificate(pytester)
    jsonschema.validate(found, certificate_schema())
    (driver,) = found["drivers"]
    assert driver["identity"] == {"vendor": "Acme", "product": "Arrays", "version": "2.1",
                                  "contact": "storage@acme.example"}  # fmt: skip
    assert (driver["driver_version"], driver["verdict"], found["level"]) == ("2.1", "incomplete", "full")
    assert (found["seed"], found["testbeds"], found["specification_version"]) == (
        9,
        ["sample-sim"],
        SPECIFICATION_VERSION,
    )
    assert found["reproduce"] == run.report["command"]  # type: ignore[index]
    assert [(c["clause"], c["reason"]) for c in driver["skipped_clauses"]] == [("D-1", "no such fault here")]
    assert driver["clause_counts"]["passed"] == len(driver["clauses"]) - 1 == 3
    assert driver["check_counts"] == {"passed": 4, "failed": 0, "not applicable": 0, "unverifiable": 1, "waived": 0,
                                      "error": 0}  # fmt: skip


def test_certificate_lists_what_is_supported_and_what_is_not(certify: Certify, pytester: pytest.Pytester) -> None:
    """Every known attribute and value stands in exactly one of the two lists, by what the driver publishes."""
    from harness.results import Description, MethodPlan
    from reports.certificate import attributes

    plans = [
        MethodPlan(method=m, implemented=True, listed=False, plan="", reason="") for m in ("extend_volume", "retype")
    ]
    effective = {"stateless_activities": ["retype"], "snapshot_replication": False,
                 "backup_compression_techniques": ["zstd"], "handle_scope": "connection-specific"}  # fmt: skip
    about = Description(driver="d", target="d", vendor_code=True, published={}, effective=effective,
                        defaults=["handle_scope"], methods=plans)  # fmt: skip
    supported, unsupported = attributes(about)
    assert supported == ["stateless_activities.retype", "backup_compression_techniques.zstd"]
    assert "snapshot_replication" in unsupported
    assert "stateless_activities.extend_volume" in unsupported
    assert "handle_scope.connection-specific" in unsupported  # a default is no claim
    assert not set(supported) & set(unsupported)


def test_configuration_digest(certify: Certify, pytester: pytest.Pytester) -> None:
    """The digest of the configuration is the same for the same options, and another for others."""
    digests = []
    for text in ("a = 1\n", "a = 1\n", "a = 2\n"):
        (pytester.path / "options.toml").write_text(text)
        certify("--driver", "acme:Good", "--driver-config", "options.toml")
        digests.append(certificate(pytester)["drivers"][0]["configuration_digest"])
    assert digests[0] == digests[1] != digests[2]


def test_several_identities(certify: Certify, pytester: pytest.Pytester) -> None:
    """In a run of several drivers each identity goes to the driver that it names."""
    (pytester.path / "one.toml").write_text(IDENTITY + 'driver = "acme:Good"\n')
    (pytester.path / "two.toml").write_text(IDENTITY.replace("2.1", "7") + 'driver = "acme:Prints"\n')
    certify("--driver", "acme:Prints", "--driver", "acme:Good", "--identity", "one.toml", "--identity", "two.toml")
    assert [d["driver_version"] for d in certificate(pytester)["drivers"]] == ["7", "2.1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the table [identity] is missing; write vendor, product, version, contact in it"),
        ("[idenity]\n", "the table 'idenity' is not known; did you mean 'identity'?"),
        ("identity = 3\n", "[identity] is no table"),
        (IDENTITY.replace("vendor", "vender"), "[identity]: the key 'vender' is not known; did you mean 'vendor'?"),
        (IDENTITY.replace('"Acme"', "7"), "[identity]: 'vendor' is 7; write it as a text in quotes"),
        (IDENTITY.replace('"Acme"', '""'), "[identity]: 'vendor' is ''; write one line of text"),
        (IDENTITY.replace("contact", "# contact"), "[identity]: 'contact' is missing; add it"),
        (IDENTITY + 'driver = "acme:Bood"\n', "driver 'acme:Bood' is none of the run; did you mean 'acme:Good'?"),
        ("[identity\n", "it is not well-formed TOML"),
    ],
)
def test_unusable_identity(certify: Certify, pytester: pytest.Pytester, text: str, said: str) -> None:
    """An identity with a mistake is a usage error that names the key and the mistake, before anything runs."""
    (pytester.path / "identity.toml").write_text(text)
    run = certify("--driver", "acme:Good", "--identity", "identity.toml")
    assert (run.status, run.report) == (ExitCode.USAGE_ERROR, None)
    assert f"ERROR: --identity identity.toml: {said}" in run.text


@pytest.mark.parametrize("option", ["--identity", "--waivers"])
def test_pipe_for_a_file(certify: Certify, pytester: pytest.Pytester, option: str) -> None:
    """A pipe, from which nothing may ever come, is refused for a file of identity or waivers and not waited for."""
    os.mkfifo(pytester.path / "pipe.toml")
    run = certify("--driver", "acme:Good", option, "pipe.toml")
    assert (run.status, run.report) == (ExitCode.USAGE_ERROR, None)
    assert f"ERROR: {option} pipe.toml: it is not a regular file; give the path of a .toml file" in run.text


def test_identity_of_another_version(certify: Certify, pytester: pytest.Pytester) -> None:
    """An identity that contradicts the version that the driver publishes is a usage error."""
    from types import SimpleNamespace

    from conformance.identity import driver_version
    from conformance.session import UsageProblem
    from harness.results import Description, Identity

    about = Description(driver="d", target="d", vendor_code=True, published={}, effective={"version": "3"}, defaults=[])
    driver: Any = SimpleNamespace(label="d", spec={"version": "1"})
    who = Identity(vendor="v", product="p", version="2", contact="c")
    with pytest.raises(UsageProblem, match=r"publishes version '3'.*says '2'; let both say the same"):
        driver_version(driver, about, who)
    assert driver_version(driver, about, None) == "3"
    assert driver_version(driver, about.model_copy(update={"effective": {}}), who) == "2"
    assert driver_version(driver, about.model_copy(update={"effective": {}}), None) == "1"


def test_level_core(certify: Certify, pytester: pytest.Pytester) -> None:
    """At the level core only checks of core clauses are run, nothing counts as left out, and the level is named."""
    run = certify("--driver", "acme:Good", "--level", "core")
    assert (run.status, run.driver["verdict"]) == (ExitCode.CONFORMANT, "conformant")
    assert set(run.outcomes()) == {"test_acts on sample-sim", "test_quiet on sample-sim"}
    assert (run.report["level"], certificate(pytester)["level"]) == ("core", "core")  # type: ignore[index]
    assert json.loads(written(pytester, "badge.json").read_text())["message"] == "conformant (core)"


def test_level_core_without_a_core_check(certify: Certify) -> None:
    """At the level core a core clause that was not verified, or whose checks were left out, keeps from a pass."""
    assert certify("--driver", "acme:Unverifiable", "--level", "core").status == ExitCode.INCOMPLETE
    assert certify("--driver", "acme:Good", "--level", "core", "-k", "not quiet").status == ExitCode.INCOMPLETE


def test_unknown_level(certify: Certify) -> None:
    """A level that does not exist is a usage error."""
    run = certify("--driver", "acme:Good", "--level", "cor")
    assert run.status == ExitCode.USAGE_ERROR
    assert "ERROR: --level cor: there is no such level; did you mean 'core'?" in run.text


ELEMENTS = {"passed": None, "failed": "failure", "error": "error", "unverifiable": "skipped", "waived": "skipped"}


def elements(path: Path) -> dict[str, str | None]:
    """What each test case of a JUnit file holds; its counts are those of its elements."""
    root = ET.parse(path).getroot()
    found: dict[str, str | None] = {}
    for suite in root.findall("testsuite"):
        cases = suite.findall("testcase")
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(name, "")) == len(suite.findall(f"testcase/{tag}"))
        assert int(suite.get("tests", "")) == len(cases)
        for case in cases:
            (kind,) = [e.tag for e in case if e.tag in ("failure", "error", "skipped")] or [None]
            found[f"{case.get('name')} in {suite.get('name')}"] = kind
    assert int(root.get("tests", "")) == len(found)
    return found


@pytest.mark.parametrize("driver", ["Good", "Fails", "Raises", "Unverifiable", "FailsAdvice"])
def test_junit_agrees_with_what_ran(certify: Certify, pytester: pytest.Pytester, driver: str) -> None:
    """Each check has one test case with the element of its outcome, and as many tests passed as pytest counted."""
    run = certify("--driver", f"acme:{driver}")
    found = elements(written(pytester, "junit.xml"))
    expected = {f"{c['check']} in {driver} on {c['testbed']}": ELEMENTS[c["outcome"]] for c in run.driver["checks"]}
    if driver == "FailsAdvice":
        expected["test_acts in FailsAdvice on sample-sim"] = None  # an advisory failure is none
    assert found == expected
    passed = sum(kind is None for kind in found.values())
    assert f"{passed} passed" in run.text


def test_junit_of_a_waived_check(certify: Certify, pytester: pytest.Pytester) -> None:
    """A waived check is a skipped test case that says so."""
    (pytester.path / "identity.toml").write_text(IDENTITY)
    (pytester.path / "waivers.toml").write_text(waiver())
    certify("--driver", "acme:Fails", "--identity", "identity.toml", "--waivers", "waivers.toml")
    assert elements(written(pytester, "junit.xml"))["test_acts in Fails on sample-sim"] == "skipped"
    assert 'type="waived"' in written(pytester, "junit.xml").read_text()


def test_junit_of_a_run_that_came_to_nothing(certify: Certify, pytester: pytest.Pytester) -> None:
    """Where nothing was collected, the report of an earlier run gives way to a JUnit file with an error."""
    certify("--driver", "acme:Good")
    run = certify("--driver", "acme:Good", "-k", "no_such_check")
    assert run.status == ExitCode.HARNESS_ERROR
    assert [path.name for path in written(pytester, "junit.xml").parent.iterdir()] == ["junit.xml"]
    assert elements(written(pytester, "junit.xml")) == {"error 1 in run": "error"}


def test_junit_tells_other_failures(certify: Certify, pytester: pytest.Pytester) -> None:
    """A failed test that is no check, and a check that failed in its setup, stand in the JUnit file."""
    (pytester.path / "test_other.py").write_text("def test_other():\n    assert False\n")
    (pytester.path / "conftest.py").write_text(
        'import pytest\npytest_plugins = ["conformance.plugin"]\n\n'
        "@pytest.fixture(autouse=True)\ndef broken(request):\n    assert 'quiet' not in request.node.name\n"
    )
    certify("--driver", "acme:Good", suite=("test_suite.py", "test_other.py"))
    kinds = sorted(str(kind) for kind in elements(written(pytester, "junit.xml")).values())
    assert kinds == ["None"] * 4 + ["error", "failure"]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_internal_error(certify: Certify, pytester: pytest.Pytester, workers: str) -> None:
    """An error of pytest's own machinery is a harness error, whatever passed before it."""
    (pytester.path / "conftest.py").write_text(
        'pytest_plugins = ["conformance.plugin"]\n\n'
        "def pytest_runtest_teardown(item, nextitem):\n    pass\n\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    if 'quiet' in item.name:\n        raise RuntimeError('the machinery broke')\n"
    )
    run = certify("--driver", "acme:Good", "-n", workers)
    assert run.status == ExitCode.HARNESS_ERROR
    assert "the machinery broke" in run.text
    assert run.report is None
    assert elements(written(pytester, "junit.xml")) == {"error 1 in run": "error"}


def test_summary_for_github(certify: Certify, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where GitHub names a file for a summary, verdict, failures and the line that reruns them are appended to it."""
    summary = pytester.path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    run = certify("--driver", "acme:Fails")
    text = summary.read_text()
    assert text.startswith("before\n## Backend activity attributes")
    assert "non-conformant (full)" in text
    assert run.check("test_acts")["reproduce"] in text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path))
    run = certify("--driver", "acme:Good")
    assert run.status == ExitCode.CONFORMANT
    assert "the summary can't be written there" in run.text
