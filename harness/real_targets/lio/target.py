"""LIO in the virtual machine; implements `harness.real_targets.iscsi.target.Target`.

The backing files are on the host. The machine has them as disks, which come and go with what is exported, so the host
that runs the machine is the target's shelf: there the jobs copy.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from harness.real_targets.iscsi.target import AUTHORITY, LUN, Nexus, TargetFailed

from .machine import ISCSI_PORT, Machine


class LioTarget:
    """One backend's share of a machine: the targets whose names have its `realm`."""

    tells_sessions_apart = False
    """LIO names the initiators of a target's sessions, no more."""

    def __init__(self, machine: Machine, realm: str) -> None:
        self.portal = machine.portal
        self.realm = realm
        self._machine = machine
        self._prefix = f"{AUTHORITY}:{realm}:"
        self._guard = threading.Lock()
        self._disks: dict[tuple[str, int], int | None] = {}  # target, logical unit; None while it is being made

    def create(self, name: str, user: str, password: str) -> None:
        """See `Target.create`."""
        address = self._machine.address
        self._machine.ask("create", name=name, user=user, password=password, address=address, port=ISCSI_PORT)

    def destroy(self, name: str) -> None:
        """See `Target.destroy`."""
        self._machine.ask("destroy", name=name)

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
            disk = self._machine.plug(path, serial, writable)
            self._machine.ask("attach", name=name, lun=lun, disk=disk, serial=serial, writable=writable)
        except BaseException:
            with self._guard:
                del self._disks[name, lun]
            if disk is not None:
                with contextlib.suppress(TargetFailed):  # what was made of it on the way
                    self._machine.ask("clear", prefix="no target", disks=[disk])
                self._machine.unplug(disk)
            raise
        with self._guard:
            self._disks[name, lun] = disk
        return lun

    def remove_unit(self, name: str, lun: int) -> None:
        """Take a logical unit away; returns once no command works on the file any more, and none will."""
        with self._guard:
            disk = self._disks.pop((name, lun))
        self._machine.ask("detach", name=name, lun=lun, disk=disk)
        assert disk is not None
        self._machine.unplug(disk)

    def frozen(self) -> AbstractContextManager[None]:
        """See `Target.frozen`: the whole machine stands still, and what it has begun to write is written."""
        return self._machine.stopped()

    def sessions(self, name: str = "") -> list[Nexus]:
        """See `Target.sessions`."""
        found = self._machine.ask("sessions", name=name or "iqn.*")
        return [Nexus(target, initiator) for target, initiator in found if target.startswith(self._prefix)]

    def drop(self, nexus: Nexus) -> None:
        """See `Target.drop`: the portal group of the session's target is disabled, and enabled again."""
        self._machine.ask("drop", name=nexus.target)

    def let_go(self) -> list[int]:
        """Forget what is exported, and return the disks that the machine has for it."""
        with self._guard:
            disks, self._disks = [disk for disk in self._disks.values() if disk is not None], {}
        return disks


def clear(machine: Machine, realms: str, targets: Iterable[LioTarget]) -> None:
    """Take everything away that these targets export; their realms, and no others, begin with `realms`."""
    disks = [disk for target in targets for disk in target.let_go()]
    machine.ask("clear", prefix=f"{AUTHORITY}:{realms}", disks=disks)
    machine.unplug(*disks)
