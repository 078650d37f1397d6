"""When a backend's jobs have their turn."""

from __future__ import annotations

from typing import Protocol

from harness.activity import Activity


class JobQueue(Protocol):
    """When a job may run, and whether it can be stopped; for backends with a job service of their own."""

    def wait_for_turn(self, activity: Activity) -> None:
        """Block while the activity is queued. Raises `TransferCancelled` if it is aborted meanwhile."""

    def wake(self) -> None:
        """A queued activity was aborted. Does not block."""

    def done(self, activity: Activity) -> None:
        """The activity is over, whether it had its turn or not. Does not block."""

    def is_abortable(self, activity: Activity) -> bool:
        """Whether the activity's caller can abort it."""
