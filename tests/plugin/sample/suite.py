"""Checks that pass, but for what the driver under test does in `test_acts`."""

import pytest
from sample_runner import act

from conformance.checks import check


@check("D-1", "D-3", "T-1")
def test_acts(lab):
    """The driver does what it is named after."""
    act(lab)


@pytest.mark.parametrize("size", ["small", "large"])
@check("D-2")
def test_sizes(lab, size):
    """Any size will do."""
    assert size in ("small", "large")


@check("D-1")
def test_quiet(lab):
    """Nothing happens."""


@check("T-1")
def test_taskflow(lab):
    """Nothing happens to the taskflow either."""
