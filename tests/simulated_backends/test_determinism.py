"""Runs repeat exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import TESTBEDS

SCRIPT = Path(__file__).with_name("busy_run.py")


def digest(name: str, seed: int, hash_seed: str) -> str:
    """The digest of a busy run in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, str(SCRIPT), name, str(seed)], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.mark.parametrize("name", sorted(TESTBEDS))
def test_the_same_seed_gives_the_same_digest(name: str) -> None:
    """A busy run repeats exactly in a fresh process with another hash seed, and differs with another seed."""
    first, again, other = digest(name, 7, "1"), digest(name, 7, "4242"), digest(name, 8, "1")
    assert len(first) == 64 and first == again != other
