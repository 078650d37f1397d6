"""The network port of a host."""

from __future__ import annotations

from dataclasses import dataclass

from simulated_backends.fabric import Link


@dataclass(frozen=True)
class HostLinks:
    """The two directions of a host's network port."""

    port_in: Link
    port_out: Link

    @classmethod
    def of(cls, host: str, bytes_per_s: int) -> HostLinks:
        """The links of a host, both of one capacity."""
        return cls(Link(f"{host} port in", bytes_per_s), Link(f"{host} port out", bytes_per_s))
