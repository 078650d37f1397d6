"""What a host meets that looks for something which is not where it was."""

from __future__ import annotations


class Unreachable(Exception):
    """What was looked for can't be reached now; it may be there again, or elsewhere, in a moment."""
