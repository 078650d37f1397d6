"""The journal of the taskflow: flows, their steps, and how to undo them. It outlives the taskflow that wrote it.

The undoing of a step is written down before the step is taken, as data, so that another taskflow can carry it out.
"""

from __future__ import annotations

import _thread
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.taskflow.errors import Refused

FlowState = Literal["running", "done", "undone"]


@dataclass(frozen=True)
class Undo:
    """One way back. `action` names it, `arguments` are ids and names; carrying it out twice is harmless.

    Actions: `delete_volume` (backends, id), `delete_snapshot` (backend, id), `extend` (id, size), `locate` (backends,
    id: find out at which end the volume is), `release` (volume, owner, attached_before: how many attachments had
    been made of a volume that had none when it was held, else None), `restore_status` (id), `forget` (id).
    """

    action: str
    arguments: dict[str, Any]


@dataclass
class FlowRecord:
    """One flow as the journal holds it.

    `reads` and `changes` are the ids that it works on: others may read with it, nobody changes (Q-5, Q-13).
    `undo` is in the order of the steps, `completes` the ids that become available at the end. `request_id`,
    `handle`, `backend`, `scope` and `started_ns` tell of the activity under way: the request, the handle once known,
    whose it is, where the handle works, and when it was started.
    """

    id: str
    kind: str
    arguments: dict[str, Any]
    reads: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
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
        self._open: list[FlowRecord] = []
        self._guard = _thread.allocate_lock()

    def begin(
        self, kind: str, arguments: dict[str, Any], reads: Sequence[str] = (), changes: Sequence[str] = ()
    ) -> FlowRecord:
        """Write a new flow down, that reads and changes the objects of those ids.

        Raises `Refused` while another flow works on one of them, unless both only read it (Q-5, Q-13).
        """
        with self._guard:
            for other in self._unfinished():
                taken = [i for i in changes if i in other.reads or i in other.changes]
                taken += [i for i in reads if i in other.changes]
                if taken:
                    raise Refused(
                        f"{taken[0]} is busy: {other.kind} ({other.id}) works on it; wait for its end before {kind}"
                    )
            record = FlowRecord(f"{kind}-{len(self.flows) + 1}", kind, arguments, tuple(reads), tuple(changes))
            self.flows.append(record)
            self._open.append(record)
        return record

    def unfinished(self) -> list[FlowRecord]:
        """The flows that neither ended well nor were undone."""
        with self._guard:
            return list(self._unfinished())

    def _unfinished(self) -> list[FlowRecord]:
        self._open = [flow for flow in self._open if flow.state == "running"]
        return self._open
