"""LIO, wherever it runs; implements `harness.real_targets.iscsi.target.Target`.

The backing files are on this host. A virtual machine has them as disks, which come and go with what is exported; LIO of
this host has the files themselves. So this host is the target's shelf in both cases: here the jobs copy.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from harness.real_targets.iscsi.target import AUTHORITY, LUN, Nexus, TargetFailed

from .place import Place


class LioTarget:
    """One backend's share of a place: the targets whose names have its `realm`, which has to begin with the mark of the
    place."""

    tells_sessions_apart = False
    """LIO names the initiators of a target's sessions, no more."""

    def __init__(self, place: Place, realm: str) -> None:
        self.portal = place.portal
        self.stands_still = place.stands_still
        self.realm = realm
        self._place = place
        self._prefix = f"{AUTHORITY}:{realm}:"
        self._guard = threading.Lock()
        self._disks: dict[tuple[str, int], Any] = {}  # target, logical unit; None while it is being made

    def create(self, name: str, user: str, password: str) -> None:
        """See `Target.create`."""
        address, _, port = self.portal.rpartition(":")
        self._place.ask("create", name=name, user=user, password=password, address=address, port=int(port))

    def destroy(self, name: str) -> None:
        """See `Target.destroy`."""
        self._place.ask("destroy", name=name)

    def attach_file(self, name: str, path: Path, serial: str, writable: bool) -> None:
        """See `Target.attach_file`."""
        self.add_unit(name, path, serial, writable)

    def detach_file(self, name: str) -> None:
        """See `Target.detach_file`."""
        self.remove_unit(name, LUN)

    def add_unit(self, name: str, path: Path, serial: str, writable: bool) -> int:
        """Export a file as one more logical unit of a target; returns its number, `LUN` being the first."""
        with self._guard:
            lun = next(number for number in itertools.count(LUN) if (name, number) not in self._disks)
            self._disks[name, lun] = None
        disk = None
        try:
            disk = self._place.plug(path, serial, writable)
            self._place.ask("attach", name=name, lun=lun, disk=disk, serial=serial, writable=writable)
        except BaseException:
            with self._guard:
                del self._disks[name, lun]
            if disk is not None:
                with contextlib.suppress(TargetFailed):  # what was made of it on the way
                    self._place.ask("clear", prefix="no target", disks=[disk])
                self._place.unplug(disk)
            raise
        with self._guard:
            self._disks[name, lun] = disk
        return lun

    def remove_unit(self, name: str, lun: int) -> None:
        """Take a logical unit away; returns once no command works on the file any more, and none will."""
        with self._guard:
            disk = self._disks.pop((name, lun))
        self._place.ask("detach", name=name, lun=lun, disk=disk)
        assert disk is not None
        self._place.unplug(disk)

    def frozen(self) -> AbstractContextManager[None]:
        """See `Target.frozen`: a machine stands still as a whole, and what it has begun to write is written."""
        return self._place.stopped()

    def sessions(self, name: str = "") -> list[Nexus]:
        """See `Target.sessions`."""
        found = self._place.ask("sessions", name=name or "iqn.*")
        return [Nexus(target, initiator) for target, initiator in found if target.startswith(self._prefix)]

    def drop(self, nexus: Nexus) -> None:
        """See `Target.drop`: the portal group of the session's target is disabled, and enabled again."""
        self._place.ask("drop", name=nexus.target)

    def let_go(self) -> list[Any]:
        """Forget what is exported, and return the disks that the place has for it."""
        with self._guard:
            disks, self._disks = [disk for disk in self._disks.values() if disk is not None], {}
        return disks


def clear(place: Place, realms: str, targets: Iterable[LioTarget]) -> None:
    """Take everything away that these targets export; their realms, and no others, begin with `realms`."""
    disks = [disk for target in targets for disk in target.let_go()]
    place.ask("clear", prefix=f"{AUTHORITY}:{realms}", disks=disks)
    place.unplug(*disks)
