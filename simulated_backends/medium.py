"""The links of a backend, and the queue at its disk."""

from __future__ import annotations

from dataclasses import dataclass

from harness.runtime import Runtime
from simulated_backends.disk_queue import DiskQueue
from simulated_backends.fabric import Link
from simulated_backends.profiles import Figures


@dataclass(frozen=True)
class Medium:
    """The links of one backend: its disk's two sides and its network port's two directions.

    `queue` is where single I/Os wait for each other at the disk, None where they don't.
    """

    disk_read: Link
    disk_write: Link
    port_in: Link
    port_out: Link
    queue: DiskQueue | None

    @classmethod
    def of(cls, name: str, figures: Figures, runtime: Runtime) -> Medium:
        """The links of backend `name` with a profile's capacities, and a queue if the profile has one."""
        return cls(
            Link(f"{name} disk read", figures.disk_read_bytes_per_s),
            Link(f"{name} disk write", figures.disk_write_bytes_per_s),
            Link(f"{name} port in", figures.link_bytes_per_s),
            Link(f"{name} port out", figures.link_bytes_per_s),
            DiskQueue(runtime) if figures.disk_queue else None,
        )

    def admit(self, service_ns: int) -> int:
        """Let a single I/O reach the disk now that keeps it busy for `service_ns`; returns the time to its end (ns)."""
        return service_ns if self.queue is None else self.queue.admit(service_ns)
