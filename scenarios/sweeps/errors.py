"""What goes wrong with a sweep and is for the user to put right."""

from __future__ import annotations


class SweepError(ValueError):
    """A sweep can't begin or go on; the message says what is wrong, where, and what to do."""


class RunFailedError(SweepError):
    """A run could not begin, or came to no end; the message says which one, and why."""
