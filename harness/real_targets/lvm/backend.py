"""A backend that is a volume group in the machine, beside which Cinder's LVM driver runs its commands."""

from __future__ import annotations

import contextlib
import threading

from harness.hosting import HostingError
from harness.model import Caller
from harness.real_targets.backing.backend import ROUND_TRIP_NS, WallBackend, World
from harness.storage import ObjectUnknown, StorageError
from harness.testbed import Exporter, Inspection

from .attaching import ExportedVolume, LvmAttachment, Touched
from .group import GroupStore
from .node import Node, Processes

CONTROL_PLANE = Caller("control-plane", "control-plane")
"""Who has volumes exported for hosts, whatever becomes of the driver's own connection."""


class LvmBackend(WallBackend[GroupStore]):
    """See `WallBackend`. Its volumes are attached by way of the driver that was set up last."""

    def __init__(self, world: World, store: GroupStore, processes: Processes, touched: Touched) -> None:
        super().__init__(world, store, processes)
        self.processes = processes
        self._touched = touched
        self._control_guard = threading.Lock()
        self._volumes: dict[str, ExportedVolume] = {}
        self._exporter: Exporter | None = None
        self._attachments: list[LvmAttachment] = []

    def open_connection(self, caller: Caller, connection_id: str) -> Node:
        """See `WallBackend.open_connection`; the volume group is made for the first."""
        self.store.open()
        world = self.world
        return Node(
            self.store, self.store.machine.address, self._export_by,
            world.pauses, world.runtime, world.recorder, self.processes, caller, connection_id, ROUND_TRIP_NS,
            self.forget,
        )  # fmt: skip

    def attach(self, volume_id: str, host: str) -> LvmAttachment:
        """See `harness.testbed.Backend.attach`. Raises `StorageError` where the driver can't export the volume."""
        world = self.world
        world.runtime.checkpoint()
        with self._control_guard:
            volume = self._volumes.setdefault(
                volume_id, ExportedVolume(volume_id, self.store, self._exporting, self._control, self._touched)
            )
        if not volume.is_there():
            raise ObjectUnknown(f"{self.name} has no volume {volume_id}")
        volume.use(host)
        try:
            attachment = LvmAttachment(
                volume,  # type: ignore[arg-type]
                world.runtime,
                world.recorder,
                volume,
                host,
                world.stalls,
                lambda: self.source_of_load(volume_id, host),
            )
        except BaseException as error:
            with contextlib.suppress(Exception):  # the first error tells more
                volume.leave(host)
            if isinstance(error, (StorageError, HostingError)) or not isinstance(error, Exception):
                raise
            raise StorageError(f"{host} can't attach volume {volume_id}: {type(error).__name__}: {error}") from error
        self._attachments.append(attachment)
        return attachment

    def inspect(self) -> Inspection:
        """See `harness.testbed.Backend.inspect`; no command changes the group meanwhile."""
        with self.store.turn:
            return super().inspect()

    def close(self) -> None:
        """Refuse new connections and free the sessions."""
        self._is_closed = True
        for attachment in self._attachments:
            attachment.cut()

    def _export_by(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def _exporting(self) -> Exporter:
        if self._exporter is None:
            raise StorageError(f"no driver was set up on {self.name} that could export a volume")
        return self._exporter

    def _control(self) -> Node:
        return self.open_connection(CONTROL_PLANE, f"{self.name}-control")
