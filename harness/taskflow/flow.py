"""Flows: journalled steps with undo, and the way a driver's method is carried out in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from harness.activity import ActivityStatus, HandleScope
from harness.contract import METHODS, ActivityUnknown, BackendActivityError, ConnectionLost, Effect, NotSupported
from harness.driver_kit import raise_for
from harness.model import backend_name
from harness.recorder import Recorder
from harness.runtime import Runtime, nanoseconds
from harness.taskflow.catalog import Catalog
from harness.taskflow.ends import DriverEnd
from harness.taskflow.errors import DriverError, OutcomeUnknown, TaskflowError
from harness.taskflow.journal import FlowRecord, Journal, Undo
from harness.taskflow.own_host import OwnHost
from harness.taskflow.quiesce import Hold, Quiesces
from harness.taskflow.statuses import VolumeStatuses
from harness.taskflow.walking import FINISH, WALKER, Undoing
from harness.testbed import Attachment, Profile

_STARTABLE = (Effect.COPIES, Effect.MOVES, Effect.REWRITES)
_LEAST_POLL_NS = 1_000_000


@dataclass(frozen=True)
class Policy:
    """How long the taskflow waits, in nanoseconds.

    `lost_activity_ns`: after which a connection-specific activity whose connection was lost is surely over (H-8).
    """

    quiesce_within_ns: int
    max_hold_ns: int
    lost_activity_ns: int
    activity_timeout_ns: int

    @classmethod
    def of(cls, profile: Profile) -> Policy:
        """The policy that a testbed's profile asks for."""
        longest = profile.longest_activity_ns
        return cls(profile.quiesce_timeout_ns, profile.max_hold_ns, profile.loss.bound_ns(longest), 20 * longest)


