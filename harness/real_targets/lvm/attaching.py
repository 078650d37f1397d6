"""Volumes as hosts attach them: exported by the driver under test, written and read through LIO over iSCSI."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from harness.real_targets.iscsi.attachment import IscsiAttachment
from harness.real_targets.iscsi.session import Login
from harness.real_targets.iscsi.target import host_name
from harness.storage import BLOCK
from harness.testbed import Exporter

from .group import GroupStore
from .node import Node


class Touched:
    """The blocks that some host has written in this run, on whatever volume."""

    def __init__(self) -> None:
        self._blocks: dict[int, None] = {}

    def note(self, offset: int, length: int) -> None:
        """Bytes are about to be written."""
        for block in range(offset // BLOCK, -(-(offset + length) // BLOCK)):
            self._blocks[block] = None

    def blocks(self) -> list[int]:
        """All of them, ascending."""
        return sorted(self._blocks.copy())


class ExportedVolume:
    """A volume of the group, as far as attachments need it: by id, with the ways in that the driver has opened.

    `exporter` and `connection` are asked for when they are needed, so that a driver that was started anew takes over.
    """

    kind = "volume"

    def __init__(
        self,
        volume_id: str,
        store: GroupStore,
        exporter: Callable[[], Exporter],
        connection: Callable[[], Node],
        touched: Touched,
    ) -> None:
        self.id = volume_id
        self._store = store
        self._exporter = exporter
        self._connection = connection
        self.touched = touched
        self._guard = threading.Lock()
        self._lun = 0
        self._logins: dict[str, Login] = {}
        self._uses: dict[str, int] = {}

    @property
    def size(self) -> int:
        """Bytes, as LVM has it."""
        return self._store.size_of(self.id)

    @property
    def lun(self) -> int:
        """The logical unit number that the driver named."""
        return self._lun

    def is_there(self) -> bool:
        """Whether the volume's device is there."""
        return bool(self._store.machine.ask("exists", path=f"/dev/{self._store.group}/volume-{self.id}"))

    def extents(self) -> Iterator[tuple[int, int]]:
        """The blocks that anybody has written in this run, on whatever volume: no other holds data."""
        for block in self.touched.blocks():
            yield block * BLOCK, BLOCK

    def export(self) -> ExportedVolume:
        """It is exported when a host logs in."""
        return self

    def login(self, host: str) -> Login:
        """How a host logs in; the driver is asked the first time."""
        with self._guard:
            if host not in self._logins:
                found = self._exporter().attach(self._connection(), self.id, _connector(host))
                self._lun = int(found["target_lun"])
                self._logins[host] = Login(
                    found["target_portal"], found["target_iqn"], host_name(host),
                    found["auth_username"], found["auth_password"], host,
                )  # fmt: skip
            return self._logins[host]

    def use(self, host: str) -> None:
        """One more attachment of a host."""
        with self._guard:
            self._uses[host] = self._uses.get(host, 0) + 1

    def leave(self, host: str) -> None:
        """One less, also where it did not come about; the driver takes the access away that it gave for the last."""
        with self._guard:
            self._uses[host] -= 1
            if self._uses[host] or self._logins.pop(host, None) is None:
                return
            self._exporter().detach(self._connection(), self.id, _connector(host), last=not self._logins)


class LvmAttachment(IscsiAttachment):
    """See `IscsiAttachment`; the logical unit is the one that the driver named."""

    _volume: ExportedVolume  # type: ignore[assignment]
    _is_out = False

    @property
    def lun(self) -> int:
        """See `IscsiAttachment.lun`."""
        return self._volume.lun

    def put(self, offset: int, data: bytes) -> None:
        """See `WallAttachment.put`."""
        self._volume.touched.note(offset, len(data))
        super().put(offset, data)

    def put_many(self, pieces: list[tuple[int, bytes]]) -> None:
        """See `SessionAttachment.put_many`."""
        for offset, data in pieces:
            self._volume.touched.note(offset, len(data))
        super().put_many(pieces)

    def log_out(self) -> None:
        """See `WallAttachment.log_out`; the driver takes the host's access away."""
        already_out = self._is_out
        self._is_out = True
        super().log_out()
        if not already_out:
            self._volume.leave(self.host)


def _connector(host: str) -> dict[str, str]:
    """What os-brick would say of a host."""
    return {"initiator": host_name(host), "host": host, "ip": "192.0.2.1", "platform": "x86_64", "os_type": "linux"}
