"""The run of a schedule, as far as it has come: what its callers did, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.lab import Lab
from conformance.schedules.plan import Deed, Plan
from harness.backup_store import ImageService
from harness.model import Volume
from harness.recorder import Event
from harness.runtime import Signal, Task
from harness.storage import Image


@dataclass
class Done:
    """What came of a deed: the id that it made, what it was made from, the image that it was to equal where that is
    known, whether its caller was told that it went well, the error that it ended with if any, and what a stranger was
    told of a handle and of none."""

    deed: Deed
    made: str = ""
    source: str = ""
    went_well: bool = False
    expected: Image | None = None
    error: BaseException | None = None
    told: tuple[str, str] | None = None


@dataclass
class Stage:
    """The run of a schedule, as far as it has come. `refused`: the stamps of writes for which a pool had no room."""

    lab: Lab
    plan: Plan
    enough: Signal[None]
    volumes: list[Volume] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    images: ImageService = field(default_factory=ImageService)
    writers: list[Task[None]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    deaths: int = 0
    first_event: int = 0

    _by_kind: dict[str, list[Event]] = field(default_factory=dict)
    _indexed: int = 0

    @property
    def faults(self) -> Sequence[Event]:
        """The faults that have happened."""
        return self.events("fault")

    def events(self, kind: str, **fields: Any) -> Sequence[Event]:
        """The events of a kind since the stage was set, with those fields."""
        if self._indexed != len(self.lab.recorder.events):
            self._index()
        found = self._by_kind.get(kind, ())
        if not fields or not found:
            return found
        return [e for e in found if all(e.fields.get(name) == value for name, value in fields.items())]

    def _index(self) -> None:
        """Sort by kind what has been recorded since the last call."""
        events = self.lab.recorder.events
        for event in events[max(self._indexed, self.first_event) :]:
            self._by_kind.setdefault(event.kind, []).append(event)
        self._indexed = len(events)
