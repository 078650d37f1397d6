"""Taskflows that are broken in one way each; applied inside a cell, where nothing else is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from conformance import runner
from harness.gate import WriteGate
from harness.taskflow import backup, flow, methods, quiesce, recovery, replicate
from harness.taskflow.catalog import Catalog

FLAWS: dict[str, tuple[tuple[str, ...], Callable[[], None]]] = {}
"""Each flaw's name, the clauses that have to find it, and the function that applies it."""


def flaw(*clauses: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a flaw under its function's name."""

    def register(apply: Callable[[], None]) -> Callable[[], None]:
        FLAWS[apply.__name__] = (clauses, apply)
        return apply

    return register


def run_check(flaw_name: str, **arguments: Any) -> dict[str, Any]:
    """Run one check with a broken taskflow; for a cell of its own, since the flaw is not taken back."""
    FLAWS[flaw_name][1]()
    return runner.run_check(**arguments)


@flaw("Q-1")
def never_quiesces() -> None:
    """Invokes unlisted methods without quiescing."""
    methods.needs_quiesce = lambda *_: False  # type: ignore[assignment]


@flaw("Q-1")
def quiesces_by_status_only() -> None:
    """Takes the volume's status for a quiesce."""

    @contextmanager
    def held(self: quiesce.Quiesce) -> Iterator[None]:
        yield

    quiesce.Quiesce.held = held  # type: ignore[method-assign]


@flaw("Q-3")
def forgets_the_release() -> None:
    """Does not release the volume where the method failed."""

    @contextmanager
    def held(self: quiesce.Quiesce) -> Iterator[None]:
        for attachment in self._attachments:
            attachment.gate.hold(self._owner, self._within_ns, self._limit_ns)
        yield
        for attachment in self._attachments:
            attachment.gate.release(self._owner)

    quiesce.Quiesce.held = held  # type: ignore[method-assign]


@flaw("Q-3")
def trusts_a_lapsed_hold() -> None:
    """Does not look whether its hold still stood when the method returned."""

    @contextmanager
    def held(self: quiesce.Quiesce) -> Iterator[None]:
        for attachment in self._attachments:
            attachment.gate.hold(self._owner, self._within_ns, self._limit_ns)
        try:
            yield
        finally:
            for attachment in self._attachments:
                attachment.gate.release(self._owner)

    quiesce.Quiesce.held = held  # type: ignore[method-assign]


@flaw("Q-4")
def drops_held_writes() -> None:
    """Loses the writes that were held: their hosts wait for ever."""
    real = WriteGate.enter

    def enter(self: WriteGate) -> None:
        if self.holding:
            self._runtime.signal("a write that was dropped").wait()
        real(self)

    WriteGate.enter = enter  # type: ignore[method-assign]


@flaw("Q-6")
def goes_on_without_quiesce() -> None:
    """Invokes the method although the volume could not be quiesced in time."""
    real = WriteGate.hold

    def hold(self: WriteGate, owner: str, within_ns: int, limit_ns: int) -> None:
        try:
            real(self, owner, within_ns, limit_ns)
        except flow.TaskflowError:
            raise
        except Exception:
            self._recorder.emit("gate.quiesced", volume=self.volume_id, host=self.host, owner=owner)

    WriteGate.hold = hold  # type: ignore[method-assign]


@flaw("R-11")
def quiesces_in_the_fallback() -> None:
    """Quiesces the user's volume while the fallback works on its snapshot."""
    real = replicate.Replication._fall_back

    def fall_back(self: Any, running: Any, source: Any, destination: Any, snapshot: Any, new: Any) -> None:
        core = self._core
        attachments = core.catalog.attachments(snapshot.volume_id)
        for attachment in attachments:
            attachment.gate.hold("fallback", core.policy.quiesce_within_ns, core.policy.max_hold_ns)
        real(self, running, source, destination, snapshot, new)
        for attachment in attachments:
            attachment.gate.release("fallback")

    replicate.Replication._fall_back = fall_back  # type: ignore[method-assign]


@flaw("R-1")
def always_falls_back() -> None:
    """Takes the fallback although both ends publish replication."""
    replicate.Replication.is_native = staticmethod(lambda *_: False)  # type: ignore[method-assign]


@flaw("R-6")
def lets_users_pay() -> None:
    """Enters the anonymous volume as one of the user's."""
    real = Catalog.add

    def add(self: Catalog, record: Any) -> None:
        if getattr(record, "use_quota", True) is False:
            record.use_quota = True
        real(self, record)

    Catalog.add = add  # type: ignore[method-assign]


@flaw("R-8")
def keeps_the_copy() -> None:
    """Forgets to delete the migrated copy."""
    real = flow.Flow.run

    def run(self: flow.Flow, end: Any, method: str, arguments: dict[str, Any]) -> Any:
        volume = arguments.get("volume")
        if method == "delete_volume" and volume is not None and not volume.use_quota:
            return None
        return real(self, end, method, arguments)

    flow.Flow.run = run  # type: ignore[method-assign]


@flaw("R-9")
def undoes_nothing() -> None:
    """Leaves what a failed flow has made."""

    def undo(self: flow.FlowCore, record: Any) -> bool:
        record.state = "undone"
        return True

    flow.FlowCore.undo = undo  # type: ignore[method-assign]


@flaw("R-10")
def copies_again() -> None:
    """Replicates again what is at the destination already, under another name."""
    real = replicate.Replication.replicate

    def again(self: Any, snapshot_id: str, backend: str, new_id: str) -> Any:
        if new_id in self._core.catalog.snapshots:
            new_id += "-again"
        return real(self, snapshot_id, backend, new_id)

    replicate.Replication.replicate = again  # type: ignore[method-assign]


@flaw("H-8")
def starts_twice() -> None:
    """Makes up a new request id when it repeats a start whose answer was lost."""
    real = flow.Flow._start

    def start(self: flow.Flow, end: Any, method: str, arguments: dict[str, Any], request_id: str) -> Any:
        try:
            return end.call("start_activity", end.context, method, arguments, request_id=request_id)
        except flow.ConnectionLost:
            end.reopen()
            return real(self, end, method, arguments, request_id + "/again")

    flow.Flow._start = start  # type: ignore[method-assign]


@flaw("H-8")
def trusts_a_lost_activity() -> None:
    """Takes an activity that it can't find any more for done."""
    recovery.Recovery._reattach = lambda *_: True  # type: ignore[method-assign]
    real = recovery.Recovery._end

    def end(self: recovery.Recovery, record: Any) -> Any:
        self._core.finish(record)
        return real(self, record)

    recovery.Recovery._end = end  # type: ignore[method-assign]


@flaw("C-1")
def takes_the_last_technique() -> None:
    """Chooses the caller's last choice instead of the first."""
    real = backup.negotiate
    backup.negotiate = lambda acceptable, *rest, **more: real(list(acceptable)[::-1], *rest, **more)  # type: ignore[assignment]


@flaw("C-2", "C-7")
def never_compresses() -> None:
    """Leaves compressing to the driver, whether it can or not."""
    backup.CompressingSink.write = lambda self, *chunk: self._inner.write(*chunk)  # type: ignore[method-assign]


@flaw("C-3")
def compresses_twice() -> None:
    """Compresses what is compressed already."""
    real = backup.CompressingSink.write

    def write(self: Any, offset: int, length: int, label: str, payload: bytes) -> None:
        real(self, offset, length, label, self._codec.compress(payload))

    backup.CompressingSink.write = write  # type: ignore[method-assign]


@flaw("C-4")
def decides_silently() -> None:
    """Records no reason for the decision."""
    from harness.recorder import Recorder

    real = Recorder.emit

    def emit(self: Recorder, kind: str, /, **fields: Any) -> Any:
        if kind == "compression.decided":
            fields["reason"] = ""
        return real(self, kind, **fields)

    Recorder.emit = emit  # type: ignore[method-assign]


@flaw("Q-11")
def quiesces_everybody() -> None:
    """Quiesces volumes that nobody has attached, by attaching them."""
    real = methods.run_quiesced

    def run(core: Any, running: Any, end: Any, method: str, arguments: dict[str, Any], subject: Any) -> Any:
        if method == "create_snapshot":
            attachment = core._attach(end.backend, subject.id)
            attachment.gate.hold("everybody", core.policy.quiesce_within_ns, core.policy.max_hold_ns)
            attachment.gate.release("everybody")
            attachment.detach()
        return real(core, running, end, method, arguments, subject)

    methods.run_quiesced = run
