"""The journal of the taskflow: flows, their steps, and how to undo them. It outlives the taskflow that wrote it.

The undoing of a step is written down before the step is taken, as data, so that another taskflow can carry it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FlowState = Literal["running", "done", "undone"]


@dataclass(frozen=True)
class Undo:
    """One way back. `action` names it, `arguments` are ids and names; carrying it out twice is harmless.

    Actions: `delete_volume` (backends, id), `delete_snapshot` (backend, id), `release` (volume),
    `restore_status` (id, status), `forget` (id).
    """

    action: str
    arguments: dict[str, Any]


@dataclass
class FlowRecord:
    """One flow as the journal holds it.

    `undo` is in the order of the steps, `completes` the ids that become available at the end. `request_id`,
    `handle`, `backend`, `scope` and `started_ns` tell of the activity under way: the request, the handle once known,
    whose it is, where the handle works, and when it was started.
    """

    id: str
    kind: str
    arguments: dict[str, Any]
    state: FlowState = "running"
    undo: list[Undo] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    completes: list[str] = field(default_factory=list)
    request_id: str | None = None
    handle: str | None = None
    backend: str | None = None
    scope: str | None = None
    started_ns: int | None = None


class Journal:
    """Flows in the order of their start."""

    def __init__(self) -> None:
        self.flows: list[FlowRecord] = []

    def begin(self, kind: str, arguments: dict[str, Any]) -> FlowRecord:
        """Write a new flow down."""
        record = FlowRecord(f"{kind}-{len(self.flows) + 1}", kind, arguments)
        self.flows.append(record)
        return record

    def unfinished(self) -> list[FlowRecord]:
        """The flows that neither ended well nor were undone."""
        return [flow for flow in self.flows if flow.state == "running"]
