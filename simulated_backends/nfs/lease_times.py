"""The times of an NFSv4.1 server: lease, grace period and courtesy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeaseTimes:
    """The server's times in nanoseconds. Raises ValueError for one below its least.

    `lease_ns`: the lease of a client, and the inactivity timer of a session, which may not be shorter (RFC 8881
    section 2.10.12). `grace_ns`: how long reclaims are taken after a restart, at least the lease before it (section
    8.4.2.1). `courtesy_ns`: how long the state of an expired client is kept at most while nobody needs it (section
    8.4.3); 0: not at all.
    """

    lease_ns: int
    grace_ns: int
    courtesy_ns: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (("lease_ns", self.lease_ns, 1), ("courtesy_ns", self.courtesy_ns, 0)):
            if value < least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        if self.grace_ns < self.lease_ns:
            raise ValueError(f"grace_ns is {self.grace_ns}; it must be at least the lease, {self.lease_ns}")
