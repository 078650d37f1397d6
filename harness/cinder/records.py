"""Cinder's objects for the harness's records, and the database that hosted drivers see.

What a driver writes to an object is kept: fields that the harness's record has go there when the driver saves them or
its call ends, others into the world's rows, and the next call gets an object made anew of both.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from weakref import WeakKeyDictionary

from cinder import context as cinder_context
from cinder import db, exception, objects
from cinder.volume import volume_types
from oslo_db.sqlalchemy import enginefacade

from harness.cinder.machine import CURRENT
from harness.cinder.world import runtime_here
from harness.hosting import HostingError, noted
from harness.model import Snapshot, Volume

_VOLUME_FIELDS = tuple(f.name for f in fields(Volume) if f.name not in ("use_quota",))
_SNAPSHOT_FIELDS = tuple(f.name for f in fields(Snapshot) if f.name not in ("volume", "use_quota"))
_RELATED = ("volume", "volume_attachment", "volume_type", "snapshots")
"""Fields that are other objects, made anew for each call."""
_CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_TYPE_ID = "00000000-0000-4000-a000-000000000001"
"""The volume type of volumes whose record names none; every volume of Cinder's has one."""
_TYPE: dict[str, Any] = {"id": _TYPE_ID, "name": "type", "extra_specs": {}, "qos_specs_id": None}


class Rows:
    """The records of one world by id, and the fields that only Cinder has."""

    def __init__(self) -> None:
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.extra: dict[str, dict[str, Any]] = {}

    def keep(self, record: Volume | Snapshot, changes: Mapping[str, Any]) -> None:
        """Keep what a driver has changed of a record."""
        known = _VOLUME_FIELDS if isinstance(record, Volume) else _SNAPSHOT_FIELDS
        for name, value in changes.items():
            if name in _RELATED:
                continue
            if name in known:
                record[name] = value
            else:
                self.extra.setdefault(record.id, {})[name] = value


_rows: WeakKeyDictionary[object, Rows] = WeakKeyDictionary()


def rows() -> Rows:
    """The rows of the world that runs. Raises `HostingError` outside of one."""
    return _rows.setdefault(runtime_here("a hosted driver was called"), Rows())


class _Kept:
    """What hosted objects share: saving goes to the rows, the database is never asked."""

    _record: Any

    def save(self) -> None:
        """Keep what was changed."""
        changes = self.obj_get_changes()  # type: ignore[attr-defined]
        rows().keep(self._record, changes)
        self.obj_reset_changes()  # type: ignore[attr-defined]

    def refresh(self) -> None:
        """Nothing is newer than the object."""

    def obj_load_attr(self, attrname: str) -> None:
        """Fill a field that was not set in. Raises Cinder's `ObjectActionError` for one that does not exist."""
        if attrname not in self.fields:  # type: ignore[attr-defined]
            raise exception.ObjectActionError(action="obj_load_attr", reason=f"attribute {attrname} not lazy-loadable")
        value = {"glance_metadata": {}, "snapshots": objects.SnapshotList(objects=[])}.get(attrname)
        setattr(self, attrname, value)


class HostedVolume(_Kept, objects.Volume):  # type: ignore[misc]
    """A volume as a hosted driver gets it."""

    @classmethod
    def obj_name(cls) -> str:
        """The name by which fields of other objects know it."""
        return "Volume"


class HostedSnapshot(_Kept, objects.Snapshot):  # type: ignore[misc]
    """A snapshot as a hosted driver gets it."""

    @classmethod
    def obj_name(cls) -> str:
        """The name by which fields of other objects know it."""
        return "Snapshot"


class HostedAttachment(objects.VolumeAttachment):  # type: ignore[misc]
    """An attachment as a hosted driver gets it; what it writes there is for its hosts, who are told otherwise."""

    @classmethod
    def obj_name(cls) -> str:
        """The name by which fields of other objects know it."""
        return "VolumeAttachment"

    def save(self) -> None:
        """Nothing is kept."""