class Flow:
    """One flow under way."""

    def __init__(self, core: FlowCore, record: FlowRecord) -> None:
        self._core = core
        self.record = record
        self.hold: Hold | None = None
        """The quiesce under which the flow's method runs now, if it needs one."""
        self._in_step = False

    def undo_with(self, action: str, **arguments: Any) -> Undo:
        """Write down how to undo what this step does next or, between steps, the one that comes next."""
        undo = Undo(action, arguments, len(self.record.steps) + (not self._in_step))
        self.record.undo.append(undo)
        return undo

    def replace_undo(self, old: Undo, **arguments: Any) -> Undo:
        """Change the arguments of an undo that was written down."""
        new = Undo(old.action, arguments, old.step)
        self.record.undo[self.record.undo.index(old)] = new
        return new

    def drop_undo(self, undo: Undo) -> None:
        """Strike an undo out: what it would undo is to stay, or is gone."""
        self._core.runtime.checkpoint()  # the journal is no place that a dead taskflow can reach
        self.record.undo.remove(undo)

    @contextmanager
    def step(self, name: str, **fields: Any) -> Iterator[None]:
        """Note a step's start and end. Raises ValueError for one that the rest of the flow's plan does not have."""
        recorder, record, walker = self._core.recorder, self.record, WALKER.get()
        passed = record.plan.index(record.steps[-1]) + 1 if record.plan and record.steps else 0
        if record.plan and name not in record.plan[passed:]:
            raise ValueError(f"{record.id}: step {name!r} is not in the rest of its plan, {record.plan[passed:]}")
        walker.step(name, len(record.steps) + 1)
        record.steps.append(name)
        self._in_step = True
        recorder.emit("step.started", flow=record.id, step=name, **fields)
        try:
            yield
        except Exception as error:
            recorder.emit("step.failed", flow=record.id, step=name, error=type(error).__name__)
            raise
        finally:
            self._in_step = False
        recorder.emit("step.done", flow=record.id, step=name)
        walker.done()

    def run(self, end: DriverEnd, method: str, arguments: dict[str, Any]) -> Any:
        """Carry a method out: as an activity where the driver has the hooks and takes it, else as a blocking call.

        Returns the method's result. Raises `NotSupported` (no effect), `OutcomeUnknown`, `DriverError`.
        """
        recorder = self._core.recorder
        fields = {"flow": self.record.id, "backend": end.backend, "method": method}
        recorder.emit("method.invoked", **fields, **identify(arguments))
        try:
            if self._core.prefers_activities and end.has_activity_hooks and METHODS[method].effect in _STARTABLE:
                try:
                    result = self._as_activity(end, method, arguments)
                except NotSupported:
                    result = self._blocking(end, method, arguments)
            else:
                result = self._blocking(end, method, arguments)
        except ConnectionLost as error:
            recorder.emit("method.lost", **fields)
            raise OutcomeUnknown(f"{end.name}.{method}: {error}; its outcome is unknown") from error
        except (BackendActivityError, TaskflowError) as error:
            recorder.emit("method.failed", **fields, error=type(error).__name__)
            raise
        recorder.emit("method.returned", **fields)
        return result

    def _blocking(self, end: DriverEnd, method: str, arguments: dict[str, Any]) -> Any:
        """Call a method. Should this taskflow die meanwhile, another knows that something may still be under way."""
        record = self.record
        record.request_id, record.handle, record.backend = (
            f"{record.id}/{len(record.steps)}/{method}",
            None,
            end.backend,
        )
        try:
            result = end.call_positional(method, arguments)
        except Exception:
            record.request_id = None
            raise
        record.request_id = None
        return result

    # ---- activities ------------------------------------------------------------------------------------------------

    def _as_activity(self, end: DriverEnd, method: str, arguments: dict[str, Any]) -> Any:
        record = self.record
        record.request_id = f"{self._core.run_id}/{record.id}/{len(record.steps)}/{method}"
        record.backend, record.handle, record.scope = end.backend, None, end.publication.handle_scope.value
        record.started_ns = self._core.runtime.clock()
        handle = self._start(end, method, arguments, record.request_id)
        record.handle = handle
        accepted = {"backend": end.backend, "method": method, "handle": handle}
        self._core.recorder.emit("activity.accepted", flow=record.id, **accepted)
        status = self.wait_for(end, handle, record.started_ns)
        record.handle = record.request_id = None
        if METHODS[method].effect is Effect.MOVES and status.result is None:
            return True  # an activity that is done has moved the volume, whether its backend says so or not
        return status.result

    def _start(self, end: DriverEnd, method: str, arguments: dict[str, Any], request_id: str) -> Any:
        given = {name: value for name, value in arguments.items() if name != "context"}
        try:
            return end.call("start_activity", end.context, method, given, request_id=request_id)
        except ConnectionLost:
            if end.publication.handle_scope is HandleScope.CONNECTION:
                raise
        # H-8: a start whose answer was lost is repeated with the same request and yields the same handle
        end.reopen()
        if self.hold is not None and self.hold.lost_at():  # it may not have arrived, and must not begin now
            raise ConnectionLost("the hosts released the volume before the start could be repeated")
        return end.call("start_activity", end.context, method, given, request_id=request_id)

    def wait_for(self, end: DriverEnd, handle: str, since_ns: int) -> ActivityStatus:
        """Poll an activity until it is done.

        Raises what `raise_for` raises for one that ended badly, `OutcomeUnknown` if it can't be reached any more,
        and `TaskflowError` after the policy's time-out, the activity being aborted first.
        """
        core = self._core
        while True:
            try:
                status: ActivityStatus = end.call("get_activity", end.context, handle)
            except ConnectionLost:
                if end.publication.handle_scope is HandleScope.CONNECTION:
                    raise
                end.reopen()
                continue
            except ActivityUnknown as error:
                raise OutcomeUnknown(f"{end.name}.get_activity: {error}; that says nothing of its outcome") from error
            if status.state.is_terminal:
                try:
                    raise_for(status)
                except NotSupported:
                    raise
                except BackendActivityError as error:
                    raise DriverError(end.name, "get_activity", f"the activity {error}", error) from error
                return status
            if core.runtime.clock() - since_ns > core.policy.activity_timeout_ns:
                self._abort(end, handle)
                raise TaskflowError(f"activity {handle!r} of {end.name} took too long and was aborted")
            core.runtime.sleep(max(_LEAST_POLL_NS, core.pause_ns(status)))

    @staticmethod
    def _abort(end: DriverEnd, handle: str) -> None:
        try:
            end.call("abort_activity", end.context, handle)
        except BackendActivityError as error:
            raise OutcomeUnknown(f"{end.name}.abort_activity: {error}") from error


