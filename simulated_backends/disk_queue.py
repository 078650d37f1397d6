"""A disk that serves foreground requests one at a time, in the order in which they arrive.

Bulk transfers are flows on the fabric; what queues here are the single reads and writes of hosts, where the profile's
`disk_queue` says so. A request's end is known when it arrives, so waiting in the queue costs no event of its own.
"""

from __future__ import annotations

from harness.runtime import Runtime


class DiskQueue:
    """A first-come, first-served queue with one server; times in nanoseconds."""

    __slots__ = ("_free_at", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._free_at = 0

    @property
    def backlog_ns(self) -> int:
        """How long a request that arrived now would wait before the disk turned to it."""
        return max(0, self._free_at - self._runtime.now())

    def admit(self, service_ns: int) -> int:
        """Queue a request that arrives now and keeps the disk busy for `service_ns`; returns the time to its end.

        Never blocks. The disk serves the request whatever becomes of the caller. Raises ValueError for a negative time.
        """
        if service_ns < 0:
            raise ValueError(f"a request can't keep a disk busy for {service_ns} ns")
        delay_ns = self.backlog_ns + service_ns
        self._free_at = self._runtime.now() + delay_ns
        return delay_ns

    def power_off(self) -> None:
        """Forget what is queued: the disk is idle from now on. Who waits for a request does so all the same."""
        self._free_at = self._runtime.now()

    def serve(self, service_ns: int) -> int:
        """Queue a request and block until it is served; returns how long it waited before its service began.

        A caller that is abandoned meanwhile leaves the request in the queue, as a disk keeps a command it was sent.
        """
        self._runtime.checkpoint()
        delay_ns = self.admit(service_ns)
        self._runtime.sleep(delay_ns)
        return delay_ns - service_ns
