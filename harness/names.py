"""What to tell somebody whose name for a thing is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

_LONGEST = 100
"""Characters of a name that are compared; matching takes time by the square of it."""
_SHOWN = 20
"""Known names that are listed at most."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, or None if none is near."""
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name[:_LONGEST].lower(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A remedy for a name that is unknown: the nearest known one, or all of them."""
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {near!r}?"
    if not known:
        return "none is known"
    shown = list(known)[:_SHOWN]
    more = len(known) - len(shown)
    return f"known are {', '.join(shown)}" + (f" and {more} more" if more else "")
