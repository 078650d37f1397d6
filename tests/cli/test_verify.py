"""`activity-harness verify`: exit statuses, messages, and signatures made by ssh-keygen."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.session import ExitCode

from .test_cli import FAKES, SAMPLE

Verify = Callable[..., subprocess.CompletedProcess[str]]


def _run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "harness.cli", *arguments]
    return subprocess.run(program, cwd=directory, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a certified run of the sample suite."""
    directory = tmp_path_factory.mktemp("certified")
    shutil.copytree(SAMPLE, directory, dirs_exist_ok=True)
    (directory / "suite.py").rename(directory / "test_suite.py")
    (directory / "identity.toml").write_text(
        '[identity]\nvendor = "Acme"\nproduct = "Arrays"\nversion = "2.1"\ncontact = "storage@acme.example"\n'
    )
    done = _run(directory, "certify", *FAKES, "--driver", "acme:Good", "--identity", "identity.toml", "--report=report")
    assert done.returncode == ExitCode.CONFORMANT, done.stderr
    return directory


@pytest.fixture
def verify(certified: Path, tmp_path: Path) -> Verify:
    """Verify a copy of the certified run's certificate, in the directory `tmp_path`."""
    shutil.copytree(certified, tmp_path, dirs_exist_ok=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(tmp_path, "verify", "report/certificate.json", "--check-clauses=sample_runner", *arguments)

    return run


def test_certificate_that_holds(verify: Verify) -> None:
    """A certificate that holds is told with driver, version, verdict and level; the status is 0."""
    done = verify()
    assert done.returncode == ExitCode.CONFORMANT, done.stdout
    assert "report/certificate.json holds, for the level full" in done.stdout
    assert "Good 2.1: ✓ conformant" in done.stdout
    assert "vendor's own word" in done.stdout


def test_certificate_that_was_altered(verify: Verify, tmp_path: Path) -> None:
    """A certificate that was altered is told with the field and what it has to be; the status is 7."""
    path = tmp_path / "report" / "certificate.json"
    path.write_text(path.read_text().replace('"conformant"', '"consistent"'))
    done = verify()
    assert done.returncode == ExitCode.NOT_VERIFIED
    assert "does not hold" in done.stdout
    assert 'drivers[0].verdict is "consistent", from the report follows "conformant"' in done.stdout


def test_clauses_of_this_version(verify: Verify) -> None:
    """A report whose table of clauses is not this version's, though it says so, is noticed."""
    done = verify("--check-clauses=conformance.clauses")
    assert done.returncode == ExitCode.NOT_VERIFIED
    assert "its table of clauses is another one" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--signature", "x.sig"), "--signature: a signature is checked with both; add --signers FILE"),
        (("--signers", "x"), "--signers: a signature is checked with both; add --signature FILE"),
    ],
)
def test_half_a_signature(verify: Verify, arguments: tuple[str, ...], said: str) -> None:
    """A signature without signers, or signers without a signature, are a usage error."""
    done = verify(*arguments)
    assert done.returncode == ExitCode.USAGE_ERROR
    assert f"ERROR: {said}" in done.stderr


def test_certificate_that_is_not_there(certified: Path) -> None:
    """A certificate that can't be read is a usage error that names it."""
    done = _run(certified, "verify", "absent.json")
    assert done.returncode == ExitCode.USAGE_ERROR
    assert "ERROR: absent.json: there is no such file" in done.stderr


needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def _sign(directory: Path, namespace: str = "backend-activity-certificate", name: str = "key") -> None:
    for command in (
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name],
        ["ssh-keygen", "-q", "-Y", "sign", "-f", name, "-n", namespace, "report/certificate.json"],
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    if not (directory / "signers").exists():
        (directory / "signers").write_text("storage@acme.example " + (directory / f"{name}.pub").read_text())


SIGNED = ("--signature", "report/certificate.json.sig", "--signers", "signers")


@needs_ssh
def test_signed_certificate(verify: Verify, tmp_path: Path) -> None:
    """A certificate that an allowed signer has signed holds, and the signer is named."""
    _sign(tmp_path)
    done = verify(*SIGNED)
    assert done.returncode == ExitCode.CONFORMANT, done.stdout
    assert "signed by storage@acme.example" in done.stdout
    assert "no signature was checked" not in done.stdout


@needs_ssh
@pytest.mark.parametrize("fault", ["altered", "other key", "other purpose", "no signature", "garbage"])
def test_signature_that_does_not_hold(verify: Verify, tmp_path: Path, fault: str) -> None:
    """A signature of something else, by somebody else, for something else, or of no form, does not count."""
    _sign(tmp_path, "file" if fault == "other purpose" else "backend-activity-certificate")
    signature = tmp_path / "report" / "certificate.json.sig"
    said = "it is not of this certificate, or not for 'backend-activity-certificate'"
    if fault == "altered":
        path = tmp_path / "report" / "certificate.json"
        path.write_text(path.read_text() + " ")  # the same document, so that nothing else is wrong
    elif fault == "other key":
        signature.unlink()
        _sign(tmp_path, name="other")
        said = "it is by nobody that signers names"
    elif fault == "no signature":
        signature.unlink()
        said = "there is no such signature"
    elif fault == "garbage":
        signature.write_text("no signature\n")
        said = "it is by nobody"
    done = verify(*SIGNED)
    assert done.returncode == ExitCode.NOT_VERIFIED
    (line,) = done.stdout.strip().splitlines()[1:]
    assert "signature: " in line
    assert said in line
