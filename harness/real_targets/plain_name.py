"""Names that every protocol here can hold."""

from __future__ import annotations

import hashlib

_LONGEST = 48


def plain_name(text: str) -> str:
    """The text, if it is short and of small letters, digits, "-" and "." only; else a digest of it."""
    plain = all(c.isascii() and (c.islower() or c.isdigit() or c in "-.") for c in text)
    return text if plain and 0 < len(text) <= _LONGEST else "x" + hashlib.sha256(text.encode()).hexdigest()[:16]
