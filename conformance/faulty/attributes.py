"""Drivers whose publication is faulty (section A)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.model import Snapshot
from harness.reference_driver import EVERYTHING, ReferenceDriver


class ListAsText(ReferenceDriver):
    """Publishes its list of stateless activities as one string."""

    must_fail = ("A-5",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "stateless_activities": "create_snapshot"})


class NumberForBool(ReferenceDriver):
    """Publishes snapshot replication as 1."""

    must_fail = ("A-5",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "snapshot_replication": 1})


class PairsForMapping(ReferenceDriver):
    """Publishes a list of pairs instead of a mapping."""

    must_fail = ("A-1",)
    may_fail = ("A-2",)

    @property
    def backend_activity_attributes(self) -> Any:
        """As published."""
        return list(EVERYTHING.items())


class MisspeltMethod(ReferenceDriver):
    """Lists create_snapshots, which is no method."""

    must_fail = ("A-6",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "stateless_activities": ("create_snapshots",)})


class ListsWhatItLacks(ReferenceDriver):
    """Lists copy_volume_to_image, which it does not implement."""

    must_fail = ("A-6",)
    copy_volume_to_image = None  # type: ignore[assignment]


class ReplicationWithoutHook(ReferenceDriver):
    """Publishes snapshot replication but has no replicate_snapshot."""

    must_fail = ("A-7",)
    may_fail = ("A-6",)
    replicate_snapshot = None  # type: ignore[assignment]


class ScopeWithoutHooks(ReferenceDriver):
    """Publishes unrestricted handles but has no get_activity."""

    must_fail = ("A-7",)
    get_activity = None  # type: ignore[assignment]


class ScopeAbbreviated(ReferenceDriver):
    """Publishes the handle scope as 'user'."""

    must_fail = ("A-9",)
    may_fail = ("A-5",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "handle_scope": "user"})


class PublicationWithMemory(ReferenceDriver):
    """Adds each method that it has carried out to the list that it publishes."""

    must_fail = ("A-2",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._done = ["create_cloned_volume"]

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return {**EVERYTHING, "stateless_activities": list(self._done)}

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete, and take note."""
        super().delete_snapshot(snapshot)
        self._done.append("delete_snapshot")
