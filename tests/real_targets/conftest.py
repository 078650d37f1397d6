"""Testbeds on real targets, each skipped, with the reason, where its program is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.lio.testbed import LioTestbed
from harness.real_targets.tgt.testbed import TgtTestbed

from .work import opening


@pytest.fixture
def open_tgt(tmp_path: Path) -> Iterator[Callable[..., IscsiTestbed]]:
    """Opens testbeds `tgt` in a directory of the test's own, and closes them."""
    with opening(TgtTestbed, tmp_path, whole_copy_s=0.05) as opens:
        yield opens


@pytest.fixture
def tgt(open_tgt: Callable[..., IscsiTestbed]) -> IscsiTestbed:
    """A testbed `tgt`."""
    return open_tgt()


@pytest.fixture
def lio(tmp_path: Path) -> Iterator[IscsiTestbed]:
    """A testbed `lio`; its machine takes seconds to come up, and is built when it is needed for the first time."""
    with opening(LioTestbed, tmp_path) as opens:
        yield opens()


@pytest.fixture
def open_ganesha(tmp_path: Path) -> Iterator[Callable[..., GaneshaTestbed]]:
    """Opens testbeds `ganesha` in a directory of the test's own, and closes them."""
    with opening(GaneshaTestbed, tmp_path, whole_copy_s=0.05) as opens:
        yield opens


@pytest.fixture
def ganesha(open_ganesha: Callable[..., GaneshaTestbed]) -> GaneshaTestbed:
    """A testbed `ganesha`."""
    return open_ganesha()
