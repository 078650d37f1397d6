"""The testbed `lvm`: Cinder's own LVM driver on real LVM and real LIO, in the virtual machine of the testbed `lio`.

What is real: the commands, which run in the machine as the driver gives them; LVM, device-mapper and `dd`; the export,
by the driver's own code and Cinder's own cinder-rtstool; every byte that hosts write and read over iSCSI. What is
played: Cinder's volume manager and its database, as everywhere where drivers are hosted (`harness/cinder/README.md`).
A backend is a volume group on a disk of its own, whose file is on the host; all are in one machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from harness.real_targets.backing.bed import WallTestbed
from harness.real_targets.backing.options import SCALED
from harness.real_targets.iscsi.libiscsi import library
from harness.real_targets.lio.kept import KeptMachine
from harness.real_targets.missing import first_missing
from harness.runtime import SECOND
from harness.testbed import Capability, Profile

from .attaching import Touched
from .backend import LvmBackend
from .group import GroupStore
from .image import extras
from .node import Processes

COPY_NS = 20 * SECOND
"""Nanoseconds for a copy of one GiB with dd in the machine, in the worst case."""
_numbers = itertools.count(1)
KEPT = KeptMachine(extras)
"""The machine with LVM of this process's testbeds."""


class LvmTestbed(WallTestbed[LvmBackend]):
    """Needs what `lio` needs, and Cinder. For Cinder's LVM driver and classes derived from it alone.

    There are no jobs that could fail on request, volumes do not move under their writers, and no backend of another
    family is there: checks that need one of these are unverifiable.
    """

    name: ClassVar[str] = "lvm"
    families: ClassVar[Mapping[str, str]] = {"primary": "lvm", "sibling": "lvm"}
    scale: ClassVar[int] = 20
    source: ClassVar[str] = f"{SCALED}; LVM, dd and LIO are real, in a machine that an emulator runs"
    offers: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CONNECTION_BREAK, Capability.DRAIN_STALL, Capability.CALLER_PAUSE}
    )
    faults: ClassVar[frozenset[str]] = frozenset({"connection.break", "drain.stall", "caller.pause"})
    check_within_s: ClassVar[float] = 600.0
    """Seconds that a check may take: a command takes a good part of one, and a driver gives many."""

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing. Builds the image, so that it is there."""
        return first_missing(library, KEPT.need)

    def prepare(self, directories: Mapping[str, Path]) -> None:
        """See `WallTestbed.prepare`."""
        library()  # says what is missing before anything is started
        self.profile: Profile = replace(
            self.profile, whole_copy_ns=COPY_NS, max_hold_ns=60 * SECOND, quiesce_timeout_ns=30 * SECOND
        )
        self._machine = KEPT.machine()
        self._number = next(_numbers)
        self._touched = Touched()

    def make_backend(self, name: str, family: str, directory: Path) -> LvmBackend:
        """See `WallTestbed.make_backend`; the volume group is made when somebody connects."""
        processes = Processes(self.runtime, self.recorder, name)
        group = f"{name}-{self._number}"
        store = GroupStore(self._machine, name, family, group, directory, self._touched.blocks, processes.filling)
        return LvmBackend(self.world, store, processes, self._touched)

    def clean_up(self) -> None:
        """See `WallTestbed.clean_up`."""
        backends: Mapping[str, Any] = self._backends
        for backend in backends.values():
            backend.store.close()
