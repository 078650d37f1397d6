"""Text that a driver may have written, made safe to show: control characters replaced, length bounded.

A driver chooses its own names and messages, so neither a page nor a terminal gets them as they are.
"""

from __future__ import annotations

import unicodedata

LIMIT = 2000
"""The most characters of one text that are shown; `report.json` has them all."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEPT = "\n\t"


def clean(value: object, limit: int = LIMIT) -> str:
    """`value` as text without control, format and surrogate characters, no longer than about `limit`.

    Terminal escapes, characters that reverse the direction of writing and those that a page can't hold become
    U+FFFD, visibly; newline and tab stay. What was cut off is counted at the end.
    """
    text = value if isinstance(value, str) else str(value)
    cut = len(text) - limit
    if cut > 0:
        text = text[:limit]
    if not text.isprintable():
        text = "".join(c if c in _KEPT or unicodedata.category(c)[0] != "C" else REPLACEMENT for c in text)
    return f"{text} … ({cut} more characters)" if cut > 0 else text


def one_line(value: object, limit: int = LIMIT) -> str:
    """`clean`, on one line."""
    return " ".join(clean(value, limit).split())


def duration(ns: float) -> str:
    """A time given in nanoseconds, in the unit that reads best: "12.5 ms"."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:,.4g} {unit}" if abs(ns) < 1e13 else f"{ns / size:,.0f} {unit}"
    return f"{ns:g} ns"
