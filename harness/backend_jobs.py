"""Executes backend activities over the storage port: one engine for every testbed of ours.

A job runs as a task of the runtime. The engine keeps the handle table, ends what a lost connection leaves behind
(H-4), and lets jobs fail where a fault asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from harness.activity import Activity, ActivityState, ActivityStatus, ConnectionIdentity, HandleScope, HandleTable
from harness.compression import codec
from harness.contract import ActivityNotAbortable, ActivityUnknown
from harness.job_faults import JobFaults
from harness.job_fields import check_fields
from harness.job_queue import JobQueue
from harness.recorder import Recorder
from harness.runtime import SECOND, Runtime, Signal, end_run
from harness.schedule import Fault
from harness.storage import (
    CopyRequest,
    ObjectExists,
    StorageError,
    SuspendsWrites,
    Transfer,
    TransferCancelled,
    Unsupported,
    VolumeStore,
)
from harness.testbed import ActivityView, Job, Profile

CHUNK_BYTES = 256 * 1024
"""The largest chunk of a backup, in bytes."""

_POLL_STEPS = 5
"""A caller is asked to poll about this often during a whole copy."""


class JobEngine:
    """The activities of one backend.

    `peers` finds another backend's store by name (KeyError if there is none), `mint` makes handles. Without a `queue`
    every job runs at once, and all can be aborted.
    """

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        store: VolumeStore,
        peers: Callable[[str], VolumeStore],
        profile: Profile,
        mint: Callable[[], str],
        queue: JobQueue | None = None,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._store = store
        self._peers = peers
        self._profile = profile
        self._queue = queue
        self._faults = JobFaults(recorder, store.name)
        self.table = HandleTable(runtime.now, mint, profile.retention_ns, self.may_reach)

    def start(self, identity: ConnectionIdentity, job: Job, request_id: str, handle: str | None = None) -> str:
        """Start a job and return its handle. Raises `ValueError` for a job that is not well formed.

        `handle` as in `HandleTable.register`.
        """
        check_fields(job)
        activity, is_new = self.table.register(
            identity, job.scope, request_id, job.verb, job.target or job.source, handle
        )
        if is_new:
            activity.source, activity.destination = job.source, job.destination
            activity.abortable = self._queue is None or self._queue.is_abortable(activity)
            activity.over = self._runtime.signal(f"activity {activity.handle} is over")
            activity.poll_after = max(0.005, self._profile.whole_copy_ns / SECOND / _POLL_STEPS)
            # begun before it is recorded, since the caller may die of what listens to the record: the job is not his
            may_run = self._runtime.signal(f"activity {activity.handle} is recorded")
            name = f"{job.verb} on {self._store.name}"
            activity.task = self._runtime.spawn(name, lambda: self._run(job, activity, may_run))
            self._recorder.emit(
                "activity.started",
                backend=self._store.name,
                handle=activity.handle,
                verb=job.verb,
                source=job.source,
                target=job.target,
                scope=job.scope.value,
                host=identity.caller.host,
                user=identity.caller.user,
            )
            may_run.set(None)
        return activity.handle

    def status(self, identity: ConnectionIdentity, handle: str) -> ActivityStatus:
        """The status of an activity within the caller's reach. Raises `ActivityUnknown`."""
        activity = self._reach(identity, handle)
        if activity.transfer is not None:
            self._update_progress(activity)
        return ActivityStatus(
            activity.state,
            activity.progress,
            activity.result,
            activity.error,
            activity.poll_after,
            activity.error_code,
        )

    def abort(self, identity: ConnectionIdentity, handle: str) -> Signal[None]:
        """Abort an activity within the caller's reach; returns a signal of the caller's own, set once it is over.

        What the backend has accepted it carries out, whatever becomes of the caller meanwhile. Does not block.
        """
        activity = self._reach(identity, handle)
        if not activity.state.is_terminal:
            if not activity.abortable:
                raise ActivityNotAbortable(f"activity {handle!r} can't be aborted")
            self._stop(activity, "aborted by its caller")  # before it is recorded, as in `start`
            self._recorder.emit("activity.aborting", backend=self._store.name, handle=handle, verb=activity.verb)
        answer = self._runtime.signal(f"activity {handle} is aborted")
        if not activity.over.is_over:
            activity.answers.append(answer)
        if activity.over.is_over:  # perhaps since just now
            answer.set(None)
        return answer

    def forget(self, identity: ConnectionIdentity, handle: str) -> None:
        """Discard the outcome of an activity within the caller's reach that is over. Raises `ActivityUnknown`."""
        activity = self._reach(identity, handle)
        if activity.state.is_terminal:
            self.table.discard(activity)

    def connection_ended(self, connection_id: str, broke: bool) -> None:
        """A connection was closed or broke: its connection-specific jobs can't be referenced from now on (H-4).

        They end by the profile's loss policy; jobs of other scopes go on. Does not block.
        """
        policy = self._profile.loss
        for activity in self.orphan(connection_id):
            delay = policy.time2wait_ns + policy.time2retain_ns + (policy.detection_ns if broke else 0)
            if policy.then == "abort":
                self._runtime.call_later(delay, lambda a=activity: self.end_orphan(a))  # type: ignore[misc]

    def orphan(self, connection_id: str) -> list[Activity]:
        """Put a connection's connection-specific jobs out of everybody's reach; returns those that are not over."""
        running = []
        for activity in self.table.started_on(connection_id):
            if not self.ends_with_connection(activity):
                continue
            activity.orphaned = True
            if activity.state.is_terminal:
                self.table.discard(activity)
            else:
                running.append(activity)
        return running

    def end_orphan(self, activity: Activity) -> None:
        """Stop a job that nobody can reach any more, after the abort latency. Does not block."""
        self._stop(activity, "its connection was lost")

    def stop_started_on(self, connection_id: str, reason: str, scopes: Collection[HandleScope]) -> None:
        """Stop the jobs of those scopes that were started on a connection, after the abort latency. Does not block.

        They end as aborted, and whoever reaches them can read so.
        """
        for activity in self.table.started_on(connection_id):
            if activity.scope in scopes:
                self._stop(activity, reason)

    # ---- what a protocol may decide otherwise ----------------------------------------------------------------------

    def may_reach(self, activity: Activity, identity: ConnectionIdentity) -> bool:
        """Whether a caller reaches an activity: by its scope."""
        return HandleTable.may_reach(activity, identity)

    def ends_with_connection(self, activity: Activity) -> bool:
        """Whether an activity can't outlive its connection: by its scope."""
        return activity.scope is HandleScope.CONNECTION

    def make_way(self, activity: Activity) -> None:
        """Block until what gives way to an activity has done so. Raises `TransferCancelled` if it is aborted."""

    def begin_copy(self, activity: Activity, request: CopyRequest, into: VolumeStore) -> Transfer:
        """Begin the copy of an activity; may block. Raises as `VolumeStore.begin_copy`."""
        return self._store.begin_copy(request, into)

    # ---- observation -----------------------------------------------------------------------------------------------

    def stop_all(self, reason: str, scopes: Collection[HandleScope] = tuple(HandleScope)) -> None:
        """End every activity of those scopes at once, as a power failure or a reset does. Does not block.

        Connection-specific ones count as aborted (SPC-4 section 5.17.5) and can't be referenced from now on, nor can
        those that were over already; of the others the backend remembers that they failed.
        """
        for activity in self.table.all():
            if activity.scope not in scopes:
                continue
            if activity.state.is_terminal:
                if activity.scope is HandleScope.CONNECTION:
                    self.table.discard(activity)
                continue
            activity.orphaned = activity.orphaned or activity.scope is HandleScope.CONNECTION
            state = ActivityState.ABORTED if activity.scope is HandleScope.CONNECTION else ActivityState.FAILED
            self.end_at_once(activity, state, reason)

    def end_at_once(self, activity: Activity, state: ActivityState, reason: str) -> None:
        """End an activity where it is, at this instant. Does not block."""
        activity.cancel_reason = reason
        if activity.transfer is not None:
            activity.transfer.fail(reason)
        activity.task.abandon()
        self._end(activity, state, error=reason, code="restarted")

    def plan_fault(self, fault: Fault) -> None:
        """Let the next job of the fault's verb fail (`job.fail`, `job.unsupported`)."""
        self._faults.plan(fault)

    def views(self) -> tuple[ActivityView, ...]:
        """The activities as they are, for inspection."""
        activities = self.table.all()
        for activity in activities:
            if activity.transfer is not None:
                self._update_progress(activity)
        return tuple([ActivityView(a.handle, a.verb, a.target, a.state._value_, a.progress) for a in activities])

    # ---- one activity ----------------------------------------------------------------------------------------------

    def _reach(self, identity: ConnectionIdentity, handle: str) -> Activity:
        activity = self.table.look_up(handle, identity)
        if activity is None:
            raise ActivityUnknown(f"no activity {handle!r}")
        return activity

    def _run(self, job: Job, activity: Activity, may_run: Signal[None]) -> None:
        try:
            may_run.wait()
            if self._queue is not None:
                self._queue.wait_for_turn(activity)
            self.make_way(activity)
            activity.state = ActivityState.RUNNING
            self._faults.hit(activity)
            self._carry_out(job, activity)
            self._faults.finish(activity)
        except TransferCancelled as error:
            self._end(activity, ActivityState.ABORTED, error=str(error), code=error.code)
        except StorageError as error:
            self._end(activity, ActivityState.FAILED, error=str(error), code=error.code)
        except (OSError, ValueError, KeyError) as error:  # a sink that refuses a chunk, a full disk, an unknown peer
            self._end(activity, ActivityState.FAILED, error=f"{type(error).__name__}: {error}", code="failed")
        except Exception as error:  # no fault of the driver's, so that it must not see a failed activity
            end_run(self._runtime, error)
        else:
            self._end(activity, ActivityState.DONE)

    def _end(
        self, activity: Activity, state: ActivityState, result: Any = None, error: str | None = None, code: str = ""
    ) -> None:
        self._update_progress(activity)
        if state is ActivityState.DONE:
            activity.progress = 1.0
        activity.result, activity.error, activity.error_code = result, error, code or None
        activity.state = state
        activity.ended_ns = self._runtime.now()
        if self._queue is not None:
            self._queue.done(activity)
        activity.transfer = None
        self._recorder.emit(
            "activity.ended",
            backend=self._store.name,
            handle=activity.handle,
            verb=activity.verb,
            target=activity.target,
            state=state.value,
            error=error,
        )
        if activity.orphaned:
            self.table.discard(activity)
        activity.over.set(None)
        for answer in activity.answers:
            answer.set(None)

    def _follow(self, activity: Activity, transfer: Transfer) -> None:
        activity.transfer = transfer
        self._faults.arm(activity)
        if activity.cancel_reason is not None:  # aborted between the start and here
            transfer.cancel(activity.cancel_reason)
        transfer.wait()

    @staticmethod
    def _update_progress(activity: Activity) -> None:
        transfer = activity.transfer
        if transfer is not None and transfer.total:
            share = min(1.0, transfer.moved() / transfer.total)
            activity.progress = max(activity.progress or 0.0, share)

    def _stop(self, activity: Activity, reason: str) -> None:
        if activity.state.is_terminal:
            return

        def stop() -> None:
            self._runtime.sleep(self._profile.loss.abort_latency_ns)
            self._cancel(activity, reason)

        self._runtime.spawn(f"end of {activity.handle}", stop)

    def _cancel(self, activity: Activity, reason: str) -> None:
        activity.cancel_reason = reason
        if self._queue is not None:
            self._queue.wake()
        if activity.transfer is not None:
            activity.transfer.cancel(reason)

    # ---- verbs -----------------------------------------------------------------------------------------------------

    def _carry_out(self, job: Job, activity: Activity) -> None:
        carry_out: Callable[[Job, Activity], None] = getattr(self, f"_{job.verb}")  # one of JOB_VERBS; see `start`
        carry_out(job, activity)

    def _create_volume(self, job: Job, activity: Activity) -> None:
        assert job.size is not None  # else it was refused
        self._store.create_volume(job.target, job.size)

    def _extend_volume(self, job: Job, activity: Activity) -> None:
        assert job.size is not None  # else it was refused
        self._store.extend_volume(job.source, job.size)

    def _delete(self, job: Job, activity: Activity) -> None:
        self._store.delete(job.source)

    def _snapshot(self, job: Job, activity: Activity) -> None:
        request = CopyRequest(job.source, job.target, "snapshot", job.point_in_time)
        self._follow(activity, self.begin_copy(activity, request, self._store))

    def _copy(self, job: Job, activity: Activity) -> None:
        request = CopyRequest(job.source, job.target, "volume", job.point_in_time, job.size, job.linked)
        self._follow(activity, self.begin_copy(activity, request, self._store))

    def _move(self, job: Job, activity: Activity) -> None:
        self._follow(activity, self._store.begin_move(job.source, self._peer(job), live=job.point_in_time))

    def _replicate(self, job: Job, activity: Activity) -> None:
        peer = self._peer(job)
        request = CopyRequest(job.source, job.target, "snapshot", job.point_in_time)
        try:
            transfer = self.begin_copy(activity, request, peer)
        except ObjectExists:
            if not any(o.id == job.target and o.kind == "snapshot" and o.complete for o in peer.objects()):
                raise
            return  # replicated before: the same destination id makes no second copy
        self._follow(activity, transfer)

    def _revert(self, job: Job, activity: Activity) -> None:
        self._follow(activity, self._store.begin_revert(job.source, job.target))

    def _read(self, job: Job, activity: Activity) -> None:
        assert job.sink is not None  # else it was refused
        technique = codec(job.technique)
        reader = self._store.begin_read(job.source, job.point_in_time, CHUNK_BYTES)
        activity.transfer = reader.transfer
        self._faults.arm(activity)
        if activity.cancel_reason is not None:
            reader.transfer.cancel(activity.cancel_reason)
        figure = self._profile.codecs.get(technique.name)
        try:
            for offset, data in reader:
                label, payload = technique.stored(data)
                if figure is not None and self._runtime.virtual:
                    self._runtime.sleep(int(len(data) / figure.throughput * SECOND))
                job.sink.write(offset, len(data), label, payload)
        finally:
            reader.close()

    def _write(self, job: Job, activity: Activity) -> None:
        for chunk in job.chunks:
            if activity.cancel_reason is not None:
                raise TransferCancelled(activity.cancel_reason)
            data = codec(chunk.label).decompress(chunk.payload, chunk.length)
            self._store.write_bytes(job.target, chunk.offset, data)

    def _suspend(self, job: Job, activity: Activity) -> None:
        self._suspending().suspend_writes(job.source)

    def _resume(self, job: Job, activity: Activity) -> None:
        self._suspending().resume_writes(job.source)

    def _suspending(self) -> SuspendsWrites:
        if not isinstance(self._store, SuspendsWrites):
            raise Unsupported(f"{self._store.name} can't hold foreground writes")
        return self._store

    def _peer(self, job: Job) -> VolumeStore:
        try:
            return self._peers(job.destination)
        except KeyError:
            raise Unsupported(f"no backend {job.destination!r} within reach of {self._store.name}") from None
