"""The bulk transfer of a host's own copy, which reads and writes over the host's sessions."""

from __future__ import annotations

from collections.abc import Callable

from harness.runtime import Signal
from harness.runtime.virtual import VirtualRuntime
from harness.storage import StorageError
from simulated_backends.fabric import Fabric, Flow, Path
from simulated_backends.route import HostRoute
from simulated_backends.transfers import Obstacles


class MediumError(StorageError):
    """A block can't be read."""

    code = "medium-error"


class HostCopy:
    """`size` bytes on their way over `path`, between the ends of `routes`.

    They move as one flow for as long as both sessions let everything through. Else what is under way is sent again once
    they do (see `HostRoute`), so that another flow goes on where the last one was.
    """

    def __init__(
        self, runtime: VirtualRuntime, fabric: Fabric, path: Path, size: int, routes: tuple[HostRoute, HostRoute]
    ) -> None:
        self._runtime = runtime
        self._fabric = fabric
        self._path = path
        self._size = size
        self._routes = routes
        self._before = 0
        self._flow: Flow | None = None
        self._over: Signal[None] | None = None
        self._obstacles = Obstacles()

    def moved(self) -> int:
        """Whole bytes moved so far; never decreases."""
        return self._before if self._flow is None else self._before + self._flow.moved()

    def fail_at(self, position: int, reason: str, still: Callable[[], bool] | None = None) -> None:
        """Fail once `position` bytes are moved, unless that is past already, or `still` says then that it need not."""
        if self.moved() > position:
            return
        before = self._obstacles.next
        self._obstacles.add(position, reason, still)
        if self._obstacles.next != before:
            self._halt()

    def run(self, name: str) -> None:
        """Block until all bytes have arrived; `name` tells what is waited for.

        Raises `MediumError` where it is to fail, `PathLost` once a route fails.
        """
        while self.moved() < self._size:
            reason = self._obstacles.met(self.moved() + 1)
            if reason is not None:
                raise MediumError(reason)
            while not self._is_clear():
                for route in self._routes:
                    route.ready()
            self._run_while_clear(name)

    def cancel(self) -> None:
        """Stop where it is. Harmless when it is over."""
        if self._flow is not None:
            self._flow.cancel()

    def _run_while_clear(self, name: str) -> None:
        over = self._over = self._runtime.signal(name)
        self._before = self.moved()
        obstacle = self._obstacles.next
        end = self._size if obstacle is None else min(obstacle, self._size)
        self._flow = self._fabric.start(self._path, end - self._before, lambda: over.set(None))

        def look() -> None:
            if not self._is_clear():
                self._halt()

        ends = [route.watch(look) for route in self._routes]
        try:
            over.wait()
        finally:
            for stop in ends:
                stop()

    def _halt(self) -> None:
        """Let the flow that is under way end where it is."""
        self.cancel()
        if self._over is not None:
            self._over.set(None)

    def _is_clear(self) -> bool:
        return all(route.is_clear for route in self._routes)
