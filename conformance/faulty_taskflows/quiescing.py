"""Taskflows that quiesce wrongly, or not at all (section Q)."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conformance.faulty_taskflows.registry import flaw, patch
from harness.gate import WriteGate
from harness.model import Snapshot
from harness.runtime import SECOND
from harness.taskflow import flow, methods, quiesce, statuses
from harness.taskflow.errors import OutcomeUnknown, QuiesceTimeout, TaskflowError
from harness.taskflow.journal import Journal
from simulated_backends.write_path import WritePath


@flaw("Q-1")
def never_quiesces() -> None:
    """Invokes unlisted methods without quiescing."""
    patch(methods, "needs_quiesce", lambda *_: False)


@flaw("Q-1")
def quiesces_by_status_only() -> None:
    """Takes the volume's status for a quiesce."""

    def begin(self: quiesce.Quiesces, hold: quiesce.Hold) -> None:
        hold.attachments.clear()
        hold.ready.set(None)

    patch(quiesce.Quiesces, "_begin", begin)


@flaw("Q-3")
def forgets_the_release() -> None:
    """Does not release the volume where the method failed."""

    @contextmanager
    def held(self: quiesce.Quiesces, volume_id: str, member: str, announce: Any) -> Iterator[quiesce.Hold]:
        hold = self._join(volume_id, member, lambda owner: None)
        yield hold
        self._leave(hold, member)

    patch(quiesce.Quiesces, "held", held)


@flaw("Q-3")
def trusts_a_lapsed_hold() -> None:
    """Does not look whether its hold still stood when the method returned."""
    patch(quiesce.Hold, "lost_at", lambda self: [])


@flaw("Q-5")
def quiesces_for_each() -> None:
    """Lets each activity hold the volume for itself, so that the next one begins while writes wait for it again."""
    real = quiesce.Quiesces._join

    def join(self: quiesce.Quiesces, volume_id: str, member: str, announce: Any) -> quiesce.Hold:
        self._holds.pop(volume_id, None)
        return real(self, volume_id, member, announce)

    patch(quiesce.Quiesces, "_join", join)


@flaw("Q-5", "Q-13")
def lets_everybody_in() -> None:
    """Looks neither at who reads nor at who changes a volume before it lets the next one begin."""
    patch(Journal, "_unfinished", lambda self: [])


@flaw("Q-13")
def restores_what_it_saw() -> None:
    """Sets the status back to what it was when the flow began, which may have been another flow's."""

    @contextmanager
    def working(self: statuses.VolumeStatuses, volume: Any, flow_id: str, status: str | None) -> Iterator[None]:
        before = volume.status
        volume.status = status or before
        yield
        volume.status = before

    patch(statuses.VolumeStatuses, "working", working)


@flaw("Q-11")
def attaches_in_the_middle() -> None:
    """Lets a host that attaches a volume write to it at once, whatever is being made of it."""
    patch(quiesce.Quiesces, "admit", lambda self, attachment: None)


@flaw("Q-4")
def drops_held_writes() -> None:
    """Loses the writes that were held: their hosts wait for ever."""
    real = WriteGate.enter

    def enter(self: WriteGate) -> None:
        if self.holding:
            self._runtime.signal("a write that was dropped").wait()
        real(self)

    patch(WriteGate, "enter", enter)


@flaw("Q-4")
def sends_held_writes_again() -> None:
    """Sends each held write once more, a second after its release, over whatever was written to its block since."""
    real = WritePath.issue

    def issue(self: WritePath, write: Any, block: int, stamp: int, *more: int) -> None:
        was_held = self.gate.holding
        real(self, write, block, stamp, *more)
        if was_held:
            self._runtime.call_later(SECOND, lambda: self.held.write(block, stamp))

    patch(WritePath, "issue", issue)


