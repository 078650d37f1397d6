"""What volumes hold: writes, snapshots, clones, memory, and reading through many snapshots."""

from __future__ import annotations

import random
import statistics
import tracemalloc
from collections.abc import Iterator
from time import process_time_ns

from benchmarks.measure import Row, cpu
from simulated_backends.content import Content

BLOCKS = 1 << 28
"""A volume of 1 TiB."""


def written(blocks: list[int]) -> Content:
    """A content in which each of the blocks was written once, in that order."""
    content = Content()
    write = content.write
    for stamp, block in enumerate(blocks, 1):
        write(block, stamp)
    return content


def layered(blocks: list[int], snapshots: int, first: int | None = None) -> list[Content]:
    """The same, with that many snapshots taken on the way, evenly: the snapshots, and last what they were taken of.

    `first` is after how many writes the first one is taken, if not as late as evenly.
    """
    content = Content()
    taken: list[Content] = []
    every = -(-len(blocks) // snapshots)
    due = every if first is None else first
    for stamp, block in enumerate(blocks, 1):
        content.write(block, stamp)
        if stamp == due or (stamp == len(blocks) and len(taken) < snapshots):
            taken.append(content.freeze())
            due += every
    return [*taken, content]


def reads(content: Content, blocks: list[int]) -> list[int]:
    """The stamps of the blocks, looked up one by one."""
    return [content.stamp(block) for block in blocks]


def snapshot_us(content: Content, times: int, block: int) -> float:
    """Median microseconds of a snapshot after a write."""
    spent = []
    for stamp in range(times):
        content.write(block, stamp + 1)
        began = process_time_ns()
        content.freeze()
        spent.append(process_time_ns() - began)
    return statistics.median(spent) / 1000


def clone_ms(content: Content) -> float:
    """Milliseconds of a clone that is written right away."""
    began = process_time_ns()
    clone = content.freeze()
    clone.write(0, 1)
    return (process_time_ns() - began) / 1e6


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    count = 2_000 if tiny else 1_000_000
    rng = random.Random(1)
    blocks = [rng.randrange(BLOCKS) for _ in range(count)]
    rate = statistics.median(count / cpu(lambda: written(blocks))[0] for _ in range(runs))
    yield Row("stamps: writes of single blocks", f"{rate:,.0f} /s", target=">= 1,000,000", met=rate >= 1e6)

    sizes = (count // 100, count // 10, count)
    snapshots, clones = [], []
    for size in sizes:
        contents = [written(blocks[:size]) for _ in range(runs)]
        clones.append(statistics.median(clone_ms(content) for content in contents))
        snapshots.append(statistics.median(snapshot_us(content, 200, blocks[0]) for content in contents))
    worst = max(snapshots)
    of_sizes = f"the content alone; for {', '.join(f'{size:,}' for size in sizes)} written blocks: "
    each = ", ".join(f"{value:.2f}" for value in snapshots)
    yield Row("stamps: snapshot", f"{worst:.2f} us", target="<= 5 us", met=worst <= 5, note=of_sizes + each)
    each = ", ".join(f"{value:.3f}" for value in clones)
    worst = max(clones)
    yield Row("stamps: clone of a volume", f"{worst:.3f} ms", target="<= 1 ms", met=worst <= 1, note=of_sizes + each)

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    content = written(blocks)
    size = (tracemalloc.get_traced_memory()[0] - before) / 2**20 * (1_000_000 / count)  # type: ignore[assignment]
    tracemalloc.stop()
    note = "the blocks' numbers belong to the caller; the stamps' count"
    yield Row("stamps: memory of a million blocks", f"{size:.0f} MiB", target="<= 150 MiB", met=size <= 150, note=note)
    del content

    for look_ups in (count // 100, count // 10, count):
        yield _reads_row(runs, blocks, look_ups, "a volume through", -1)
    yield _reads_row(runs, blocks, count // 100, "the newest of", -2)
    for look_ups in (count // 100, count):
        yield _reads_row(runs, blocks, look_ups, "the oldest of", 0)
    rate = statistics.median(count / cpu(lambda: layered(blocks, 100))[0] for _ in range(runs))
    yield Row("stamps: writes, 100 snapshots on the way", f"{rate:,.0f} /s", target=">= 1,000,000", met=rate >= 1e6)


def _reads_row(runs: int, blocks: list[int], look_ups: int, what: str, which: int) -> Row:
    """A few look-ups in an old snapshot walk through what was noted since, and have no target; many make up for putting
    it together, which is in the time."""
    sample = random.Random(2).sample(blocks, look_ups)
    ratios, equal = [], True
    for _ in range(runs):
        one = layered(blocks, 1, -(-len(blocks) // 100) if which == 0 else None)[which]
        many = layered(blocks, 100)[which]
        first, expected = cpu(lambda c=one: reads(c, sample))  # type: ignore[misc]
        second, found = cpu(lambda c=many: reads(c, sample))  # type: ignore[misc]
        equal = equal and found == expected
        ratios.append(second / first)
    ratio = statistics.median(ratios)
    note = f"{look_ups:,} look-ups; " + ("equal stamps" if equal else "STAMPS DIFFER")
    what = f"stamps: reads of {what} 100 snapshots / one"
    if which == 0:
        return Row(what, f"{ratio:.2f} x", note=note)
    return Row(what, f"{ratio:.2f} x", target="<= 3 x", met=equal and ratio <= 3, note=note)
