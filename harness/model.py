"""What Cinder's volume manager passes to drivers, with Cinder's own field names.

The records allow `volume.id` and `volume["id"]`, as Cinder's objects do. Sizes are GiB, as in Cinder.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

GIB = 1 << 30
"""Bytes in a GiB."""


@dataclass(frozen=True, order=True)
class Caller:
    """Who stands at the other end of a connection, as the backend sees it (clause H-5).

    `host` is the initiator name (iSCSI) or the client owner (NFS), `user` the CHAP name or the principal. `address`
    is the IP address; it identifies nobody.
    """

    host: str
    user: str
    address: str = "192.0.2.1"


class CinderRecord:
    """Attribute and item access on one record, as Cinder's versioned objects offer both."""

    def __getitem__(self, key: str) -> Any:
        if key not in {f.name for f in fields(self)}:  # type: ignore[arg-type]
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in {f.name for f in fields(self)}:  # type: ignore[arg-type]
            raise KeyError(key)
        setattr(self, key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The field's value, or `default` where there is no such field."""
        return getattr(self, key, default)

    def update(self, values: dict[str, Any]) -> None:
        """Set several fields; raises KeyError for one that does not exist."""
        for key, value in values.items():
            self[key] = value


@dataclass
class Context:
    """The request context of Cinder, as far as drivers look at it."""

    user_id: str = "user"
    project_id: str = "project"
    request_id: str = "req-0"
    is_admin: bool = True


@dataclass
class Volume(CinderRecord):
    """A volume. `host` names where it is (`node@backend#pool`); `use_quota` False marks an anonymous one."""

    id: str
    size: int
    host: str
    status: str = "available"
    migration_status: str | None = None
    attach_status: str = "detached"
    display_name: str = ""
    volume_type_id: str | None = None
    snapshot_id: str | None = None
    source_volid: str | None = None
    provider_location: str | None = None
    provider_id: str | None = None
    provider_auth: str | None = None
    provider_geometry: str | None = None
    replication_status: str | None = None
    replication_extended_status: str | None = None
    replication_driver_data: str | None = None
    multiattach: bool = False
    use_quota: bool = True
    project_id: str = "project"
    user_id: str = "user"
    admin_metadata: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Cinder's backend name of the volume (`volume_name_template`)."""
        return f"volume-{self.id}"


@dataclass
class Snapshot(CinderRecord):
    """A snapshot of the volume `volume_id`."""

    id: str
    volume_id: str
    volume_size: int
    volume: Volume
    status: str = "available"
    progress: str = "100%"
    display_name: str = ""
    provider_location: str | None = None
    provider_id: str | None = None
    provider_auth: str | None = None
    use_quota: bool = True
    project_id: str = "project"
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Cinder's backend name of the snapshot (`snapshot_name_template`)."""
        return f"snapshot-{self.id}"


@dataclass(frozen=True)
class BackupChunk:
    """One piece of a backup: `length` bytes of the volume from `offset`, as `payload` encoded with `label`."""

    offset: int
    length: int
    label: str
    payload: bytes


@dataclass
class Backup(CinderRecord):
    """A backup: the chunks that were written, in the order of writing. Ranges without a chunk were never written."""

    id: str
    volume_id: str
    size: int
    status: str = "creating"
    technique: str = "none"
    chunks: list[BackupChunk] = field(default_factory=list)


def backend_name(host: str) -> str:
    """The backend's part of a Cinder host string: `node@backend#pool` → `backend`.

    Raises ValueError if there is none.
    """
    _, at, rest = host.partition("@")
    name = rest.partition("#")[0]
    if not at or not name:
        raise ValueError(f"{host!r} names no backend; a Cinder host string looks like 'node@backend#pool'")
    return name
