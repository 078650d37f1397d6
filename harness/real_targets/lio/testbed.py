"""The testbed `lio`: LIO in a virtual machine. See `harness.real_targets.iscsi.testbed` for what is real.

Beyond that the copies of connection-specific activities (snapshots, clones, volumes from snapshots, replicas) are real
EXTENDED COPY commands on the session of the driver that started them; see `foreground_copy`. Moves, reverts and backups
are copying processes in every scope.

A machine takes some seconds to come up, so one is kept for all testbeds of a process, and ends with the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.backend_jobs import JobEngine
from harness.real_targets.backing.options import SCALED
from harness.real_targets.iscsi.libiscsi import library
from harness.real_targets.iscsi.session import Session
from harness.real_targets.iscsi.target import Target
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.missing import first_missing

from .foreground_copy import CopyNexus, ForegroundCopies
from .kept import KeptMachine
from .target import LioTarget, clear

_testbeds = itertools.count(1)
KEPT = KeptMachine()
"""The machine of this process's testbeds."""


class LioTestbed(IscsiTestbed):
    """Needs QEMU (Debian's package qemu-system-x86), libiscsi (libiscsi7) and Debian's package lists, no privileges."""

    name: ClassVar[str] = "lio"
    families: ClassVar[Mapping[str, str]] = {"primary": "lio", "sibling": "lio", "stranger": "foreign-lio"}
    scale: ClassVar[int] = 4
    source: ClassVar[str] = (
        f"{SCALED}; I/O on LIO over iSCSI is real, and so are copies of connection-specific activities (EXTENDED COPY"
        " on the caller's session); the job table is modelled by an agent beside it"
    )

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing. Builds the image, so that it is there."""
        return first_missing(library, KEPT.need)

    def make_engine(self, backend: str, *arguments: Any) -> JobEngine:
        """See `WallTestbed.make_engine`; LIO itself makes the copies of connection-specific activities."""
        return ForegroundCopies(lambda connection_id: self._copy_nexus(backend, connection_id), *arguments)

    def _copy_nexus(self, backend: str, connection_id: str) -> CopyNexus:
        connection = self.backend(backend).connection(connection_id)
        assert isinstance(connection.session, Session)
        loss = self.profile.loss
        retained_ns = loss.detection_ns + loss.time2wait_ns + loss.time2retain_ns
        return CopyNexus(self._lio[backend], connection.session, retained_ns)

    def start_targets(self, directory: Path, backends: list[str]) -> Mapping[str, Target]:
        """See `IscsiTestbed.start_targets`."""
        self._machine, self._realms = KEPT.machine(), f"{next(_testbeds)}-"
        self._lio = {name: LioTarget(self._machine, self._realms + name) for name in backends}
        return dict(self._lio)

    def clean_up(self) -> None:
        """See `WallTestbed.clean_up`."""
        targets = self.__dict__.pop("_lio", {})
        if targets:
            clear(self._machine, self._realms, targets.values())
