"""Flaws of the taskflow that are seen by single checks only, beside those of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from conformance import runner
from conformance.faulty_taskflows.registry import patch
from harness.activity import HandleScope
from harness.attributes import Publication
from harness.compression import Decision
from harness.gate import WriteGate
from harness.taskflow import backup, flow, quiesce
from harness.taskflow.errors import OutcomeUnknown


def compresses_unasked() -> None:
    """Takes every driver for one that compresses, published or not."""

    def choose(acceptable: Sequence[str], *rest: Any, **more: Any) -> Decision:
        return Decision("driver", "zlib", None, "surely every array can")

    patch(backup, "negotiate", choose)


def reaches_every_handle() -> None:
    """Takes handles of which nothing is published for unrestricted ones."""
    scope = property(
        lambda self: HandleScope.UNRESTRICTED if self.is_default("handle_scope") else self.__dict__["handle_scope"],
        lambda self, value: self.__dict__.__setitem__("handle_scope", value),
    )
    Publication.handle_scope = scope  # type: ignore[assignment]


def keeps_the_hold_of_success() -> None:
    """Releases a volume where something went wrong only."""

    @contextmanager
    def held(self: quiesce.Quiesces, volume_id: str, member: str, announce: Any) -> Iterator[quiesce.Hold]:
        hold = self._join(volume_id, member, announce)
        try:
            yield hold
        except BaseException:
            self._leave(hold, member)
            raise

    patch(quiesce.Quiesces, "held", held)


def holds_without_limit() -> None:
    """Hosts hold a volume's writes until somebody releases them."""
    patch(WriteGate, "_expire", lambda *_: None)


def undoes_the_cut_over() -> None:
    """Still undoes the copy that a host made once that copy is the volume."""
    patch(flow.Flow, "replace_undo", lambda *_, **__: None)


def takes_a_loss_for_success() -> None:
    """Takes a replication of which nobody knows how it ended for one that went well."""
    real = flow.Flow.run

    def run(self: flow.Flow, end: Any, method: str, arguments: dict[str, Any]) -> Any:
        try:
            return real(self, end, method, arguments)
        except OutcomeUnknown:
            if method != "replicate_snapshot":
                raise
            return None

    patch(flow.Flow, "run", run)


FLAWS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    each.__name__: (each, clauses)
    for each, clauses in (
        (compresses_unasked, ("A-4",)),
        (reaches_every_handle, ("A-4",)),
        (keeps_the_hold_of_success, ("Q-3",)),
        (holds_without_limit, ("Q-3",)),
        (undoes_the_cut_over, ("R-12",)),
        (takes_a_loss_for_success, ("R-9",)),
    )
}
"""What breaks the taskflow of its process, for good, and the clauses that forbid it."""

_broken: list[str] = []


def run_check(flaw_name: str, **arguments: Any) -> dict[str, Any]:
    """Run one check with a taskflow broken so, in a cell of its own."""
    if not _broken:
        FLAWS[flaw_name][0]()
        _broken.append(flaw_name)
    return runner.run_check(**arguments)
