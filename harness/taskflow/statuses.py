"""The status of volumes while flows work on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.model import Volume
from harness.runtime import Runtime
from harness.taskflow.catalog import Catalog


class VolumeStatuses:
    """What the flows of one taskflow make of their volumes' status, restored on every exit (Q-13)."""

    def __init__(self, runtime: Runtime, catalog: Catalog) -> None:
        self._runtime = runtime
        self._catalog = catalog
        self._working: dict[str, list[tuple[str, str]]] = {}

    @contextmanager
    def working(self, volume: Volume, flow_id: str, status: str | None) -> Iterator[None]:
        """Let `volume` have `status` for the body (None: leave it as it is); afterwards it has that of another flow
        that still works on it, or its resting status, whatever anybody has made of it meanwhile."""
        entries = self._working.setdefault(volume.id, [])
        entry = (flow_id, status or volume.status)
        entries.append(entry)
        if status is not None:
            volume.status = status
        try:
            yield
        finally:
            self._runtime.checkpoint()  # out of reach for a taskflow that is dead
            entries.remove(entry)
            volume.status = entries[-1][1] if entries else self._catalog.resting_status(volume.id)
