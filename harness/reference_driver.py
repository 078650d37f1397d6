"""The reference driver: honest for any publication, and speaking to its backend through the Connection port only.

What it publishes it does: a listed method asks the backend for a point-in-time image (or a live move), an unlisted one
for the plain block-by-block work that needs the volume quiesced. Handles are asked for in the published scope.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.activity import ActivityStatus, HandleScope
from harness.contract import METHODS, NotSupported
from harness.driver_kit import delete_if_there, run_job
from harness.model import Backup, Context, Snapshot, Volume, backend_name
from harness.testbed import Connection, Job

EVERYTHING: Mapping[str, Any] = MappingProxyType(
    {
        "stateless_activities": tuple(sorted(METHODS)),
        "snapshot_replication": True,
        "backup_compression_techniques": ("zstd", "zlib"),
        "handle_scope": HandleScope.UNRESTRICTED.value,
    }
)
"""What the reference driver publishes where its configuration says nothing: every attribute, at its fullest."""


class ReferenceDriver:
    """A driver for the backends of this harness. `configuration.publication` says what it publishes.

    With `configuration.linked_clones` it asks for volumes from snapshots that share their blocks (`Job.linked`), which
    thin backends can make.
    """

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        self._configuration = configuration
        self.host = host
        published = configuration.safe_get("publication")
        self._published = MappingProxyType(dict(EVERYTHING if published is None else published))
        self._linked = bool(configuration.safe_get("linked_clones"))
        self._connection: Connection | None = None

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """The publication (specification section 1)."""
        return self._published

    @property
    def connection(self) -> Connection:
        """The driver's one connection; opened by `do_setup`."""
        if self._connection is None:
            raise RuntimeError("do_setup was not called")
        return self._connection

    def do_setup(self, context: Context) -> None:
        """Open the connection."""
        self._connection = self._configuration.backend_connect()

    def check_for_setup_error(self) -> None:
        """Nothing beyond `do_setup` can be wrong."""

    # ---- Cinder's methods --------------------------------------------------------------------------------------------

    def create_volume(self, volume: Volume) -> None:
        """Make an empty volume."""
        self._run("create_volume", volume=volume)

    def create_snapshot(self, snapshot: Snapshot) -> None:
        """Make a snapshot."""
        self._run("create_snapshot", snapshot=snapshot)

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> None:
        """Make a clone."""
        self._run("create_cloned_volume", volume=volume, src_vref=src_vref)

    def create_volume_from_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        """Make a volume from a snapshot."""
        self._run("create_volume_from_snapshot", volume=volume, snapshot=snapshot)

    def migrate_volume(
        self, context: Context, volume: Volume, host: dict[str, Any]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Move a volume within the family; `(False, None)` to any other backend."""
        try:
            self._run("migrate_volume", volume=volume, host=host)
        except NotSupported:
            return False, None
        return True, None

    def retype(
        self, context: Context, volume: Volume, new_type: dict[str, Any], diff: dict[str, Any], host: dict[str, Any]
    ) -> bool:
        """Move the volume where the type asks for another backend of the family; else there is nothing to change."""
        if backend_name(host["host"]) != backend_name(volume.host):
            try:
                self._run("retype", volume=volume, new_type=new_type, diff=diff, host=host)
            except NotSupported:
                return False
        return True

    def extend_volume(self, volume: Volume, new_size: int) -> None:
        """Grow a volume."""
        self._run("extend_volume", volume=volume, new_size=new_size)

    def revert_to_snapshot(self, context: Context, volume: Volume, snapshot: Snapshot) -> None:
        """Give a volume the content of its snapshot."""
        self._run("revert_to_snapshot", volume=volume, snapshot=snapshot)

    def copy_volume_to_image(
        self, context: Context, volume: Volume, image_service: Any, image_meta: dict[str, Any]
    ) -> None:
        """Upload a volume."""
        self._run("copy_volume_to_image", volume=volume, image_service=image_service, image_meta=image_meta)

    def copy_image_to_volume(
        self, context: Context, volume: Volume, image_service: Any, image_id: str, disable_sparse: bool = False
    ) -> None:
        """Fill a volume from an image."""
        self._run("copy_image_to_volume", volume=volume, image_service=image_service, image_id=image_id)

    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume; that it is not there is no error."""
        delete_if_there(self.connection, volume.id, self._request_id())

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot; that it is not there is no error."""
        delete_if_there(self.connection, snapshot.id, self._request_id())

    # ---- hooks -------------------------------------------------------------------------------------------------------

    def replicate_snapshot(
        self, context: Context, snapshot: Snapshot, destination: dict[str, Any], new_snapshot: Snapshot
    ) -> None:
        """Copy a snapshot to another backend of the family."""
        self._run("replicate_snapshot", snapshot=snapshot, destination=destination, new_snapshot=new_snapshot)

    def backup_volume(self, context: Context, source: Volume | Snapshot, technique: str, sink: Any) -> None:
        """Write a backup."""
        self._run("backup_volume", source=source, technique=technique, sink=sink)

    def restore_backup(self, context: Context, backup: Backup, volume: Volume) -> None:
        """Fill a volume from a backup."""
        self._run("restore_backup", backup=backup, volume=volume)

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start a method on the backend."""
        return self.connection.start(self._job(method, arguments), request_id)

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The backend's status of an activity."""
        return self.connection.status(handle)

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort an activity."""
        self.connection.abort(handle)

    # ---- to the backend ----------------------------------------------------------------------------------------------

    def _run(self, method: str, **arguments: Any) -> None:
        run_job(self.connection, self._job(method, arguments), self._request_id())

    @staticmethod
    def _request_id() -> str:
        return str(uuid.uuid4())

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        """The backend job behind a method."""
        scope = HandleScope(self._published.get("handle_scope", HandleScope.CONNECTION.value))
        live = method in self._published.get("stateless_activities", ())
        a = arguments
        match method:
            case "create_volume":
                return Job("create_volume", target=a["volume"].id, size=a["volume"].size, scope=scope)
            case "create_snapshot":
                snapshot = a["snapshot"]
                return Job("snapshot", snapshot.volume_id, snapshot.id, point_in_time=live, scope=scope)
            case "create_cloned_volume":
                new, source = a["volume"], a["src_vref"]
                return Job("copy", source.id, new.id, size=new.size, point_in_time=live, scope=scope)
            case "create_volume_from_snapshot":
                new = a["volume"]
                return Job("copy", a["snapshot"].id, new.id, size=new.size, linked=self._linked, scope=scope)
            case "migrate_volume" | "retype":
                destination = backend_name(a["host"]["host"])
                return Job("move", a["volume"].id, destination=destination, point_in_time=live, scope=scope)
            case "extend_volume":
                return Job("extend_volume", a["volume"].id, size=a["new_size"], scope=scope)
            case "revert_to_snapshot":
                return Job("revert", a["volume"].id, a["snapshot"].id, scope=scope)
            case "copy_volume_to_image":
                sink = a["image_service"].sink(a["image_meta"]["id"])
                return Job("read", a["volume"].id, sink=sink, point_in_time=live, scope=scope)
            case "copy_image_to_volume":
                chunks = tuple(a["image_service"].chunks(a["image_id"]))
                return Job("write", target=a["volume"].id, chunks=chunks, scope=scope)
            case "delete_volume":
                return Job("delete", a["volume"].id, scope=scope)
            case "delete_snapshot":
                return Job("delete", a["snapshot"].id, scope=scope)
            case "replicate_snapshot":
                destination = backend_name(a["destination"]["host"])
                return Job("replicate", a["snapshot"].id, a["new_snapshot"].id, destination=destination, scope=scope)
            case "backup_volume":
                technique, sink = a["technique"], a["sink"]
                return Job("read", a["source"].id, technique=technique, sink=sink, point_in_time=live, scope=scope)
            case "restore_backup":
                return Job("write", target=a["volume"].id, chunks=tuple(a["backup"].chunks), scope=scope)
            case _:
                raise NotSupported(f"{method} is no method that this driver can start")
