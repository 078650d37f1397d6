"""Drivers whose publication is faulty (section A)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.activity import ActivityState, ActivityStatus
from harness.contract import BackendActivityError
from harness.model import Context, Snapshot
from harness.reference_driver import EVERYTHING, ReferenceDriver
from harness.testbed import Job


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


class ClaimsUntilItHasSnapshots(ReferenceDriver):
    """Takes create_cloned_volume off its list once it has made a snapshot, since clones are slow then."""

    must_fail = ("A-2",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._has_snapshots = False

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        listed = [m for m in EVERYTHING["stateless_activities"] if m != "create_cloned_volume"]
        return {**EVERYTHING, "stateless_activities": listed} if self._has_snapshots else EVERYTHING

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        self._has_snapshots |= method == "create_snapshot"
        return super()._job(method, arguments)


class BytesForKeys(ReferenceDriver):
    """Publishes its keys as bytes, as they came off the wire."""

    must_fail = ("A-1",)

    @property
    def backend_activity_attributes(self) -> Any:
        """As published."""
        return {key.encode(): value for key, value in EVERYTHING.items()}


class FamilyUnset(ReferenceDriver):
    """Publishes None as its family, where its configuration names none."""

    must_fail = ("A-3",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "driver_family": None})


class VersionAsNumber(ReferenceDriver):
    """Publishes its version as the number 2.1."""

    must_fail = ("A-3",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "version": 2.1})


class ScopeInCapitals(ReferenceDriver):
    """Publishes the handle scope as 'User-Specific'."""

    must_fail = ("A-9",)
    may_fail = ("A-5",)

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "handle_scope": "User-Specific"})


class KnowsItsOwnSpellingOnly(ReferenceDriver):
    """Publishes the technique gzip, and refuses a call with zlib, which is the same one's canonical name."""

    must_fail = ("A-8", "C-5")
    may_fail = ("A-2", "C-1", "C-3", "C-4", "Q-7", "Q-8", "Q-9", "Q-10", "C-6")

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published."""
        return MappingProxyType({**EVERYTHING, "backup_compression_techniques": ("gzip",)})

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        if method == "backup_volume" and arguments["technique"] not in ("gzip", "none"):
            raise ValueError(f"no such compression: {arguments['technique']}")
        return super()._job(method, arguments)


class WithdrawsAfterFailure(ReferenceDriver):
    """Stops publishing replication and its techniques once a job of its has failed."""

    must_fail = ("A-2",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._degraded = False

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: less, after a failure."""
        less = {"snapshot_replication": False, "backup_compression_techniques": ()}
        return MappingProxyType({**EVERYTHING, **(less if self._degraded else {})})

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status, of which a failure is noted."""
        status = super().get_activity(context, handle)
        self._degraded = self._degraded or status.state is ActivityState.FAILED
        return status

    def _run(self, method: str, **arguments: Any) -> None:
        try:
            super()._run(method, **arguments)
        except BackendActivityError:
            self._degraded = True
            raise


class WithdrawsAfterAbort(ReferenceDriver):
    """Stops publishing that it copies volumes statelessly once somebody has aborted an activity."""

    must_fail = ("A-2",)

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        super().__init__(*args, configuration=configuration, host=host, **kwargs)
        self._degraded = False

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: less, after an abort."""
        return MappingProxyType({**EVERYTHING, **({"stateless_activities": ()} if self._degraded else {})})

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort, and note it."""
        super().abort_activity(context, handle)
        self._degraded = True
