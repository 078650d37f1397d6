"""Third-party copies (SPC-4 section 5.17): the natural connection-specific activity of an iSCSI target.

A copy is known by its list identifier, which means something on the I_T nexus that sent it and nowhere else (section
5.17.4.2). If the nexus is lost the copy goes on, but what was held of it is discarded, so that nobody can reference it
(sections 5.17.4.5 and 5.17.5, table 109); power on and resets end all copies, and PERSISTENT RESERVE OUT with PREEMPT
AND ABORT ends those of the I_T nexuses that it preempts.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.activity import ActivityState, ActivityStatus, ConnectionIdentity, HandleScope
from harness.backend_jobs import JobEngine
from harness.contract import ActivityUnknown
from harness.job_fields import check_fields
from harness.runtime import Signal
from harness.testbed import Job

_LIST_IDS = 1 << 32
"""A list identifier has four bytes."""


class CheckCondition(Exception):
    """A command ended with CHECK CONDITION: the sense key, and the additional sense code in words."""

    def __init__(self, sense_key: str, additional: str) -> None:
        super().__init__(f"{sense_key} / {additional}")
        self.sense_key = sense_key
        self.additional = additional


class CopyOperationStatus(enum.IntEnum):
    """COPY OPERATION STATUS of RECEIVE COPY STATUS (SPC-4 section 6.24)."""

    DONE = 0x01
    ERRORS = 0x02
    IN_PROGRESS = 0x10
    IN_PROGRESS_FOREGROUND = 0x11
    IN_PROGRESS_BACKGROUND = 0x12
    TERMINATED = 0x60


@dataclass(frozen=True)
class CopyReport:
    """The parameter data of RECEIVE COPY STATUS.

    `update_delay_ms` is ESTIMATED STATUS UPDATE DELAY in milliseconds, `share` the part of the bytes that is
    transferred (0…1), `sense` and `code` the sense data of a copy that did not end well, in words and as a code.
    """

    status: CopyOperationStatus
    update_delay_ms: int
    share: float | None
    result: Any = None
    sense: str | None = None
    code: str | None = None


_STATUS_OF = {
    ActivityState.QUEUED: CopyOperationStatus.IN_PROGRESS,
    ActivityState.RUNNING: CopyOperationStatus.IN_PROGRESS_BACKGROUND,
    ActivityState.DONE: CopyOperationStatus.DONE,
    ActivityState.FAILED: CopyOperationStatus.ERRORS,
    ActivityState.ABORTED: CopyOperationStatus.TERMINATED,
}
_STATE_OF = {status: state for state, status in _STATUS_OF.items()} | {
    CopyOperationStatus.IN_PROGRESS_FOREGROUND: ActivityState.RUNNING
}


class CopyManager:
    """The target's side: the copies of each I_T nexus, by list identifier, over the backend's job engine."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine
        self._lists: dict[str, dict[int, str]] = {}

    def extended_copy(self, identity: ConnectionIdentity, list_id: int, job: Job, request_id: str) -> str:
        """EXTENDED COPY (SPC-4); returns the name under which the engine keeps the copy. Does not block.

        Raises `CheckCondition` OPERATION IN PROGRESS if a copy with that list identifier runs on this nexus; of one
        that is over the held data is discarded. Raises `ValueError`, and discards nothing, for a job that is not well
        formed and for a list identifier that four bytes do not hold.
        """
        check_fields(job)
        if not 0 <= list_id < _LIST_IDS:
            raise ValueError(f"a list identifier has four bytes, which don't hold {list_id}")
        nexus = identity.connection_id
        lists = self._lists.get(nexus, {})
        if list_id in lists:
            try:
                if self.receive_copy_status(identity, list_id).status not in _OVER:
                    raise CheckCondition("ILLEGAL REQUEST", "OPERATION IN PROGRESS")
            except _InvalidField:
                pass
            else:
                self._engine.forget(identity, lists[list_id])
        name = self._engine.start(identity, job, request_id, copy_name(nexus, list_id))
        self._lists.setdefault(nexus, {})[list_id] = name
        return name

    def receive_copy_status(self, identity: ConnectionIdentity, list_id: int) -> CopyReport:
        """RECEIVE COPY STATUS (section 6.24). Raises `CheckCondition` INVALID FIELD IN CDB for an unknown list id."""
        try:
            found = self._engine.status(identity, self._name(identity, list_id))
        except ActivityUnknown:
            raise _InvalidField from None
        return CopyReport(
            _STATUS_OF[found.state],
            round(found.poll_after * 1000),
            found.progress,
            found.result,
            found.error,
            found.error_code,
        )

    def copy_operation_abort(self, identity: ConnectionIdentity, list_id: int) -> Signal[None]:
        """COPY OPERATION ABORT (section 6.3); returns what is set once all transfers have stopped (section 5.17.4.7).

        Raises `CheckCondition` as `receive_copy_status` does, `ActivityNotAbortable`.
        """
        try:
            return self._engine.abort(identity, self._name(identity, list_id))
        except ActivityUnknown:
            raise _InvalidField from None

    def nexus_lost(self, nexus: str) -> None:
        """Discard what is held for that nexus; its copies go on (section 5.17.5)."""
        self._lists.pop(nexus, None)

    def preempt_and_abort(self, nexuses: Iterable[str]) -> None:
        """PERSISTENT RESERVE OUT, PREEMPT AND ABORT, against the registrations of those nexuses. Does not block.

        The copy operations that the preempted I_T nexuses have begun are aborted (SPC-4, the subclause "Preempting and
        aborting" of persistent reservations, and section 5.17.5). The nexuses themselves stand: the status of those
        copies can still be asked for, and is 60h. Not modelled are the abort of other commands, registrations, and the
        reservation that keeps the preempted initiator's later writes out.
        """
        for nexus in nexuses:
            self._engine.stop_started_on(nexus, "its I_T nexus was preempted", (HandleScope.CONNECTION,))

    def reset(self, reason: str = "logical unit reset") -> None:
        """Power on, hard reset or logical unit reset: all copies end, nothing is held any more. Does not block."""
        self._engine.stop_all(reason, (HandleScope.CONNECTION,))
        self._lists.clear()

    def _name(self, identity: ConnectionIdentity, list_id: int) -> str:
        name = self._lists.get(identity.connection_id, {}).get(list_id)
        if name is None:
            raise _InvalidField
        return name


