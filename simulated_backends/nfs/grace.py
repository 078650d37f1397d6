"""The grace period of an NFSv4.1 server that has restarted (RFC 8881 sections 8.4.2.1 and 18.51)."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Grace:
    """Whether only reclaims are taken now, and from whom.

    It lasts for its full time, or until every client that had state before the restart has done RECLAIM_COMPLETE
    (section 18.51.4); a server that nobody held state of before needs none.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._until_ns = 0
        self._reclaimers: frozenset[str] = frozenset()
        self._missing: dict[str, None] = {}

    @property
    def is_on(self) -> bool:
        """Whether the grace period is running."""
        return bool(self._missing) and self._now() < self._until_ns

    @property
    def left_ns(self) -> int:
        """How long (ns) it lasts at most from now on."""
        return self._until_ns - self._now() if self.is_on else 0

    def begin(self, owners: Iterable[str], until_ns: int) -> int:
        """The server has restarted; `owners` name the clients that had state, `until_ns` is the instant of its end.

        Who could still reclaim from before an earlier restart may do so now. A later end that an earlier restart has
        set stays: the server is not back yet from a longer power loss. Returns how many clients it waits for.
        """
        pending = self._missing if self.is_on else {}
        self._missing = pending | dict.fromkeys(owners)
        self._reclaimers = frozenset(self._missing)
        self._until_ns = max(self._until_ns, until_ns)
        return len(self._missing)

    def may_reclaim(self, owner: str) -> bool:
        """Whether that client had state before the restart, or before one whose grace period the restart cut short."""
        return owner in self._reclaimers

    def complete(self, owner: str) -> bool:
        """That client has reclaimed all that it will; returns whether this has ended the grace period early."""
        was_on = self.is_on
        self._missing.pop(owner, None)
        return was_on and not self._missing
