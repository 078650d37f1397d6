"""What the testbeds `tgt` and `lio` share: backends behind a real iSCSI target each.

What is real: the target, the initiator's sessions with CHAP, every byte that hosts write and read, the copying
processes on the target's machine, and the breaks of connections. What is modelled: the job table, since neither target
has jobs of its own; the agent beside the target keeps it, and knows callers by initiator name and CHAP account. The
calls of a driver go to the agent directly, and only while its session with the target stands.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.real_targets.backing.bed import WallTestbed
from harness.real_targets.backing.options import JOBS_MODELLED, read_breaks

from .backend import BREAKS, IscsiBackend
from .exported import ExportedStore
from .libiscsi import library
from .target import Target


class IscsiTestbed(WallTestbed[IscsiBackend]):
    """Its options, beside the common ones: `breaks` says who breaks connections, "socket" (the default) or "target"."""

    evidence_note: str = JOBS_MODELLED
    more_options: ClassVar[tuple[str, ...]] = ("breaks",)
    breaks = BREAKS[0]
    targets: Mapping[str, Target]

    @classmethod
    @abc.abstractmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing."""

    @abc.abstractmethod
    def start_targets(self, directory: Path, backends: list[str]) -> Mapping[str, Target]:
        """Start the targets of the backends; `directory` is theirs. Raises `NotInstalled`."""

    def read_more(self, options: Mapping[str, Any]) -> None:
        """See `WallTestbed.read_more`."""
        self.breaks = read_breaks(options, BREAKS)

    def prepare(self, directories: Mapping[str, Path]) -> None:
        """See `WallTestbed.prepare`."""
        library()  # says what is missing before anything is started
        directory = self.directory / "target"
        directory.mkdir()
        self.targets = self.start_targets(directory, list(directories))

    def make_backend(self, name: str, family: str, directory: Path) -> IscsiBackend:
        """See `WallTestbed.make_backend`."""
        store = ExportedStore(self.targets[name], self.store_settings(name, family, directory))
        return IscsiBackend(self.world, store, self.engine(store), self.breaks)
