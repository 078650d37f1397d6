"""Which ranges are read where the server does not say what is in use."""

from __future__ import annotations

import random

from harness.real_targets.backing.ranges import SAMPLES, with_doubts
from harness.storage import BLOCK

SIZE = 1000 * BLOCK


def test_neighbours_and_samples_are_read() -> None:
    """Every written block, the blocks next to it, and samples that differ from look to look are read, each once."""
    written = [(0, BLOCK), (10 * BLOCK, 2 * BLOCK), (13 * BLOCK, BLOCK), (999 * BLOCK, BLOCK)]
    needed = {0, 1, 9, 10, 11, 12, 13, 14, 998, 999}
    looks = []
    for seed in range(50):
        found = with_doubts(written, SIZE, random.Random(seed))
        blocks = [b for start, length in found for b in range(start // BLOCK, (start + length) // BLOCK)]
        assert blocks == sorted(set(blocks))
        assert needed <= set(blocks) <= set(range(1000))
        assert len(blocks) <= len(needed) + SAMPLES
        looks.append(frozenset(blocks))
    assert len(set(looks)) > 40
    assert len(frozenset().union(*looks)) > 250
