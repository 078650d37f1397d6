"""Which ranges of what a server shows a look at its content reads.

The server's own word is the best (over iSCSI GET LBA STATUS). Where it gives none, as LIO and NFSv4.1 do not, the
backing file says where data are; lest the file be believed where the server shows something else, the block before and
after each of its ranges is read too, and `SAMPLES` blocks drawn from the rest. So a server that shows another file, or
the same one displaced, is found out; a single stray block in the midst of zeros only by reading everything.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from harness.storage import BLOCK

from .windows import Range

SAMPLES = 8


def with_doubts(written: Iterable[Range], size: int, draw: random.Random) -> list[Range]:
    """The ranges up to byte `size`, those next to them, and samples of what is there; ascending and merged."""
    wide = [
        (max(start - BLOCK, 0), min(start + length + BLOCK, size)) for start, length in written if start < size + BLOCK
    ]
    blocks = size // BLOCK
    samples = [draw.randrange(blocks) * BLOCK for _ in range(SAMPLES)] if blocks else []
    return merged([*wide, *((start, start + BLOCK) for start in samples)])


def merged(spans: Iterable[tuple[int, int]]) -> list[Range]:
    """Spans, each from a byte up to another, as ascending ranges that do not touch."""
    found: list[Range] = []
    for start, end in sorted(spans):
        if found and start <= sum(found[-1]):
            first, length = found[-1]
            found[-1] = (first, max(first + length, end) - first)
        else:
            found.append((start, end - start))
    return found
