"""What holds for every test."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_summary_for_github() -> None:
    """The runs that tests start are not what the page of a CI job is to show."""
    os.environ.pop("GITHUB_STEP_SUMMARY", None)
