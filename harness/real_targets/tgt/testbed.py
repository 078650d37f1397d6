"""The testbed `tgt`: one tgtd for each backend. See `harness.real_targets.iscsi.testbed` for what is real."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from harness.real_targets.backing.options import SCALED
from harness.real_targets.iscsi.libiscsi import library
from harness.real_targets.iscsi.target import Target
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.missing import first_missing, need_program
from harness.real_targets.programs import Programs

from .daemon import PACKAGE, TgtTarget


class TgtTestbed(IscsiTestbed):
    """Needs tgtd (Debian's package tgt) and libiscsi (libiscsi7), no privileges."""

    name: ClassVar[str] = "tgt"
    families: ClassVar[Mapping[str, str]] = {"primary": "tgt", "sibling": "tgt", "stranger": "foreign-tgt"}
    source: ClassVar[str] = f"{SCALED}; I/O on tgtd over iSCSI is real, the job table is modelled by an agent beside it"

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing."""
        return first_missing(library, lambda: need_program("tgtd", PACKAGE), lambda: need_program("tgtadm", PACKAGE))

    def start_targets(self, directory: Path, backends: list[str]) -> Mapping[str, Target]:
        """See `IscsiTestbed.start_targets`."""
        self._programs = Programs(self.directory.absolute())
        targets: dict[str, TgtTarget] = {}
        for name in backends:
            place = directory / name
            place.mkdir()
            targets[name] = TgtTarget(self._programs, place)
        for target in targets.values():
            target.await_ready()
        return targets

    def clean_up(self) -> None:
        """See `WallTestbed.clean_up`."""
        programs = getattr(self, "_programs", None)
        if programs is not None:
            programs.close()
