"""A foreground write on its way, and what its way looks like while nothing is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.recorder import WriteLog
from harness.storage import StorageError
from simulated_backends.route import HostRoute
from simulated_backends.stored_object import HeldObject

AT_GATE, SEND, QUEUE, ARRIVE, RETURN, ACKNOWLEDGE, OVER = range(7)
"""The phases of a write, each named after what is due next; plain numbers, since members of an Enum are slow to get."""


class Write:
    """A write under way: its row in the record, the route and the session that it was sent on, and when (ns).

    It writes `count` blocks from `block` on, the first of them with `stamp` and the next with the stamps after it, and
    has as many rows from `row` on. `refusal` is what the backend answers to it instead of an acknowledgement.

    All of what is due of a write is in here, and nothing in the code that carries it, so that the writes of a stream
    may be worked out elsewhere while the stream's task sleeps (`simulated_backends.batch`).
    """

    __slots__ = ("back_ns", "block", "count", "phase", "refusal", "route", "row", "sent_ns", "session", "stamp")

    def __init__(self) -> None:
        self.phase = OVER
        self.count = 1
        self.block = self.stamp = self.row = self.sent_ns = self.session = self.back_ns = 0
        self.route: HostRoute | None = None
        self.refusal: StorageError | None = None


@dataclass(frozen=True, eq=False)
class Pace:
    """What the writes over one attachment take as long as nothing changes; times in nanoseconds.

    A write is applied `there_ns` and some jitter after it was sent, and acknowledged `back_ns` after that. The jitter
    is a number drawn from `jitter` (0 up to but without 1), times `jitter_ns`, rounded down. `stalled_ns` is up to when
    writes were sent whose acknowledgement is held back (-1: none). `passed` counts more or fewer writes under way.
    """

    there_ns: int
    back_ns: int
    jitter: Callable[[], float]
    jitter_ns: int
    stalled_ns: int
    log: WriteLog
    held: HeldObject
    route: HostRoute
    passed: Callable[[int], None]

    def fits(self, write: Write) -> bool:
        """Whether what is left of a write under way takes this course as well."""
        is_on_course = write.route is self.route and write.session == self.route.session and write.refusal is None
        return is_on_course and write.sent_ns > self.stalled_ns
