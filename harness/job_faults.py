"""Faults of a backend's jobs: which job is hit, and when it fails."""

from __future__ import annotations

from harness.activity import Activity
from harness.recorder import Recorder
from harness.runtime import Runtime
from harness.schedule import Fault
from harness.storage import StorageError, Unsupported

AT_ONCE = ("create_volume", "extend_volume", "delete", "write")
"""Verbs without a transfer that could fail half-way."""


class JobFaults:
    """The faults that wait for a job of one backend. `look_ns`: how often a job's progress is looked at (ns)."""

    def __init__(self, runtime: Runtime, recorder: Recorder, backend: str, look_ns: int) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._backend = backend
        self._look_ns = max(look_ns, 1)
        self._waiting: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        """Let the next job of the fault's verb ("": of any) be hit."""
        self._waiting.append(fault)

    def hit(self, activity: Activity) -> None:
        """Hit a job that begins, if a fault waits for it.

        Raises `Unsupported` or `StorageError` where it is to fail before it has done anything; else lets its transfer
        fail once it has moved the fault's share of its bytes.
        """
        fault = next((f for f in self._waiting if f.verb in ("", activity.verb)), None)
        if fault is None:
            return
        self._waiting.remove(fault)
        self._recorder.emit("fault", fault=fault.kind, backend=self._backend, verb=activity.verb)
        if fault.kind == "job.unsupported":
            raise Unsupported(f"{activity.verb} is not supported here")
        if activity.verb in AT_ONCE:
            raise StorageError("injected failure")
        self._runtime.spawn(f"fault on {activity.handle}", lambda: self._watch(activity, fault.fraction))

    def _watch(self, activity: Activity, fraction: float) -> None:
        while not activity.state.is_terminal:
            transfer = activity.transfer
            if transfer is not None and transfer.moved() >= fraction * transfer.total:
                transfer.fail("injected failure")
                return
            self._runtime.sleep(self._look_ns)
