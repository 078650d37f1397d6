"""How a host has a volume's write cache flushed once its gate holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from harness.runtime import SECOND, Expired
from harness.runtime.virtual import VirtualRuntime
from harness.storage import BLOCK
from simulated_backends.fabric import Fabric
from simulated_backends.route import HostRoute, PathLost
from simulated_backends.stored_object import HeldObject

T = TypeVar("T")


class CacheFlush:
    """Flushes the write cache of one volume, asked for by `host`; `route` tells what carries its I/O at this moment."""

    def __init__(
        self, runtime: VirtualRuntime, fabric: Fabric, held: HeldObject, host: str, route: Callable[[], HostRoute]
    ) -> None:
        self._runtime = runtime
        self._fabric = fabric
        self._held = held
        self._host = host
        self._route = route

    def flush(self, until_ns: int) -> None:
        """SYNCHRONIZE CACHE, or COMMIT: what is in the volume's write cache goes to the disk at the disk's rate.

        Raises `Expired` if the host has lost its session for good, or at `until_ns`; the disk goes on with it then.
        """
        runtime = self._runtime
        while True:
            held = self._held
            figures, disk = held.pool.figures, (held.pool.medium.disk_write,)
            try:
                route = self._route()
                session = self._until(until_ns, route, route.ready)
            except PathLost as error:
                raise Expired(str(error)) from None
            bandwidth = max(1, self._fabric.leftover(disk))
            flushed, is_flushed = held.begin_flush(), False
            flush_ns = figures.round_trip_ns + figures.service_ns + held.flushing * BLOCK * SECOND // bandwidth
            left_ns = until_ns - runtime.clock()
            if flush_ns > left_ns:
                self._flush_on(flushed, flush_ns)
                runtime.sleep(max(0, left_ns))
                raise Expired
            try:
                runtime.sleep(flush_ns)
                is_flushed = self._until(until_ns, route, partial(route.carry, session))
            finally:
                held.end_flush(flushed, is_flushed)
            if is_flushed:
                return

    def _flush_on(self, flushed: set[int], for_ns: int) -> None:
        """The disk goes on with a flush for which nobody waits any more; it is done unless the power goes before."""
        held, pool = self._held, self._held.pool
        outages = pool.outages
        self._runtime.call_later(for_ns, lambda: held.end_flush(flushed, pool.outages == outages))

    def _until(self, until_ns: int, route: HostRoute, cross: Callable[[], T]) -> T:
        """Let a message cross, or raise `Expired` at that instant of the host's clock."""
        if route.is_clear:
            return cross()
        crossing = self._runtime.spawn(f"flush of {self._held.id} from {self._host}", cross)
        self._runtime.blocking_task(crossing).take_along(crossing)
        try:
            return crossing.wait(max(0, until_ns - self._runtime.clock()))
        finally:
            crossing.abandon()
