"""The bulk transfer of a host's own copy, which reads and writes over the host's sessions."""

from __future__ import annotations

from harness.runtime.virtual import VirtualRuntime
from simulated_backends.fabric import Fabric, Flow, Path
from simulated_backends.route import HostRoute


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

    def moved(self) -> int:
        """Whole bytes moved so far; never decreases."""
        return self._before if self._flow is None else self._before + self._flow.moved()

    def run(self, name: str) -> None:
        """Block until all bytes have arrived; `name` tells what is waited for. Raises `PathLost` once a route fails."""
        while self.moved() < self._size:
            while not self._is_clear():
                for route in self._routes:
                    route.ready()
            self._run_while_clear(name)

    def cancel(self) -> None:
        """Stop where it is. Harmless when it is over."""
        if self._flow is not None:
            self._flow.cancel()

    def _run_while_clear(self, name: str) -> None:
        over = self._runtime.signal(name)
        self._before = self.moved()
        flow = self._flow = self._fabric.start(self._path, self._size - self._before, lambda: over.set(None))

        def look() -> None:
            if not self._is_clear():
                flow.cancel()
                over.set(None)

        ends = [route.watch(look) for route in self._routes]
        try:
            over.wait()
        finally:
            for end in ends:
                end()

    def _is_clear(self) -> bool:
        return all(route.is_clear for route in self._routes)
