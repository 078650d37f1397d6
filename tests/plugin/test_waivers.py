"""A waiver sets a failure aside for a while and for some versions, and never passes for anything better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.session import ExitCode

from .conftest import Certify

IDENTITY = '[identity]\nvendor = "Acme"\nproduct = "Arrays"\nversion = "2.1"\ncontact = "storage@acme.example"\n'


def waiver(**changes: str) -> str:
    """The text of a waiver of D-1 for the sample driver."""
    values = {
        "clause": "D-1",
        "versions": ">=2,<3",
        "reason": "known to be broken",
        "owner": "storage@acme.example",
        "bug": "ACME-17",
        "expires": "2999-12-31",
    } | changes
    return "[[waiver]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@pytest.fixture
def files(pytester: pytest.Pytester) -> Path:
    """The directory of the run, with an identity and a waiver."""
    (pytester.path / "identity.toml").write_text(IDENTITY)
    (pytester.path / "waivers.toml").write_text(waiver())
    return Path(pytester.path)


OPTIONS = ("--identity", "identity.toml", "--waivers", "waivers.toml")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_waived_failure(certify: Certify, files: Path, workers: str) -> None:
    """A waived failure is told as waived, with waiver and finding, and the run is incomplete, in workers too."""
    run = certify("--driver", "acme:Fails", *OPTIONS, "-n", workers)
    assert (run.status, run.driver["verdict"]) == (ExitCode.INCOMPLETE, "incomplete"), run.text
    result = run.check("test_acts")
    assert result["outcome"] == "waived"
    for part in ("waived until 2999-12-31", "ACME-17", "known to be broken", "it did not"):
        assert part in result["message"]
    assert [w["clause"] for w in run.driver["waivers"]] == ["D-1"]
    assert "D-1: waived" in run.driver["reasons"][0]


def test_waiver_for_a_driver_that_ends_its_process(certify: Certify, files: Path) -> None:
    """A violation that only retells the waived failure is waived with it; the clauses beside it go on counting."""
    run = certify("--driver", "acme:Exits", *OPTIONS)
    assert run.status == ExitCode.INCOMPLETE
    (files / "test_suite.py").write_text(
        "from sample_runner import act\nfrom conformance.checks import check\n\n\n"
        '@check("D-1", "D-2")\ndef test_acts(lab):\n    """It acts."""\n    act(lab)\n'
    )
    run = certify("--driver", "acme:Exits", *OPTIONS)
    assert (run.status, run.driver["verdict"]) == (ExitCode.NON_CONFORMANT, "non-conformant")


def test_waiver_hides_nothing_else(certify: Certify, files: Path) -> None:
    """A violation of another clause in the same check still makes the driver non-conformant."""
    run = certify("--driver", "acme:FailsTwice", *OPTIONS)
    assert (run.status, run.driver["verdict"]) == (ExitCode.NON_CONFORMANT, "non-conformant")
    assert any("something else is wrong" in reason for reason in run.driver["reasons"])


@pytest.mark.parametrize(
    ("text", "driver", "said"),
    [
        (waiver(expires="2000-01-01"), "acme:Fails", "expired on 2000-01-01"),
        (waiver(), "acme:Good", "is no longer needed: D-1 did not fail"),
        (waiver(versions="<2"), "acme:Fails", "matched nothing: acme-Fails: the driver's version 2.1 is not in '<2'"),
        (waiver(driver="acme:Other"), "acme:Fails", "matched nothing: acme-Fails: it is for acme:Other only"),
        (waiver() + waiver(bug="ACME-18"), "acme:Fails", "another waiver of the clause comes before it"),
    ],
    ids=["expired", "not needed", "other version", "other driver", "twice"],
)
def test_waiver_that_does_not_fit(certify: Certify, files: Path, text: str, driver: str, said: str) -> None:
    """A waiver that has expired, matched nothing or is no longer needed is a harness error that says what to do."""
    (files / "waivers.toml").write_text(text)
    run = certify("--driver", driver, *OPTIONS)
    assert run.report is not None, run.text
    assert (run.status, run.driver["verdict"]) == (ExitCode.HARNESS_ERROR, "harness error")
    (error,) = run.report["errors"]
    assert said in error
    assert ";" in error


def test_waiver_without_a_version(certify: Certify, files: Path) -> None:
    """Where a driver states no version, a waiver matches nothing, and the message says how to state one."""
    run = certify("--driver", "acme:Fails", "--waivers", "waivers.toml")
    assert run.report is not None, run.text
    assert run.status == ExitCode.HARNESS_ERROR
    assert "the driver states no version; publish one, or give --identity FILE" in run.report["errors"][0]


def test_waiver_of_a_clause_that_was_not_checked(certify: Certify, files: Path) -> None:
    """Where no check of the clause was run, its waiver matched nothing."""
    run = certify("--driver", "acme:Fails", *OPTIONS, "-k", "sizes")
    assert run.report is not None, run.text
    assert run.status == ExitCode.HARNESS_ERROR
    assert "no check of the clause was run" in run.report["errors"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it holds no waiver"),
        ("waver = 1\n", "the key 'waver' is not known; did you mean 'waiver'?"),
        ("[[waiver]]\nclause = 7\n", "waiver 1: 'versions' is missing"),
        (waiver(clause="D-9"), "waiver 1: 'D-9' is not a clause; did you mean 'D-"),
        (waiver(clause="T-1"), "waiver 1: T-1 binds the taskflow alone"),
        (waiver(versions="two"), "waiver 1: versions 'two' is no range of versions"),
        (waiver(expires="soon"), "waiver 1: expires 'soon' is no date; write it as in 2027-06-30"),
        (waiver(owner=" "), "waiver 1: 'owner' is ' '; write one line of text"),
        (waiver(ticket="x"), "waiver 1: the key 'ticket' is not known"),
        ("x = [", "it is not well-formed TOML"),
    ],
)
def test_unusable_waiver_file(certify: Certify, files: Path, text: str, said: str) -> None:
    """A waiver file with a mistake is a usage error that names the waiver and the mistake, before anything runs."""
    (files / "waivers.toml").write_text(text)
    run = certify("--driver", "acme:Fails", *OPTIONS)
    assert (run.status, run.report) == (ExitCode.USAGE_ERROR, None)
    assert f"ERROR: --waivers waivers.toml: {said}" in run.text


def test_waiver_holds_on_its_last_day() -> None:
    """A waiver holds on the day of its expiry, and no longer on the day after."""
    import datetime

    from conformance.waivers import has_expired
    from harness.results import Waiver

    made = Waiver(clause="D-1", versions="", reason="r", owner="o", bug="b", expires="2027-06-30")
    assert not has_expired(made, datetime.date(2027, 6, 30))
    assert has_expired(made, datetime.date(2027, 7, 1))
