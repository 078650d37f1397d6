"""Ctrl-C ends a run, whatever a driver is doing just then."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.execution import Executor
from conformance.session import ExitCode, make_settings
from harness.cell import CellError

CONFTEST = """
import os

pytest_plugins = ["conformance.plugin"]
os.environ.setdefault("CONTROLLER", str(os.getpid()))
"""

DRIVER = '''
import os
import signal
import time
from pathlib import Path

Path(__file__).with_suffix(".seen").touch()
os.kill(int(os.environ["CONTROLLER"]), signal.SIGINT)
time.sleep(60)


class Driver:
    """Whoever imports it is interrupted, and waits for a minute."""
'''


@pytest.mark.parametrize("workers", ["0", "2"])
def test_interrupt_while_a_driver_is_looked_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """The run ends at once with the status of an interrupt, and no other driver is looked at any more."""
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makeconftest(CONFTEST)
    for name in ("first", "second", "third"):
        (pytester.path / f"{name}.py").write_text(DRIVER)
    drivers = [option for name in ("first", "second", "third") for option in ("--driver", f"{name}:Driver")]
    suite = ["-p", "no:cacheprovider", "--pyargs", "conformance.test_stalls", "--testbed", "iscsi-sim"]
    run = pytester.runpytest_subprocess(*suite, "-n", workers, *drivers, timeout=30)
    assert run.ret == ExitCode.INTERRUPTED, run.stdout.str() + run.stderr.str()
    assert [Path(path).stem for path in sorted(pytester.path.glob("*.seen"))] == ["first"]


def test_a_run_that_is_over_starts_no_cell() -> None:
    """What still goes on in a thread when the run ends meets an error at its next driver, and starts nothing."""
    settings = make_settings(drivers=["reference"], testbeds=["iscsi-sim"])
    executor = Executor(settings, {})
    executor.close()
    with pytest.raises(CellError, match="the run is over"):
        executor.describe(settings.drivers[0], "iscsi-sim")
