"""Quiescing: only the taskflow does it, at the hosts' attachments (specification section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.recorder import Recorder
from harness.runtime import Expired
from harness.taskflow.errors import QuiesceLost, QuiesceTimeout
from harness.testbed import Attachment


class Quiesce:
    """One hold on all attachments of a volume; `owner` names the flow that asked for it."""

    def __init__(
        self, recorder: Recorder, attachments: Sequence[Attachment], owner: str, within_ns: int, limit_ns: int
    ) -> None:
        self._recorder = recorder
        self._attachments = tuple(attachments)
        self._owner = owner
        self._within_ns = within_ns
        self._limit_ns = limit_ns

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the volume for the body; released on every exit (Q-3).

        Raises `QuiesceTimeout` before the body where it can't be quiesced in time (Q-6), and `QuiesceLost` after a
        body that went well but found its hold gone.
        """
        held: list[Attachment] = []
        try:
            for attachment in self._attachments:
                held.append(attachment)
                attachment.gate.hold(self._owner, self._within_ns, self._limit_ns)
            self._recorder.emit("quiesce.begun", volume=self._attachments[0].volume_id, owner=self._owner)
            yield
            lost = [a.host for a in self._attachments if not a.gate.is_held_by(self._owner)]
            if lost:
                raise QuiesceLost(
                    f"{self._attachments[0].volume_id} was released at {', '.join(lost)} while the method ran, after "
                    f"{self._limit_ns / 1e9:g} s; its result is not used"
                )
        except Expired as error:
            raise QuiesceTimeout(f"{error}; the method was not invoked and the volume was released") from None
        finally:
            for attachment in held:
                attachment.gate.release(self._owner)
            self._recorder.emit("quiesce.ended", volume=self._attachments[0].volume_id, owner=self._owner)
