"""A foreground workload over the attachment port: stamped writes from several streams, the same under both clocks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from harness.recorder import Recorder
from harness.runtime import Runtime, Task
from harness.testbed import Attachment, LoadSpec

WriteBlock = Callable[[int, int], None]
"""Writes a stamp to a block and returns once it is acknowledged; records the write."""


class WritesEach(Protocol):
    """An attachment that can be told of several writes at once. A testbed's attachments need not be able to."""

    def write_each(self, blocks: Sequence[int]) -> None:
        """Write blocks one after the other, each once the one before is acknowledged and with the next stamp of the
        record, which shows the same as if they had been written so."""


def write_each(attachment: Attachment, blocks: Sequence[int], recorder: Recorder) -> None:
    """Write blocks one after the other, each with the next stamp; raises what the attachment's `write` raises."""
    if hasattr(attachment, "write_each"):
        cast(WritesEach, attachment).write_each(blocks)
        return
    for block in blocks:
        attachment.write(block, recorder.next_stamp())


class StreamLoad:
    """Streams that write stamps until stopped. Blocks are dealt out to the streams, so that no two writes to one
    block are ever outstanding (specification section 7)."""

    def __init__(
        self, runtime: Runtime, recorder: Recorder, write: WriteBlock, spec: LoadSpec, source: random.Random, name: str
    ) -> None:
        if not spec.blocks or spec.streams < 1:
            raise ValueError("a load needs at least one block and one stream")
        self._runtime = runtime
        self._recorder = recorder
        self._write = write
        self._think_ns = spec.think_ns
        self._stopping = False
        streams = min(spec.streams, len(spec.blocks))
        self._tasks: list[Task[None]] = []
        for number in range(streams):
            own = list(spec.blocks[number::streams])
            rng = random.Random(source.getrandbits(64))
            self._tasks.append(runtime.spawn(f"{name} stream {number}", lambda o=own, r=rng: self._run(o, r)))  # type: ignore[misc]

    def _run(self, blocks: list[int], rng: random.Random) -> None:
        while not self._stopping:
            self._write(rng.choice(blocks), self._recorder.next_stamp())
            if self._think_ns:
                self._runtime.sleep(1 + int(rng.expovariate(1.0) * self._think_ns))

    def stop(self, within_ns: int | None = None) -> None:
        """Stop after the outstanding writes; re-raises what a writer met, `Expired` after `within_ns` nanoseconds."""
        self._stopping = True
        for task in self._tasks:
            task.wait(within_ns)
