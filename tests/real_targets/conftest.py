"""Testbeds on real targets, each skipped, with the reason, where its program is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.real_targets.ganesha.testbed import GaneshaTestbed
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.lio.testbed import LioTestbed
from harness.real_targets.tgt.testbed import TgtTestbed


@pytest.fixture
def open_tgt(tmp_path: Path) -> Iterator[Callable[..., IscsiTestbed]]:
    """Opens testbeds `tgt` in a directory of the test's own, and closes them."""
    lacks = TgtTestbed.missing()
    if lacks:
        pytest.skip(lacks)
    opened: list[IscsiTestbed] = []

    def open_one(**options: Any) -> IscsiTestbed:
        opened.append(TgtTestbed(seed=7, options={"directory": tmp_path, "whole_copy_s": 0.05, **options}))
        return opened[-1]

    yield open_one
    for bed in opened:
        bed.close()


@pytest.fixture
def tgt(open_tgt: Callable[..., IscsiTestbed]) -> IscsiTestbed:
    """A testbed `tgt`."""
    return open_tgt()


@pytest.fixture
def lio(tmp_path: Path) -> Iterator[IscsiTestbed]:
    """A testbed `lio`; its machine takes seconds to come up, and is built when it is needed for the first time."""
    lacks = LioTestbed.missing()
    if lacks:
        pytest.skip(lacks)
    bed = LioTestbed(seed=7, options={"directory": tmp_path})
    yield bed
    bed.close()


@pytest.fixture
def open_ganesha(tmp_path: Path) -> Iterator[Callable[..., GaneshaTestbed]]:
    """Opens testbeds `ganesha` in a directory of the test's own, and closes them."""
    lacks = GaneshaTestbed.missing()
    if lacks:
        pytest.skip(lacks)
    opened: list[GaneshaTestbed] = []

    def open_one(**options: Any) -> GaneshaTestbed:
        opened.append(GaneshaTestbed(seed=7, options={"directory": tmp_path, "whole_copy_s": 0.05, **options}))
        return opened[-1]

    yield open_one
    for bed in opened:
        bed.close()


@pytest.fixture
def ganesha(open_ganesha: Callable[..., GaneshaTestbed]) -> GaneshaTestbed:
    """A testbed `ganesha`."""
    return open_ganesha()
