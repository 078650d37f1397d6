"""The job service of an array, in the style of REST interfaces: the natural unrestricted or user-specific activity.

A job is named by a uuid, waits in a queue while too many others run, keeps its outcome for the retention time (ONTAP
REST: 300 s) and is unknown afterwards; some jobs can't be cancelled, and some can't be paused. To pause a job is the
array's operator's: no driver's call does so, and what a caller sees is a running job without progress. Who may ask for
a job is a matter of roles, so it is unrestricted or user-specific, as the driver chooses; what is connection-specific
is no job of the array and neither queued here nor refused an abort.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from harness.activity import Activity, ActivityState, HandleScope
from harness.runtime import Runtime, Signal
from harness.storage import TransferCancelled
from simulated_backends.transfers import Pausable


class ArrayJobs:
    """Lets at most `slots` jobs run at a time, first come, first served; implements `harness.job_queue.JobQueue`.

    Jobs of the verbs in `fixed` can't be aborted.
    """

    def __init__(self, runtime: Runtime, slots: int, fixed: Collection[str]) -> None:
        self._runtime = runtime
        self._slots = slots
        self._fixed = frozenset(fixed)
        self._running: set[str] = set()
        self._waiting: dict[str, tuple[Activity, Signal[None]]] = {}

    def wait_for_turn(self, activity: Activity) -> None:
        """See `harness.job_queue.JobQueue.wait_for_turn`."""
        if activity.scope is HandleScope.CONNECTION:
            return
        turn: Signal[None] = self._runtime.signal(f"turn of job {activity.handle}")
        self._waiting[activity.handle] = (activity, turn)
        self._fill()
        turn.wait()
        if activity.cancel_reason is not None:
            raise TransferCancelled(activity.cancel_reason)

    def wake(self) -> None:
        """See `harness.job_queue.JobQueue.wake`."""
        for activity, turn in tuple(self._waiting.values()):
            if activity.cancel_reason is not None:
                turn.set(None)

    def done(self, activity: Activity) -> None:
        """See `harness.job_queue.JobQueue.done`."""
        self._running.discard(activity.handle)
        self._waiting.pop(activity.handle, None)
        self._fill()

    def is_abortable(self, activity: Activity) -> bool:
        """See `harness.job_queue.JobQueue.is_abortable`."""
        return activity.scope is HandleScope.CONNECTION or activity.verb not in self._fixed

    def _fill(self) -> None:
        for handle in tuple(self._waiting):
            if len(self._running) >= self._slots:
                return
            _, turn = self._waiting.pop(handle)
            self._running.add(handle)
            turn.set(None)


def pause(activities: Iterable[Activity], verb: str, steady: Collection[str]) -> list[Pausable]:
    """Pause the running jobs of that verb ("": of any) that can be paused; returns what has to be resumed.

    Jobs of the verbs in `steady` can't, nor can what is still queued, or does not move its bytes by itself.
    """
    paused: list[Pausable] = []
    for activity in activities:
        of_array = activity.scope is not HandleScope.CONNECTION and verb in ("", activity.verb)
        if not of_array or activity.verb in steady or activity.state is not ActivityState.RUNNING:
            continue
        if isinstance(activity.transfer, Pausable):
            activity.transfer.pause()
            paused.append(activity.transfer)
    return paused
