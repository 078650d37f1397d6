"""Faults of a backend's jobs: which job is hit, and when it fails."""

from __future__ import annotations

from harness.activity import Activity
from harness.recorder import Recorder
from harness.schedule import Fault
from harness.storage import StorageError, Unsupported

AT_ONCE = ("create_volume", "extend_volume", "delete", "write", "suspend", "resume")
"""Verbs without a transfer that could fail half-way."""

_INJECTED = "injected failure"


class JobFaults:
    """The faults that wait for a job of one backend."""

    def __init__(self, recorder: Recorder, backend: str) -> None:
        self._recorder = recorder
        self._backend = backend
        self._waiting: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        """Let the next job of the fault's verb ("": of any) be hit."""
        self._waiting.append(fault)

    def hit(self, activity: Activity) -> None:
        """Hit a job that begins, if a fault waits for it.

        Raises `Unsupported` or `StorageError` where it is to fail before it has done anything; else it fails once its
        transfer has moved the fault's share of its bytes, or at its end if it needs no transfer.
        """
        fault = next((f for f in self._waiting if f.verb in ("", activity.verb)), None)
        if fault is None:
            return
        self._waiting.remove(fault)
        self._recorder.emit("fault", fault=fault.kind, backend=self._backend, verb=activity.verb)
        if fault.kind == "job.unsupported":
            raise Unsupported(f"{activity.verb} is not supported here")
        if activity.verb in AT_ONCE:
            raise StorageError(_INJECTED)
        activity.fails_at = fault.fraction

    def arm(self, activity: Activity) -> None:
        """A job's transfer has begun: let it fail where a fault that has hit the job says so."""
        if activity.transfer is None or not activity.transfer.total:
            return  # it only waits for its turn
        fraction, activity.fails_at = activity.fails_at, None
        if fraction is not None:
            activity.transfer.fail_at(max(1, int(fraction * activity.transfer.total)), _INJECTED)

    def finish(self, activity: Activity) -> None:
        """A job is at its end. Raises `StorageError` if a fault has hit it and it had no transfer that could fail."""
        if activity.fails_at is not None:
            raise StorageError(_INJECTED)
