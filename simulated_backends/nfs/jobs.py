"""Jobs on a simulated NFS server: copies go through its copy operations, and end with the state that they hang on.

RFC 7862 gives a copy to a client id and a user, that is to host and user at once, which no scope of the specification
says. Two set-ups therefore: a job service on the server starts copies for its callers and hands out handles in the
scope that they ask for; or, with the native scope, copies are the callers' own, and a handle works for the same client
and the same user only, whatever scope was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.activity import Activity, ActivityState, ConnectionIdentity
from harness.backend_jobs import JobEngine
from harness.job_queue import JobQueue
from harness.recorder import Recorder
from harness.runtime import SECOND, Expired, Runtime, Signal
from harness.storage import CopyRequest, Transfer, TransferCancelled, TransferFailed, VolumeStore
from harness.testbed import Job, Profile
from simulated_backends.nfs.clients import Held, Work
from simulated_backends.nfs.copies import SERVICE, CopyService
from simulated_backends.nfs.courtesies import make_way
from simulated_backends.nfs.server import NfsServer

GRACE_RETRY_NS = 5 * SECOND
"""How long a client waits that gets NFS4ERR_GRACE; RFC 8881 section 8.4.2.1: on the order of several seconds."""

COPY_VERBS = frozenset({"copy", "snapshot", "replicate"})
"""The verbs whose work is one copy."""

_AWAY = frozenset({"move", "replicate"})
_CLAIM_SOURCE = frozenset({"delete", "extend_volume", "move", "revert"})
_CLAIM_TARGET = COPY_VERBS | {"create_volume"}


class GraceWait:
    """A copy that waits before it is asked for again, as a client does that gets NFS4ERR_GRACE.

    Implements `harness.storage.Transfer`, so that the job can be aborted while it waits.
    """

    def __init__(self, runtime: Runtime, left_ns: int) -> None:
        self.total = 0
        self._left_ns = left_ns
        self._stopped: Signal[None] = runtime.signal("end of the grace period")

    def moved(self) -> int:
        """See `harness.storage.Transfer.moved`."""
        return 0

    def wait(self) -> None:
        """See `harness.storage.Transfer.wait`."""
        try:
            self._stopped.wait(self._left_ns)
        except Expired:
            return

    def cancel(self, reason: str) -> None:
        """See `harness.storage.Transfer.cancel`."""
        self._stopped.fail(TransferCancelled(f"the copy was cancelled: {reason}"))

    def fail(self, reason: str) -> None:
        """See `harness.storage.Transfer.fail`."""
        self._stopped.fail(TransferFailed(f"the copy failed: {reason}"))

    def fail_at(self, position: int, reason: str) -> None:
        """See `harness.storage.Transfer.fail_at`; no byte is moved while it waits."""


class NfsJobEngine(JobEngine):
    """The activities of one server, over its `copies`. `native_scope`: they are their callers' own, see above."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        store: VolumeStore,
        peers: Callable[[str], VolumeStore],
        profile: Profile,
        mint: Callable[[], str],
        server: NfsServer,
        copies: CopyService,
        native_scope: bool,
        queue: JobQueue | None = None,
    ) -> None:
        super().__init__(runtime, recorder, store, peers, profile, mint, queue)
        self._server = server
        self.copies = copies
        self._native_scope = native_scope
        server.listeners.append(self)

    # ---- whose a job is --------------------------------------------------------------------------------------------

    def is_native(self, activity: Activity) -> bool:
        """Whether an activity is a copy of its caller's own, by client id and principal (RFC 7862 section 4.8)."""
        return self._native_scope and activity.verb in COPY_VERBS

    def may_reach(self, activity: Activity, identity: ConnectionIdentity) -> bool:
        """See `JobEngine.may_reach`; a native copy by the same client and user, while the client's state stands."""
        if not self.is_native(activity):
            return super().may_reach(activity, identity)
        owner = self._server.owner_of(activity.started_by.connection_id)
        asking = self._server.owner_of(identity.connection_id)
        return not activity.orphaned and owner is not None and owner == asking

    def ends_with_connection(self, activity: Activity) -> bool:
        """See `JobEngine.ends_with_connection`; a native copy outlives every connection."""
        return not self.is_native(activity) and super().ends_with_connection(activity)

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def make_way(self, activity: Activity) -> None:
        """See `JobEngine.make_way`: silent clients whose state is in the way of the job lose it."""
        make_way(self._server, self._work_of(activity))
        if activity.cancel_reason is not None:
            raise TransferCancelled(activity.cancel_reason)

    def begin_copy(self, activity: Activity, request: CopyRequest, into: VolumeStore) -> Transfer:
        """See `JobEngine.begin_copy`: an asynchronous COPY, repeated after the grace period."""
        self._wait_for_grace(activity, into)
        owner = SERVICE
        if self.is_native(activity):
            caller = self._server.owner_of(activity.started_by.connection_id)
            if activity.orphaned or caller is None:
                raise TransferCancelled("the client's state was released")
            owner = caller
        return self.copies.offload(owner, request, into)

    def _move(self, job: Job, activity: Activity) -> None:
        into = self._peer(job)
        self._wait_for_grace(activity, into)
        transfer = self._store.begin_move(job.source, into, live=job.point_in_time)
        with self.copies.ending_with_either(transfer, into):
            self._follow(activity, transfer)

    def _wait_for_grace(self, activity: Activity, into: VolumeStore) -> None:
        """Block until neither this server nor the one of `into` is in its grace period."""
        while left_ns := self.copies.grace_left_ns(into):
            self._follow(activity, GraceWait(self._runtime, min(GRACE_RETRY_NS, left_ns)))

    def connection_ended(self, connection_id: str, broke: bool) -> None:
        """See `JobEngine.connection_ended`; what can't be reached any more ends with the session."""
        running = self.orphan(connection_id)
        if not self._server.has_session(connection_id):
            for activity in running:
                self.end_orphan(activity)

    def fail_transfers(self, reason: str) -> None:
        """The server goes down: every job that moves bytes fails at once; what waits for grace waits for the next."""
        for activity in self.table.all():
            if isinstance(activity.transfer, GraceWait):
                continue
            if activity.transfer is not None:
                activity.transfer.fail(reason)
            elif activity.verb == "write" and activity.state is ActivityState.RUNNING:  # moves bytes without a transfer
                self.end_at_once(activity, ActivityState.FAILED, reason)

    # ---- the server's announcements --------------------------------------------------------------------------------

    def under_way(self) -> Iterator[Held]:
        """Jobs that nobody can reach but with the state of a client, or that are its own copies.

        One that has not begun keeps nothing from others.
        """
        for activity in self.table.all():
            if activity.state is not ActivityState.RUNNING or not (activity.orphaned or self.is_native(activity)):
                continue
            owner = self._server.owner_of(activity.started_by.connection_id)
            if owner is not None:
                yield Held(owner.client_id, self._work_of(activity), activity.over)

    def session_destroyed(self, session_id: str) -> None:
        """Jobs that can't outlive the session are stopped."""
        for activity in self.orphan(session_id):
            self.end_orphan(activity)

    def client_released(self, client_id: int, why: str) -> None:
        """Nobody can reference the client's copies any more; the copies themselves are the copy service's to end."""
        for activity in self.table.all():
            owner = self._server.owner_of(activity.started_by.connection_id)
            if owner is None or owner.client_id != client_id or not self.is_native(activity):
                continue
            activity.orphaned = True
            if activity.state.is_terminal:
                self.table.discard(activity)
            else:
                self._cancel(activity, why)

    def _work_of(self, activity: Activity) -> Work:
        source = (self._store.name, activity.source)
        target = (activity.destination if activity.verb in _AWAY else self._store.name, activity.target)
        claimed = source if activity.verb in _CLAIM_SOURCE else target if activity.verb in _CLAIM_TARGET else None
        return Work((source, target), claimed)
