"""The handle table of specification section 4, written out for the checks; it shares no code with any backend's."""

from __future__ import annotations

from typing import Literal

Answer = Literal["yes", "no", "may", "gone"]
"""Whether a handle works; "may": either is right; "gone": by a connection that is lost nothing works any more."""

RELATIONS = (
    "same connection",
    "new connection",
    "same host, other user",
    "other host, same user",
    "other host, other user",
)
"""How a caller stands to the connection that started the activity; "new connection" is of the same host and user."""

_TABLE: dict[str, tuple[Answer, Answer, Answer, Answer, Answer]] = {
    "connection-specific": ("yes", "no", "no", "no", "no"),
    "source-specific": ("yes", "yes", "may", "no", "no"),
    "user-specific": ("yes", "yes", "no", "yes", "no"),
    "unrestricted": ("yes", "yes", "yes", "yes", "yes"),
}


def expected(scope: str, relation: str) -> Answer:
    """Whether a handle of that scope works for a caller in that relation."""
    return _TABLE[scope][RELATIONS.index(relation)]


def expected_afterwards(scope: str, relation: str) -> Answer:
    """The same once the first connection is gone (H-3): connection-specific handles then work for nobody."""
    if relation == "same connection":
        return "gone"
    return "no" if scope == "connection-specific" else expected(scope, relation)
