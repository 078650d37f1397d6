"""Testbeds for the tests in this directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.real_targets.files.testbed import FilesTestbed

COPY_S = 0.8
"""Seconds of a copy in these tests: long enough to stop it near its beginning, whatever the machine is doing."""


@pytest.fixture
def open_bed(tmp_path: Path) -> Iterator[Callable[..., FilesTestbed]]:
    """Opens testbeds in a directory of the test's own, and closes them."""
    opened = []

    def open_one(**options: Any) -> FilesTestbed:
        bed = FilesTestbed(seed=7, options={"directory": tmp_path, "whole_copy_s": COPY_S, **options})
        opened.append(bed)
        return bed

    yield open_one
    for bed in opened:
        bed.close()


@pytest.fixture
def bed(open_bed: Callable[..., FilesTestbed]) -> FilesTestbed:
    """A testbed."""
    return open_bed()


@pytest.fixture
def quick(open_bed: Callable[..., FilesTestbed]) -> FilesTestbed:
    """A testbed whose copies take next to no time."""
    return open_bed(whole_copy_s=0.01)
