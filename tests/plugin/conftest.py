"""A directory with a sample suite, and a way to run it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).parent / "sample"


@dataclass
class Finished:
    """A finished run: its exit status, what it printed, its report."""

    status: int
    text: str
    report: dict[str, Any] | None

    @property
    def driver(self) -> dict[str, Any]:
        """The one driver's part of the report."""
        assert self.report is not None, self.text
        (driver,) = self.report["drivers"]
        return dict(driver)

    def check(self, name: str, testbed: str = "sample-sim") -> dict[str, Any]:
        """The result of one check."""
        (found,) = [c for c in self.driver["checks"] if (c["check"], c["testbed"]) == (name, testbed)]
        return dict(found)

    def outcomes(self) -> dict[str, str]:
        """The outcome of each check, by name and testbed."""
        return {f"{c['check']} on {c['testbed']}": c["outcome"] for c in self.driver["checks"]}


Certify = Callable[..., Finished]


@pytest.fixture
def certify(pytester: pytest.Pytester) -> Certify:
    """Run pytest on the sample suite, in a process of its own."""
    shutil.copytree(SAMPLE, pytester.path, dirs_exist_ok=True)
    (pytester.path / "suite.py").rename(pytester.path / "test_suite.py")
    (pytester.path / "conftest.py").write_text('pytest_plugins = ["conformance.plugin"]\n')
    (pytester.path / "test_other.py").write_text('def test_other():\n    """No check."""\n')
    report = pytester.path / "backend-activity-report" / "report.json"

    def run(*arguments: str, suite: tuple[str, ...] = ("test_suite.py",), testbed: str = "sample-sim") -> Finished:
        report.unlink(missing_ok=True)
        fakes = ["--check-runner", "sample_runner", "--check-clauses", "sample_runner", "-p", "no:cacheprovider"]
        beds = ["--testbed", testbed] if testbed else []
        result = pytester.runpytest_subprocess(*fakes, *beds, *suite, *arguments)
        text = result.stdout.str() + "\n" + result.stderr.str()
        found = json.loads(report.read_text()) if report.exists() else None
        return Finished(int(result.ret), text, found)

    return run