@flaw("Q-6")
def goes_on_without_quiesce() -> None:
    """Invokes the method although the volume could not be quiesced in time."""
    real = WriteGate.hold

    def hold(self: WriteGate, owner: str, within_ns: int, limit_ns: int) -> None:
        try:
            real(self, owner, within_ns, limit_ns)
        except TaskflowError:
            raise
        except Exception:
            self._recorder.emit("gate.quiesced", volume=self.volume_id, host=self.host, owner=owner)

    patch(WriteGate, "hold", hold)


@flaw("Q-11")
def quiesces_everybody() -> None:
    """Quiesces volumes that nobody has attached, by attaching them."""
    real = methods.run_quiesced

    def run(core: Any, running: Any, end: Any, method: str, arguments: dict[str, Any], subject: Any) -> Any:
        if method == "create_snapshot":
            attachment = core.host.attach(end.backend, subject.id)
            attachment.gate.hold("everybody", core.policy.quiesce_within_ns, core.policy.max_hold_ns)
            attachment.gate.release("everybody")
            attachment.detach()
        return real(core, running, end, method, arguments, subject)

    patch(methods, "run_quiesced", run)


@flaw("Q-1")
def releases_once_drained() -> None:
    """Gives the hold back as soon as outstanding writes have drained, before the method runs."""
    real = quiesce.Quiesces._begin

    def begin(self: quiesce.Quiesces, hold: quiesce.Hold) -> None:
        real(self, hold)
        for attachment in hold.attachments:
            attachment.gate.release(hold.owner)
        hold.attachments.clear()

    patch(quiesce.Quiesces, "_begin", begin)


@flaw("Q-2")
def lets_some_writes_through() -> None:
    """Holds most writes, and lets every fourth through although the volume is quiesced."""
    real = WriteGate.enter
    arrivals = itertools.count()

    def enter(self: WriteGate) -> None:
        if self.holding and next(arrivals) % 4 == 0:
            self._in_flight += 1
            return
        real(self)

    patch(WriteGate, "enter", enter)


@flaw("Q-2")
def marks_the_volume() -> None:
    """Writes a marker of its own to a volume that it has quiesced."""
    real = flow.Flow.run

    def run(self: flow.Flow, end: Any, method: str, arguments: dict[str, Any]) -> Any:
        source = arguments.get("src_vref")
        if source is not None:
            attachment = self._core.host.attach(end.backend, source.id)
            attachment.write(0, self._core.recorder.next_stamp())
            attachment.detach()
        return real(self, end, method, arguments)

    patch(flow.Flow, "run", run)


@flaw("Q-3")
def forgets_the_release_after_a_loss() -> None:
    """Releases the volume after success and after the driver's errors, but not where the connection was lost."""

    @contextmanager
    def held(self: quiesce.Quiesces, volume_id: str, member: str, announce: Any) -> Iterator[quiesce.Hold]:
        hold = self._join(volume_id, member, lambda owner: None)
        try:
            yield hold
        except OutcomeUnknown:
            raise
        except Exception:
            self._leave(hold, member)
            raise
        self._leave(hold, member)

    patch(quiesce.Quiesces, "held", held)


@flaw("Q-11")
def quiesces_for_a_snapshot() -> None:
    """Quiesces the volume of the snapshot that a method works on."""
    real = methods.run_quiesced

    def run(core: Any, running: Any, end: Any, method: str, arguments: dict[str, Any], subject: Any) -> Any:
        attachments = core.catalog.attachments(subject.volume_id) if isinstance(subject, Snapshot) else []
        for attachment in attachments:
            attachment.gate.hold("snapshot", core.policy.quiesce_within_ns, core.policy.max_hold_ns)
        answer = real(core, running, end, method, arguments, subject)
        for attachment in attachments:
            attachment.gate.release("snapshot")
        return answer

    patch(methods, "run_quiesced", run)


@flaw("Q-6")
def tells_nobody_of_the_timeout() -> None:
    """Gives the method up where the volume can't be quiesced in time, and tells the caller that all is well."""
    real = methods.run_quiesced

    def run(*arguments: Any) -> Any:
        with contextlib.suppress(QuiesceTimeout):
            return real(*arguments)
        return None

    patch(methods, "run_quiesced", run)
