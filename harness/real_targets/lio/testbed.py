"""The testbed `lio`: LIO in a virtual machine. See `harness.real_targets.iscsi.testbed` for what is real.

Beyond that the copies of connection-specific activities (snapshots, clones, volumes from snapshots, replicas) are real
EXTENDED COPY commands on the session of the driver that started them; see `foreground_copy`. Moves, reverts and backups
are copying processes in every scope.

A machine takes some seconds to come up, so one is kept for all testbeds of a process, and ends with the process.
"""

from __future__ import annotations

import atexit
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
from harness.real_targets.missing import NotInstalled, first_missing, need_program

from .foreground_copy import CopyNexus, ForegroundCopies
from .image import BuildFailed, image
from .machine import QEMU, QEMU_PACKAGE, Machine, OwnMachine
from .target import LioTarget, clear

_testbeds = itertools.count(1)
_kept: list[OwnMachine] = []


def kept_machine() -> Machine:
    """This process's machine, started now if there is none or it has ended. Raises `NotInstalled`, `TargetFailed`."""
    if _kept and not _kept[0].program.is_running:
        _kept.pop().close()
    if not _kept:
        _kept.append(OwnMachine())
        atexit.register(_kept[0].close)
    return _kept[0].machine


def _build() -> None:
    try:
        image()
    except BuildFailed as error:
        raise NotInstalled(str(error)) from error


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
        return first_missing(library, lambda: need_program(QEMU, QEMU_PACKAGE), _build)

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
        self._machine, self._realms = kept_machine(), f"{next(_testbeds)}-"
        self._lio = {name: LioTarget(self._machine, self._realms + name) for name in backends}
        return dict(self._lio)

    def clean_up(self) -> None:
        """See `WallTestbed.clean_up`."""
        targets = self.__dict__.pop("_lio", {})
        if targets:
            clear(self._machine, self._realms, targets.values())
