"""The port of a place where LIO runs: what `LioTarget` and the command line need of it, wherever that is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol


class Place(Protocol):
    """A kernel with LIO, and the agent there (`lio_agent.py`). Methods raise `TargetFailed`.

    `where` names the kind of place, `portal` is the "address:port" at which its targets listen. What is made there has
    names with the `mark`, which is "" where nobody else makes anything. `stands_still` says whether `stopped` is
    offered.
    """

    where: ClassVar[str]
    stands_still: ClassVar[bool]
    portal: str
    mark: str

    def describe(self) -> str:
        """What a reader of evidence is told of it: "LIO 6.1.0 of this host", say."""

    def ask(self, do: str, **arguments: Any) -> Any:
        """Let the agent do something and return its answer."""

    def plug(self, path: Path, serial: str, writable: bool) -> Any:
        """Make a file known there; returns what the agent calls it, its `disk`."""

    def unplug(self, *disks: Any) -> None:
        """Take files back; the agent has forgotten the disks already."""

    def close(self) -> None:
        """Let go of it; what was made there of this process's own, on a host, is removed. Repeating it is harmless."""

    def stopped(self) -> AbstractContextManager[None]:
        """While it lasts LIO carries nothing out; what it has acknowledged is in the files."""