def stand_in() -> None:
    """Let what drivers do with Cinder's own objects by themselves go to the rows, or nowhere."""

    def create(snapshot: Any) -> None:
        snapshot.id = str(uuid.uuid4())

    def nothing(*args: Any) -> None:
        return

    def no_database(*args: Any, **options: Any) -> None:
        machine = CURRENT.get()
        if machine is not None:
            machine.refuse(["cinder.db"], "the driver asked the database by itself")
        raise HostingError("the database was asked outside of any hosted driver's call")

    for module in (db, db.api):
        module.dispose_engine = nothing
    enginefacade._TransactionFactory._start = no_database
    volume_types.get_volume_type = lambda *args, **options: dict(_TYPE)
    volume_types.get_volume_type_qos_specs = lambda *args, **options: {"qos_specs": None}
    database = Database()
    objects.Snapshot.create, objects.Snapshot.save, objects.Snapshot.destroy = create, nothing, nothing
    objects.Volume.get_by_id = staticmethod(lambda context, each, *a, **k: database.volume_get(context, each))
    objects.Snapshot.get_by_id = staticmethod(lambda context, each, *a, **k: database.snapshot_get(context, each))


def request_context() -> Any:
    """An administrator's request context, as the volume manager has it."""
    return cinder_context.RequestContext("user", "project", is_admin=True)


def volume_object(context: Any, record: Volume) -> HostedVolume:
    """Cinder's object for a volume's record; tied to it, so that `save` reaches it."""
    table = rows()
    table.volumes[record.id] = record
    attachments = objects.VolumeAttachmentList(objects=[])
    if record.attach_status == "attached":
        attached = HostedAttachment(context, volume_id=record.id, attach_status="attached", connection_info={})
        attachments = objects.VolumeAttachmentList(objects=[attached])
    values = {name: record.get(name) for name in _VOLUME_FIELDS}
    values |= {
        "volume_attachment": attachments,
        "_name_id": None,
        "encryption_key_id": None,
        "created_at": _CREATED,
        "use_quota": record.use_quota,
        "volume_type": objects.VolumeType(context, **_TYPE),
        "volume_type_id": record.volume_type_id or _TYPE_ID,
        "group_id": None,
        "consistencygroup_id": None,
        **table.extra.get(record.id, {}),
    }
    made = HostedVolume(context, **values)
    made._record = record
    made.obj_reset_changes()
    return made


def snapshot_object(context: Any, record: Snapshot) -> HostedSnapshot:
    """Cinder's object for a snapshot's record, with its volume's."""
    table = rows()
    table.snapshots[record.id] = record
    values = {name: record.get(name) for name in _SNAPSHOT_FIELDS}
    values |= {
        "encryption_key_id": None,
        "created_at": _CREATED,
        "use_quota": record.use_quota,
        "volume_type_id": record.volume.volume_type_id,
        "group_snapshot_id": None,
        "cgsnapshot_id": None,
        "volume": volume_object(context, record.volume),
        **table.extra.get(record.id, {}),
    }
    made = HostedSnapshot(context, **values)
    made._record = record
    made.obj_reset_changes()
    return made


class Database:
    """Stands in for `cinder.db`, as far as drivers look things up there."""

    def volume_get(self, context: Any, volume_id: str) -> Any:
        """The volume of that id. Raises Cinder's `VolumeNotFound`."""
        record = rows().volumes.get(volume_id)
        if record is None:
            raise exception.VolumeNotFound(volume_id=volume_id)
        return volume_object(context, record)

    def snapshot_get(self, context: Any, snapshot_id: str) -> Any:
        """The snapshot of that id. Raises Cinder's `SnapshotNotFound`."""
        record = rows().snapshots.get(snapshot_id)
        if record is None:
            raise exception.SnapshotNotFound(snapshot_id=snapshot_id)
        return snapshot_object(context, record)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise noted(HostingError(f"the driver asked the database for {name}, which is not played"))
