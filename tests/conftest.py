"""What holds for every test."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from _pytest.terminal import TerminalReporter
from pyfakefs.pytest_plugin import fs as fs  # the fixture alone: the plugin is left out, see pyproject.toml

from tests.proof.support import HONEST_RUN, HONEST_TEST

BEGAN = time.monotonic()


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs that tests start: a shell's background jobs ignore it, and so would those."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out, visibly, the longer proofs for which a run that is limited by LONG_MINUTES has no time left."""
    minutes = float(os.environ.get("LONG_MINUTES", "0"))
    if minutes and item.get_closest_marker("long") and time.monotonic() - BEGAN > 60 * minutes:
        pytest.skip(f"LONG_MINUTES={minutes:g} are over")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print on how many seeds honest drivers passed, and on how many they did not."""
    properties = [one for report in terminalreporter.getreports("passed") for one in report.user_properties]
    checks = [int(value) for name, value in properties if name == HONEST_RUN]
    bad = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
    failed = sum(HONEST_TEST in report.nodeid for report in bad)
    if checks or failed:
        told = f"{failed} seeds failed" if failed else "no failure"
        terminalreporter.write_line(f"honest drivers: {len(checks)} seeds passed, {sum(checks)} checks; {told}")


@pytest.fixture(autouse=True, scope="session")
def no_summary_for_github() -> None:
    """The runs that tests start are not what the page of a CI job is to show."""
    os.environ.pop("GITHUB_STEP_SUMMARY", None)
