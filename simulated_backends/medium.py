"""The links of a backend."""

from __future__ import annotations

from dataclasses import dataclass

from simulated_backends.fabric import Link
from simulated_backends.profiles import Figures


@dataclass(frozen=True)
class Medium:
    """The links of one backend: its disk's two sides and its network port's two directions."""

    disk_read: Link
    disk_write: Link
    port_in: Link
    port_out: Link

    @classmethod
    def of(cls, name: str, figures: Figures) -> Medium:
        """The links of backend `name` with a profile's capacities."""
        return cls(
            Link(f"{name} disk read", figures.disk_read_bytes_per_s),
            Link(f"{name} disk write", figures.disk_write_bytes_per_s),
            Link(f"{name} port in", figures.link_bytes_per_s),
            Link(f"{name} port out", figures.link_bytes_per_s),
        )
