"""Quiescing: only the taskflow does it, at the hosts' attachments (specification section 2)."""

from __future__ import annotations

import _thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.recorder import Recorder
from harness.runtime import Expired, Runtime, Signal
from harness.taskflow.catalog import Catalog
from harness.taskflow.errors import QuiesceLost, QuiesceTimeout
from harness.testbed import Attachment


class Hold:
    """One quiesce of a volume: its gates, held under the name `owner`, and the flows that share it."""

    def __init__(self, volume_id: str, owner: str, attachments: list[Attachment], began_ns: int, ready: Signal[None]):
        self.volume_id = volume_id
        self.owner = owner
        self.attachments = attachments
        self.began_ns = began_ns
        self.ready = ready
        self.members: list[str] = []

    def lost_at(self) -> list[str]:
        """The hosts that have released by themselves."""
        return [a.host for a in self.attachments if not a.gate.is_held_by(self.owner)]


class Quiesces:
    """The quiesces of one taskflow, at most one for each volume: activities that overlap share it (Q-5).

    `within_ns`: how long outstanding writes may take to drain (Q-6). `limit_ns`: how long a volume is held at most,
    from the first activity's beginning (Q-3, Q-5).
    """

    def __init__(self, runtime: Runtime, recorder: Recorder, catalog: Catalog, within_ns: int, limit_ns: int) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._catalog = catalog
        self._within_ns = within_ns
        self._limit_ns = limit_ns
        self._holds: dict[str, Hold] = {}
        self._guard = _thread.allocate_lock()  # short critical sections only, never held while switching

    @contextmanager
    def held(self, volume_id: str, member: str, announce: Callable[[str], None]) -> Iterator[Hold]:
        """Hold the volume for the body, together with whoever holds it already; released when the last one ends (Q-3).

        `member` is the flow's id; `announce` is told the name under which gates are held, before they are. Raises
        `QuiesceTimeout` before the body where the volume can't be quiesced in time (Q-6), and `QuiesceLost` after a
        body that went well but found its hold gone. A volume that nobody has attached is held at no gate; who
        attaches it meanwhile joins the hold (Q-11).
        """
        hold = self._join(volume_id, member, announce)
        try:
            yield hold
            lost = hold.lost_at()
            if lost:
                raise QuiesceLost(
                    f"{volume_id} was released at {', '.join(lost)} while the method ran, after "
                    f"{self._limit_ns / 1e9:g} s; its result is not used"
                )
        finally:
            self._leave(hold, member)

    def admit(self, attachment: Attachment) -> None:
        """Let a new attachment join the quiesce of its volume, if there is one, before its host writes (Q-11)."""
        with self._guard:
            hold = self._holds.get(attachment.volume_id)
        if hold is None or hold.lost_at():
            return
        hold.ready.wait()
        left_ns = hold.began_ns + self._limit_ns - self._runtime.now()
        if left_ns <= 0:
            return
        try:
            attachment.gate.hold(hold.owner, self._within_ns, left_ns)
        except Expired:
            if self._runtime.now() < hold.began_ns + self._limit_ns:
                raise
            return
        with self._guard:
            joined = self._holds.get(attachment.volume_id) is hold
            if joined:
                hold.attachments.append(attachment)
        if not joined:  # it ended meanwhile
            attachment.gate.release(hold.owner)

    def held_for(self, volume_id: str) -> str:
        """The flows for which a volume is held, as a text; empty if it is not."""
        with self._guard:
            hold = self._holds.get(volume_id)
            return ", ".join(hold.members) if hold is not None else ""

    def _join(self, volume_id: str, member: str, announce: Callable[[str], None]) -> Hold:
        ready = self._runtime.signal(f"{volume_id} is quiesced")
        with self._guard:
            hold = self._holds.get(volume_id)
            first = hold is None or (hold.ready.is_over and bool(hold.lost_at()))
            if hold is None or first:
                attachments = self._catalog.attachments(volume_id)
                hold = self._holds[volume_id] = Hold(volume_id, member, attachments, self._runtime.now(), ready)
            hold.members.append(member)
        announce(hold.owner)
        if first:
            self._begin(hold)
        else:
            hold.ready.wait()
            self._recorder.emit("quiesce.joined", volume=volume_id, owner=hold.owner, member=member)
        return hold

    def _begin(self, hold: Hold) -> None:
        try:
            for attachment in list(hold.attachments):
                left_ns = hold.began_ns + self._limit_ns - self._runtime.now()
                attachment.gate.hold(hold.owner, self._within_ns, left_ns)
        except Expired as error:
            timeout = QuiesceTimeout(f"{error}; the method was not invoked and the volume was released")
            hold.ready.fail(timeout)
            self._end(hold)
            raise timeout from None
        if hold.attachments:
            self._recorder.emit("quiesce.begun", volume=hold.volume_id, owner=hold.owner)
        hold.ready.set(None)

    def _leave(self, hold: Hold, member: str) -> None:
        with self._guard:
            hold.members.remove(member)
            last = not hold.members
        if last:
            self._end(hold)

    def _end(self, hold: Hold) -> None:
        with self._guard:
            if self._holds.get(hold.volume_id) is hold:
                del self._holds[hold.volume_id]
        for attachment in hold.attachments:
            attachment.gate.release(hold.owner)
        if hold.attachments:
            self._recorder.emit("quiesce.ended", volume=hold.volume_id, owner=hold.owner)
