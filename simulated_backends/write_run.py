"""Writes of one caller, one after the other, worked out at once while nothing else happens."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from harness.recorder import Recorder
from harness.runtime.virtual import VirtualRuntime
from harness.storage import BLOCK
from simulated_backends.writes import Pace


class Writing(Protocol):
    """What is written through; see `WritePath`."""

    def write(self, block: int, stamp: int) -> None:
        """Write one block; returns when it is acknowledged."""

    def pace(self) -> Pace | None:
        """What writes take as long as nothing changes; None if one might block, fail or tarry."""


def write_in_turn(runtime: VirtualRuntime, recorder: Recorder, through: Writing, blocks: Sequence[int]) -> None:
    """Write blocks one after the other, each with the next stamp of the record. Raises as `through.write` does."""
    runtime.checkpoint()
    done = 0
    while done < len(blocks):
        pace = through.pace()
        count = 0 if pace is None else _write_undisturbed(runtime, recorder, pace, blocks[done:])
        if not count:
            through.write(blocks[done], recorder.next_stamp())
        done += count or 1


def _write_undisturbed(runtime: VirtualRuntime, recorder: Recorder, pace: Pace, blocks: Sequence[int]) -> int:
    """Write as many of `blocks` as surely are acknowledged before anything else is due; returns how many these were.

    The record, the volume and the clock are left as by one `Writing.write` after the other.
    """
    held, longest_ns = pace.held, pace.there_ns + pace.jitter_ns + pace.back_ns
    count = min(len(blocks), max(0, runtime.undisturbed_ns() - 1) // longest_ns)
    blocks = blocks[:count]
    if not count or held.crawls or not _are_within(blocks, held.bytes):
        return 0
    jitter, jitter_ns, there_and_back_ns = pace.jitter, pace.jitter_ns, pace.there_ns + pace.back_ns
    began_ns = runtime.now()
    times = array("q", accumulate([there_and_back_ns + int(jitter() * jitter_ns) for _ in blocks], initial=began_ns))
    stamp, place = recorder.draw_stamps(count), recorder.draw_places(2 * count)
    stamps = array("q", range(stamp, stamp + count))
    pace.log.extend(
        memoryview(array("q", blocks)),
        memoryview(stamps),
        memoryview(array("q", range(place, place + 2 * count, 2))),
        memoryview(times)[:-1],
        memoryview(array("q", range(place + 1, place + 2 * count, 2))),
        memoryview(times)[1:],
    )
    held.write_all(list(blocks), stamps.tolist())
    room = -(-held.pool.figures.write_cache_bytes // BLOCK)
    for block in blocks:
        if len(held.dirty) >= room:  # from then on the cache destages as fast as it is filled
            break
        held.dirty.add(block)
    pace.route.heard_at(times[-1])
    runtime.sleep(times[-1] - began_ns)
    return count


def _are_within(blocks: Sequence[int], size: int) -> bool:
    """Whether those blocks lie within a volume of so many bytes."""
    return min(blocks) >= 0 and (max(blocks) + 1) * BLOCK <= size
