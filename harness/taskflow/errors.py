"""What can go wrong in the taskflow; every message says what happened and what holds now."""

from __future__ import annotations


class TaskflowError(Exception):
    """Base of the taskflow's errors."""


class QuiesceTimeout(TaskflowError):
    """The volume could not be quiesced in time; the method was not invoked and the volume was released (Q-6)."""


class QuiesceLost(TaskflowError):
    """The hosts released the volume before the method returned; its result must not be used (Q-3)."""


class OutcomeUnknown(TaskflowError):
    """The connection or the handle was lost; whether the method had its effect is not known (H-9).

    `waited`: whether the flow has waited already until the method is surely over (H-8).
    """

    waited = False


class DriverError(TaskflowError):
    """The driver raised, or returned what the contract does not allow; `cause` is what it raised, if it did."""

    def __init__(self, driver: str, method: str, what: str, cause: BaseException | None = None) -> None:
        super().__init__(f"{driver}.{method}: {what}")
        self.driver = driver
        self.method = method
        self.cause = cause


class OutOfMemory(BaseException):
    """The driver took all the memory that its process may have. No flow goes on from here: the check is over.

    A BaseException, since undoing would call the driver again, in a process without memory.
    """


class Refused(TaskflowError):
    """The control plane does not allow this now; nothing was done."""
