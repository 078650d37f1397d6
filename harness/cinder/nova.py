"""Compute as Cinder's drivers call it for snapshots of volumes in use: the hypervisor that has the file open."""

from __future__ import annotations

from typing import Any, Protocol

from harness.cinder.machine import CommandFailed
from harness.cinder.records import rows
from harness.hosting import HostingError, noted


class Hypervisor(Protocol):
    """What has a volume's files open. Each call raises `CommandFailed`, `ConnectionLost`."""

    def switch(self, directory: str, new_file: str) -> None:
        """Write to a new overlay from one instant on (libvirt's external disk snapshot)."""

    def pull(self, directory: str, volume_id: str, new_base: str) -> None:
        """Let the file that is written to take in the one below, so that it lies on `new_base`, or on nothing."""

    def commit_under_load(self, directory: str, upper: str, lower: str) -> None:
        """Let the lower of two neighbouring files take in the upper one."""


class Nova:
    """Stands in for `cinder.compute.nova.API`, as far as snapshots of volumes in use go.

    It answers at once and tells the outcome by the snapshot's progress, as Nova does: "90%" when it is done.
    """

    def __init__(self, machine: Hypervisor, driver: Any) -> None:
        self._machine = machine
        self._driver = driver

    def create_volume_snapshot(self, context: Any, volume_id: str, create_info: dict[str, Any]) -> None:
        """Let the hypervisor write to the new overlay from now on."""
        directory = self._directory(volume_id)
        self._tell(create_info["snapshot_id"], lambda: self._machine.switch(directory, create_info["new_file"]))

    def delete_volume_snapshot(self, context: Any, snapshot_id: str, delete_info: dict[str, Any]) -> None:
        """Let the hypervisor merge a file into the one below (block commit), or the one below into it (block pull)."""
        directory = self._directory(delete_info["volume_id"])
        upper, lower = delete_info["file_to_merge"], delete_info["merge_target_file"]
        if lower is None:  # everything between the active file and `upper`, or down to the base, goes into the active
            self._tell(snapshot_id, lambda: self._machine.pull(directory, delete_info["volume_id"], upper or ""))
        else:
            self._tell(snapshot_id, lambda: self._machine.commit_under_load(directory, upper, lower))

    def __getattr__(self, name: str) -> Any:
        raise noted(HostingError(f"the driver asked Nova for {name}, which is not played"))

    def _directory(self, volume_id: str) -> str:
        location = rows().volumes[volume_id].provider_location
        directory: str = self._driver._get_mount_point_for_share(location)
        return directory

    @staticmethod
    def _tell(snapshot_id: str, work: Any) -> None:
        extra = rows().extra.setdefault(snapshot_id, {})
        try:
            work()
        except CommandFailed:
            extra["status"] = "error"
            raise
        extra["progress"] = "90%"