class FlowCore:
    """What all flows of one taskflow share.

    `run_id` makes the request ids of one deployment unique; `attach(backend, volume id)` attaches a volume to the
    taskflow's own host. `prefers_activities` False makes it call the blocking methods even where a driver could start
    them as activities. `pause_ns` says how long to wait before an activity is looked at again, by its status.
    """

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        catalog: Catalog,
        journal: Journal,
        ends: Mapping[str, DriverEnd],
        policy: Policy,
        run_id: str,
        attach: Callable[[str, str], Attachment],
    ) -> None:
        self.runtime = runtime
        self.recorder = recorder
        self.catalog = catalog
        self.journal = journal
        self.ends = ends
        self.policy = policy
        self.run_id = run_id
        self.host = OwnHost(attach)
        self.prefers_activities = True
        self.pause_ns: Callable[[ActivityStatus], int] = lambda status: nanoseconds(status.poll_after)
        self.quiesces = Quiesces(runtime, recorder, catalog, policy.quiesce_within_ns, policy.max_hold_ns)
        self.statuses = VolumeStatuses(runtime, catalog)

    @contextmanager
    def flow(
        self,
        kind: str,
        reads: Sequence[str] = (),
        changes: Sequence[str] = (),
        *,
        plan: Sequence[str] | None = None,
        **arguments: Any,
    ) -> Iterator[Flow]:
        """Run a flow that reads and changes the objects of those ids; raises `Refused` while another one forbids it.

        `plan` names the steps that it may take, in their order; which of them it takes turns out on the way. Without
        one it may take any, but no engine can conduct it.
        On an error what it did is undone, and the error raised; what can't be undone now stays in the journal for
        `recover`. A taskflow that dies in the body leaves the flow unfinished.
        """
        walker = WALKER.get()
        walker.begins(kind, plan)
        record = self.journal.begin(kind, arguments, reads, changes, plan or ())
        self.recorder.emit("flow.started", flow=record.id, kind=kind)
        try:
            yield Flow(self, record)
            walker.step(FINISH, len(record.steps) + 1)
        except Exception as error:
            self.recorder.emit("flow.failed", flow=record.id, error=type(error).__name__)
            if isinstance(error, OutcomeUnknown):
                self.wait_out(error)
            walker.failed(error)
            self.undo(record)
            raise
        self.finish(record)

    def wait_out(self, lost: OutcomeUnknown) -> None:
        """H-8: wait, once, until what was lost surely writes no more."""
        if not lost.waited:
            lost.waited = True
            self.runtime.sleep(self.policy.lost_activity_ns)

    def finish(self, record: FlowRecord) -> None:
        """Mark a flow as done; the records that it completes become available."""
        for record_id in record.completes:
            self.catalog.set_available(record_id)
        record.state = "done"
        self.recorder.emit("flow.done", flow=record.id)

    def undo(self, record: FlowRecord) -> bool:
        """Undo a flow, last step first; True if nothing is left to undo. Repeating it is harmless."""
        undoing = Undoing(record, self.recorder, self.carry_out)
        WALKER.get().undo(undoing)
        return undoing.end()

    def carry_out(self, undo: Undo, record: FlowRecord) -> None:
        """Carry one undo out; raises what the driver raises."""
        a = undo.arguments
        match undo.action:
            case "delete_volume":
                volume = self.catalog.volumes.get(a["id"])
                for backend in a["backends"]:
                    end = self.ends[backend]
                    if volume is not None:
                        self._insist(end, "delete_volume", replace(volume, host=end.host))
            case "delete_snapshot":
                snapshot = self.catalog.snapshots.get(a["id"])
                if snapshot is not None:
                    self._insist(self.ends[a["backend"]], "delete_snapshot", snapshot)
            case "forget":
                self.catalog.remove(a["id"])
            case "extend":
                volume = self.catalog.volumes.get(a["id"])
                if volume is not None:
                    end = self.ends[backend_name(volume.host)]
                    if not self.host.has_size(end.backend, volume.id, a["size"]):  # extending is not for repeating
                        try:
                            self._insist(end, "extend_volume", volume, a["size"])
                        except NotSupported:  # before any effect: the volume stays as large as it is
                            return
                    volume.size = a["size"]
            case "locate":
                self._locate(a["id"], a["backends"])
            case "restore_status":
                volume = self.catalog.volumes.get(a["id"])
                if volume is not None:
                    volume.update({"status": self.catalog.resting_status(volume.id), "migration_status": None})
            case "release":
                for attachment in self.catalog.attachments(a["volume"]):
                    attachment.gate.release(a["owner"])
            case _:
                raise TaskflowError(f"the journal asks for an unknown undo {undo.action!r}")

    def _locate(self, volume_id: str, backends: Sequence[str]) -> None:
        """R-12: find out at which end a volume is after a move of which nobody knows how it ended, and keep it.

        A volume that is at both ends has not been moved: the copy goes, unless a host could have written to it.
        """
        volume = self.catalog.volumes.get(volume_id)
        places = [backend for backend in backends if self.host.is_at(backend, volume_id)] if volume else []
        self.recorder.emit("volume.located", volume=volume_id, backends=places)
        if volume is None or not places:
            return
        volume.host = self.ends[places[0]].host
        for backend in places[1:]:
            if self.catalog.attachments(volume_id):
                raise TaskflowError(
                    f"{volume_id} is on {' and '.join(places)}, and hosts write to it: nothing is deleted"
                )
            end = self.ends[backend]
            self._insist(end, "delete_volume", replace(volume, host=end.host))

    def _insist(self, end: DriverEnd, method: str, *arguments: Any) -> None:
        """Delete or extend something, over a new connection if the old one is gone, and again once lost activities are
        over."""
        try:
            end.call(method, *arguments)
            return
        except ConnectionLost:
            end.reopen()
        except (BackendActivityError, DriverError):
            self.runtime.sleep(self.policy.lost_activity_ns)
        end.call(method, *arguments)


def identify(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of the records among a method's arguments, for the record of the run."""
    found = {}
    for name, value in arguments.items():
        record_id = getattr(value, "id", None)
        if isinstance(record_id, str):
            found[name] = record_id
        elif isinstance(value, (str, int)):
            found[name] = value  # type: ignore[assignment]
    return found
