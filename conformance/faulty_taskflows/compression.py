"""Taskflows that choose or compress wrongly (section C)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.faulty_taskflows.registry import flaw, patch
from harness.compression import canonical, negotiate
from harness.recorder import Recorder
from harness.taskflow import backup


@flaw("C-1")
def takes_the_last_technique() -> None:
    """Chooses the caller's last choice instead of the first."""
    real = negotiate
    patch(backup, "negotiate", lambda acceptable, *rest, **more: real(list(acceptable)[::-1], *rest, **more))


@flaw("C-2", "C-7")
def never_compresses() -> None:
    """Leaves compressing to the driver, whether it can or not."""
    patch(backup.CompressingSink, "write", lambda self, *chunk: self.inner.write(*chunk))


@flaw("C-3")
def compresses_twice() -> None:
    """Compresses what is compressed already."""
    real = backup.CompressingSink.write

    def write(self: Any, offset: int, length: int, label: str, payload: bytes) -> None:
        real(self, offset, length, label, self._codec.compress(payload))

    patch(backup.CompressingSink, "write", write)


@flaw("C-4")
def decides_silently() -> None:
    """Records no reason for the decision."""
    real = Recorder.emit

    def emit(self: Recorder, kind: str, /, **fields: Any) -> Any:
        if kind == "compression.decided":
            fields["reason"] = ""
        return real(self, kind, **fields)

    patch(Recorder, "emit", emit)


@flaw("C-1")
def ignores_the_limits() -> None:
    """Chooses a technique without regard to the caller's limits."""
    real = negotiate

    def choose(acceptable: Any, published: Any, figures: Any, limits: Any = None, **more: Any) -> Any:
        return real(acceptable, published, figures, None, **more)

    patch(backup, "negotiate", choose)


@flaw("C-4")
def decides_afterwards() -> None:
    """Records the decision once the driver has returned."""
    real = Recorder.emit
    put_off: list[dict[str, Any]] = []

    def emit(self: Recorder, kind: str, /, **fields: Any) -> Any:
        if kind == "compression.decided":
            put_off.append(fields)
            return None
        event = real(self, kind, **fields)
        if kind == "method.returned" and put_off:
            real(self, "compression.decided", **put_off.pop())
        return event

    patch(Recorder, "emit", emit)


@flaw("C-2")
def asks_for_what_is_not_published() -> None:
    """Has the driver compress with the caller's first choice, though the driver does not publish it."""
    real = negotiate

    def choose(acceptable: Any, *rest: Any, **more: Any) -> Any:
        decision = real(acceptable, *rest, **more)
        if decision.where == "driver" or decision.technique is None:
            return decision
        return replace(decision, where="driver", technique=decision.taskflow_technique, taskflow_technique=None)

    patch(backup, "negotiate", choose)


@flaw("C-2", "C-7")
def compresses_with_its_favourite() -> None:
    """Compresses, where the driver does not, with zstd, whatever the caller accepts."""
    real = backup.CompressingSink.__init__

    def begin(self: Any, inner: Any, technique: str, *rest: Any) -> None:
        real(self, inner, "zstd", *rest)

    patch(backup.CompressingSink, "__init__", begin)


@flaw("C-3")
def labels_as_it_was_delivered() -> None:
    """Compresses what the driver delivered, and stores it under the label that it came with."""

    def write(self: Any, offset: int, length: int, label: str, payload: bytes) -> None:
        compressed = self._codec.compress(payload) if canonical(label) == "none" else payload
        self.inner.write(offset, length, label, compressed)

    patch(backup.CompressingSink, "write", write)
