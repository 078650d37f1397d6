"""Taskflows that take a publication for what it is not (section A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.faulty_taskflows.registry import flaw, patch
from harness import compression
from harness.compression import TECHNIQUES, Decision, negotiate
from harness.taskflow import backup, methods, replicate
from harness.taskflow.ends import DriverEnd


@flaw("A-4")
def takes_silence_for_consent() -> None:
    """Takes a driver that publishes no list of stateless activities for one that needs no quiesce."""
    real = methods.needs_quiesce

    def needs_quiesce(end: DriverEnd, method: str, subject: Any) -> bool:
        return not end.publication.is_default("stateless_activities") and real(end, method, subject)

    patch(methods, "needs_quiesce", needs_quiesce)


@flaw("A-4")
def replicates_where_it_can() -> None:
    """Replicates natively wherever both drivers have the hook, published or not."""

    def is_native(source: DriverEnd, destination: DriverEnd) -> bool:
        both = source.implements(replicate.HOOK) and destination.implements(replicate.HOOK)
        return both and source.family == destination.family

    patch(replicate.Replication, "is_native", staticmethod(is_native))


@flaw("A-8")
def asks_for_what_nobody_knows() -> None:
    """Calls the driver with the caller's first technique, whether it is one or not."""

    def choose(acceptable: Sequence[str], *rest: Any, **more: Any) -> Decision:
        return Decision("driver", acceptable[0], None, "the caller wants it")

    patch(backup, "negotiate", choose)


@flaw("A-8")
def compares_techniques_by_spelling() -> None:
    """Knows techniques by their canonical names only."""
    patch(compression, "canonical", lambda name: name if name in TECHNIQUES else None)


@flaw("A-10")
def one_list_for_all() -> None:
    """Goes by the first driver's list of stateless activities, whichever driver it invokes."""

    real = methods.run_quiesced

    def run(core: Any, running: Any, end: DriverEnd, method: str, arguments: dict[str, Any], subject: Any) -> Any:
        first = next(iter(core.ends.values()))
        judged = methods.needs_quiesce
        patch(methods, "needs_quiesce", lambda _, *rest: judged(first, *rest))
        try:
            return real(core, running, end, method, arguments, subject)
        finally:
            patch(methods, "needs_quiesce", judged)

    patch(methods, "run_quiesced", run)


@flaw("A-10")
def judges_by_class() -> None:
    """Reads the publication of a class once, and compresses for each of its instances by that."""
    real = negotiate
    first: dict[str, Sequence[str]] = {}

    def choose(acceptable: Sequence[str], published: Sequence[str], *rest: Any, **more: Any) -> Decision:
        return real(acceptable, first.setdefault("techniques", published), *rest, **more)

    patch(backup, "negotiate", choose)
