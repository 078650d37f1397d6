"""The testbed `lio`: LIO of this host or of a virtual machine; `harness.real_targets.iscsi.testbed` says what is real.

Beyond that the copies of connection-specific activities (snapshots, clones, volumes from snapshots, replicas) are real
EXTENDED COPY commands on the session of the driver that started them; see `foreground_copy`. Moves, reverts and backups
are copying processes in every scope.

A machine takes some seconds to come up, so one is kept for all testbeds of a process, and ends with the process. LIO of
this host can't be made to stand still: an object whose image of one moment is wanted is taken away from its hosts for
that moment, and they come back, as after a move.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.backend_jobs import JobEngine
from harness.names import did_you_mean
from harness.real_targets.backing.options import SCALED
from harness.real_targets.iscsi.libiscsi import library
from harness.real_targets.iscsi.session import Session
from harness.real_targets.iscsi.target import Target
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.missing import first_missing

from .choice import KeptPlace, Where
from .foreground_copy import CopyNexus, ForegroundCopies
from .target import LioTarget, clear

_testbeds = itertools.count(1)
KEPT = KeptPlace()
"""Where LIO runs for this process's testbeds."""


class LioTestbed(IscsiTestbed):
    """Needs libiscsi (Debian's package libiscsi7), and root on a host that has LIO and rtslib-fb, or without privileges
    QEMU (qemu-system-x86) and Debian's package lists.

    Its option beside those of `IscsiTestbed`: `where`, "host", "machine" or "auto", the default: the host if it can be.
    """

    name: ClassVar[str] = "lio"
    families: ClassVar[Mapping[str, str]] = {"primary": "lio", "sibling": "lio", "stranger": "foreign-lio"}
    scale: ClassVar[int] = 4
    source: ClassVar[str] = (
        f"{SCALED}; I/O on LIO over iSCSI is real, and so are copies of connection-specific activities (EXTENDED COPY"
        " on the caller's session); the job table is modelled by an agent beside it"
    )

    more_options: ClassVar[tuple[str, ...]] = (*IscsiTestbed.more_options, "where")

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing. Builds the image, so that it is there."""
        return first_missing(library, KEPT.choose)

    def read_more(self, options: Mapping[str, Any]) -> None:
        """See `WallTestbed.read_more`; starts LIO where it is to run, so that evidence can tell where that is."""
        super().read_more(options)
        known = [str(each) for each in Where]
        where = options.get("where", Where.AUTO)
        if where not in known:
            raise ValueError(f"where can't be {where!r}; {did_you_mean(str(where), known)}")
        library()  # says what is missing before anything is started
        self.place = KEPT.place(Where(where))
        self.evidence_note = f"{type(self).evidence_note}; {self.place.describe()}"

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
        self._realms = f"{self.place.mark}{next(_testbeds)}-"
        self._lio = {name: LioTarget(self.place, self._realms + name) for name in backends}
        return dict(self._lio)

    def clean_up(self) -> None:
        """See `WallTestbed.clean_up`."""
        targets = self.__dict__.pop("_lio", {})
        if targets:
            clear(self.place, self._realms, targets.values())
