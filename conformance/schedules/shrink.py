"""Delta debugging: the smallest schedule that still fails (A. Zeller, R. Hildebrandt, IEEE TSE 28(2), 2002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.schedules.plan import Block


class Budget:
    """How many runs may still be spent."""

    def __init__(self, runs: int) -> None:
        self.left = runs

    def spend(self) -> bool:
        """Take one run; whether there was one."""
        self.left -= 1
        return self.left >= 0


def shrink(blocks: Sequence[Block], fails: Callable[[list[Block]], bool], runs: int = 300) -> list[Block]:
    """The smallest blocks that are found to fail as well, in at most `runs` runs; the first block, the stage, stays.

    First whole blocks go, in ever smaller pieces, then the numbers in those that are left become smaller. `fails` has
    to be a function of the blocks alone.
    """
    budget = Budget(runs)
    best = list(blocks)
    before: list[Block] | None = None
    while best != before and budget.left > 0:
        before = list(best)
        best = [best[0], *_fewer(best[1:], lambda rest: fails([best[0], *rest]), budget)]  # noqa: B023
        best = _lower(best, fails, budget)
    return best


def _fewer(blocks: list[Block], fails: Callable[[list[Block]], bool], budget: Budget) -> list[Block]:
    size = max(1, len(blocks) // 2)
    while blocks:
        start = 0
        while start < len(blocks):
            shorter = blocks[:start] + blocks[start + size :]
            if budget.spend() and fails(shorter):
                blocks = shorter
            else:
                start += size
        if size == 1:
            break
        size //= 2
    return blocks


def _lower(blocks: list[Block], fails: Callable[[list[Block]], bool], budget: Budget) -> list[Block]:
    for number, block in enumerate(blocks):
        first = 0 if number == 0 else 1  # whether a block is a deed or a strike stays
        for place in range(first, len(block)):
            for value in (0, 1, block[place] // 2, block[place] - 1):
                block = blocks[number]
                if not 0 <= value < block[place]:
                    continue
                changed = [*blocks[:number], (*block[:place], value, *block[place + 1 :]), *blocks[number + 1 :]]
                if budget.spend() and fails(changed):
                    blocks = changed
    return blocks