class _InvalidField(CheckCondition):
    def __init__(self) -> None:
        super().__init__("ILLEGAL REQUEST", "INVALID FIELD IN CDB")


_OVER = (CopyOperationStatus.DONE, CopyOperationStatus.ERRORS, CopyOperationStatus.TERMINATED)


def copy_name(nexus: str, list_id: int) -> str:
    """What stands for a copy outside of its nexus: the ISID of the initiator port, and the list identifier."""
    isid = nexus.split(",i,0x", 1)[1].split(",", 1)[0]
    return f"{isid}-{list_id:08x}"


class ThirdPartyCopies:
    """How callers reach the jobs of an iSCSI backend; implements `harness.connection.Jobs`.

    The initiator's side of third-party copies: a connection-specific job is sent as EXTENDED COPY with a list
    identifier drawn from its request, so that a repeated request meets its own copy. Its handle is `copy_name`. Jobs
    of other scopes are the array's and go to the engine as they are.
    """

    def __init__(self, engine: JobEngine, manager: CopyManager) -> None:
        self.manager = manager
        self._engine = engine
        self._requests: dict[str, dict[int, str]] = {}

    def start(self, identity: ConnectionIdentity, job: Job, request_id: str) -> str:
        """See `harness.testbed.Connection.start`."""
        if job.scope is not HandleScope.CONNECTION:
            return self._engine.start(identity, job, request_id)
        requests = self._requests.get(identity.connection_id, {})
        list_id = zlib.crc32(request_id.encode())
        while requests.get(list_id, request_id) != request_id:
            list_id = (list_id + 1) % _LIST_IDS
        if list_id in requests:
            try:
                self.manager.receive_copy_status(identity, list_id)
            except CheckCondition:
                pass  # forgotten since: the request starts anew
            else:
                return copy_name(identity.connection_id, list_id)
        handle = self.manager.extended_copy(identity, list_id, job, request_id)
        self._requests.setdefault(identity.connection_id, {})[list_id] = request_id
        return handle

    def status(self, identity: ConnectionIdentity, handle: str) -> ActivityStatus:
        """See `harness.testbed.Connection.status`; to be asked again after ESTIMATED STATUS UPDATE DELAY."""
        list_id = self._list_id(identity, handle)
        if list_id is None:
            return self._engine.status(identity, handle)
        try:
            report = self.manager.receive_copy_status(identity, list_id)
        except CheckCondition:
            raise ActivityUnknown(f"no activity {handle!r}") from None
        state = _STATE_OF[report.status]
        return ActivityStatus(
            state, report.share, report.result, report.sense, report.update_delay_ms / 1000, report.code
        )

    def abort(self, identity: ConnectionIdentity, handle: str) -> Signal[None]:
        """See `harness.connection.Jobs.abort`."""
        list_id = self._list_id(identity, handle)
        if list_id is None:
            return self._engine.abort(identity, handle)
        try:
            return self.manager.copy_operation_abort(identity, list_id)
        except CheckCondition:
            raise ActivityUnknown(f"no activity {handle!r}") from None

    def connection_ended(self, connection_id: str, broke: bool) -> None:
        """See `harness.connection.Jobs.connection_ended`: the loss of the I_T nexus."""
        self._engine.connection_ended(connection_id, broke)
        self.manager.nexus_lost(connection_id)
        self._requests.pop(connection_id, None)

    def _list_id(self, identity: ConnectionIdentity, handle: str) -> int | None:
        requests = self._requests.get(identity.connection_id)
        if not requests:
            return None
        return next((i for i in requests if copy_name(identity.connection_id, i) == handle), None)
