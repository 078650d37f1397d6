"""File names of pages: whatever a driver is called, they are safe, and no two are the same."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 48


class FileNames:
    """Gives out file names of the letters a to z, digits and hyphens, none twice: "driver-acme-fast.html".

    Each begins with the kind of page, so that none is hidden, reserved by a system, or a path. The same calls in the
    same order give the same names.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, kind: str, title: str) -> str:
        """A name for a page of that kind and title; a number tells those apart that would be the same."""
        folded = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
        words = re.sub(r"[^a-z0-9]+", "-", folded[: 4 * _LONGEST]).strip("-")[:_LONGEST].strip("-")
        stem = f"{kind}-{words}" if words else kind
        name, number = f"{stem}.html", 2
        while name in self._taken:
            name, number = f"{stem}-{number}.html", number + 1
        self._taken.add(name)
        return name
