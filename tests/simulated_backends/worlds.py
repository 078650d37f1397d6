"""A testbed with short words for what the tests do in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from harness.activity import ActivityStatus
from harness.model import Caller
from harness.runtime import Limits, nanoseconds
from harness.storage import BLOCK, BLOCKS_PER_GIB, CopyRequest, Transfer
from harness.testbed import Attachment, Connection, Job, LoadSpec
from simulated_backends.attachment import SimulatedAttachment
from simulated_backends.content import ascending
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.copies import scattered
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.testbed import SimulatedTestbed

T = TypeVar("T")

TESTBEDS: Mapping[str, type[SimulatedTestbed]] = {"iscsi-sim": IscsiTestbed, "nfs-sim": NfsTestbed}

SPREAD = tuple(range(0, BLOCKS_PER_GIB, BLOCKS_PER_GIB // 64))
"""64 blocks over the whole of a 1 GiB volume, so that a copy passes them one after the other."""


class World:
    """One testbed; `run` runs a body in it."""

    def __init__(self, name: str, seed: int = 1, **options: Any) -> None:
        self.testbed = TESTBEDS[name](seed=seed, options=options)
        self.runtime = self.testbed.runtime
        self.recorder = self.testbed.recorder
        self.primary = self.testbed.backend("primary")
        self.sibling = self.testbed.backend("sibling")
        self.stranger = self.testbed.backend("stranger")
        self.store = self.primary.store
        self._requests = 0

    def run(self, body: Callable[[], T]) -> T:
        """Run `body` as the main task and close the testbed."""
        try:
            return self.runtime.run(body, Limits())
        finally:
            self.testbed.close()

    def connect(self, host: str = "host-a", user: str = "user-a", address: str = "192.0.2.1") -> Connection:
        """A connection to the primary backend."""
        return self.primary.connect(Caller(host, user, address))

    def start(self, connection: Connection, verb: str, **job: Any) -> str:
        """Start a job under a request id of its own."""
        self._requests += 1
        return connection.start(Job(verb, **job), f"request-{self._requests}")

    def wait(self, connection: Connection, handle: str) -> ActivityStatus:
        """Poll until the job is over."""
        while not (status := connection.status(handle)).state.is_terminal:
            self.runtime.sleep(nanoseconds(status.poll_after))
        return status

    def volume(self, volume_id: str = "volume", size: int = 1) -> SimulatedAttachment:
        """A new volume on the primary backend, attached to a host."""
        self.store.create_volume(volume_id, size)
        return self.primary.attach(volume_id, "host-a")

    def copy(
        self, source: str, target: str, makes: str = "volume", point_in_time: bool = True, size: int | None = None
    ) -> Transfer:
        """Begin a copy within the primary backend."""
        return self.store.begin_copy(CopyRequest(source, target, makes, point_in_time, size), self.store)

    def fill(self, attachment: Attachment, blocks: tuple[int, ...] = SPREAD) -> dict[int, int]:
        """Write each of the blocks once; returns the image that this makes."""
        image = {}
        for block in blocks:
            image[block] = stamp = self.recorder.next_stamp()
            attachment.write(block, stamp)
        return image

    def sleep_until(self, transfer: Transfer, fraction: float) -> None:
        """Wait until a transfer has moved that share of its bytes."""
        while transfer.moved() < fraction * transfer.total:
            self.runtime.sleep(nanoseconds(0.001))

    def block_at(self, fraction: float, target: str = "copy") -> int:
        """The block that a copy to `target` reads when it has moved that share, in 64ths, of the bytes of 1 GiB."""
        is_scattered = isinstance(self.testbed, NfsTestbed)
        rank = scattered(1, "primary")(target, BLOCKS_PER_GIB) if is_scattered else ascending
        return next(block for block in SPREAD if rank(block) == fraction * BLOCKS_PER_GIB)

    def busy(self, attachment: Attachment) -> Any:
        """A load on the spread blocks."""
        return attachment.load(LoadSpec(SPREAD))

    def is_torn(self, image: Mapping[int, int], volume_id: str = "volume") -> bool:
        """Whether some write that the image lacks was acknowledged before one that it shows was issued."""
        log = self.recorder.writes(volume_id)
        rows = {stamp: row for row, stamp in enumerate(log.stamps)}
        shown = {block: rows[stamp] for block, stamp in image.items()}
        newest = max((log.issued[row] for row in shown.values()), default=0)
        return any(
            log.acknowledged[row] != -1
            and log.acknowledged[row] < newest
            and log.issued[row] > log.issued[shown[block]]
            if block in shown
            else -1 < log.acknowledged[row] < newest
            for row, block in enumerate(log.blocks)
        )


def image_of(attachment: Attachment) -> dict[int, bytes]:
    """The bytes of every written block, read by the host."""
    return {
        block: attachment.read(block * BLOCK, BLOCK)
        for offset, length in attachment.extents()
        for block in range(offset // BLOCK, (offset + length) // BLOCK)
    }
