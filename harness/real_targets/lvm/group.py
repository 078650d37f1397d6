"""A volume group in the machine: its disks, what it holds as LVM reports it, and what its volumes show.

The disks are sparse files on the host. Blocks are read in the machine, past its page cache, since hosts write past it
too. Looked at are the blocks that somebody has written in this run, on whatever volume: a volume holds nothing else,
unless bytes appear that nobody wrote.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.model import GIB
from harness.real_targets.backing.volume_file import shown_stamp
from harness.real_targets.iscsi.target import TargetFailed
from harness.real_targets.lio.machine import Machine
from harness.storage import Image, ObjectUnknown, StoredObject

from .meaning import kind_of, object_id

DISKS = 3
DISK_BYTES = 15 * GIB
"""The size of each of a group's disks: the files take what was written, and a cell may write to 16 GiB of a file."""
_COLUMNS = "lv_name,lv_size,lv_attr,origin,pool_lv,data_percent"


@dataclass(frozen=True)
class LogicalVolume:
    """A row of `lvs`: size in bytes, attributes as lvs(8) has them, the share of a pool's data that is in use."""

    name: str
    size: int
    attributes: str
    origin: str
    pool: str
    data_percent: float

    @property
    def is_pool(self) -> bool:
        """Whether thin volumes live in it."""
        return self.attributes.startswith("t")

    @property
    def is_active(self) -> bool:
        """Whether its device is there."""
        return self.attributes[4] == "a"


class GroupStore:
    """One backend's volume group; `touched` names the blocks that anybody has written, `filling` the ids of objects
    into which a copy is under way.

    `turn` is held while commands change the group, or somebody looks at it: so nobody is in the way of a removal.
    """

    def __init__(
        self,
        machine: Machine,
        name: str,
        family: str,
        group: str,
        directory: Path,
        touched: Callable[[], list[int]],
        filling: Callable[[], set[str]],
    ) -> None:
        self.name = name
        self.family = family
        self.group = group
        self.machine = machine
        self.turn = threading.Lock()
        self._directory = directory
        self._numbers: list[int] = []
        self._seen: list[LogicalVolume] = []
        self._touched = touched
        self._filling = filling
        self._guard = threading.Lock()

    def open(self) -> None:
        """Make the group if it is not there yet. Raises `TargetFailed`."""
        with self._guard:
            if self._numbers:
                return
            devices = []
            for place in range(DISKS):
                path = self._directory / f"disk{place}"
                with open(path, "wb") as file:
                    file.truncate(DISK_BYTES)
                number = self.machine.plug(path, f"{self.group}-{place}", writable=True, discard=True)
                self._numbers.append(number)
                devices.append(self.machine.ask("disk", number=number))
            self.must("vgcreate", self.group, *devices)

    def close(self) -> None:
        """Take everything away. Repeating it is harmless."""
        with self._guard:
            numbers, self._numbers = self._numbers, []
        if numbers:
            self.machine.ask("forget", group=self.group, prefix=self.target_prefix, numbers=numbers)
            for number in numbers:
                self.machine.unplug(number)

    @property
    def target_prefix(self) -> str:
        """What the names of this group's targets begin with."""
        return f"iqn.2010-10.org.openstack.{self.group}:"

    def must(self, *command: str) -> str:
        """Run a command of ours; returns its output. Raises `TargetFailed` unless it succeeds."""
        status, output, complaints = self.machine.ask("run", argv=list(command))
        if status:
            raise TargetFailed(f"{' '.join(command)} ended with {status}: {complaints.strip()}")
        return str(output)

    def volumes(self) -> list[LogicalVolume]:
        """What LVM reports, but for the parts of pools."""
        if not self._numbers:
            return []
        text = self.must("lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", _COLUMNS, self.group)
        rows: list[dict[str, Any]] = json.loads(text)["report"][0]["lv"]
        return [
            LogicalVolume(
                row["lv_name"],
                int(row["lv_size"]),
                row["lv_attr"],
                row["origin"],
                row["pool_lv"],
                float(row["data_percent"] or 0),
            )
            for row in rows
        ]

    def objects(self) -> tuple[StoredObject, ...]:
        """See `VolumeStore.objects`; an object into which a copy is under way is not complete."""
        filling = self._filling()
        self._seen = self.volumes()
        return tuple(sorted(self._stored(each, filling) for each in self._seen if not each.is_pool))

    def _stored(self, found: LogicalVolume, filling: set[str]) -> StoredObject:
        each, kind = object_id(found.name), kind_of(found.name, found.origin)
        return StoredObject(
            id=each,
            kind=kind,
            size=-(-found.size // GIB),
            complete=each not in filling,
            parent=object_id(found.origin) if kind == "snapshot" else None,
            identity=f"{self.target_prefix}{found.name}",
        )

    def shown(self, found: StoredObject) -> tuple[StoredObject, Image]:
        """An object that `objects` has just told of, and what it holds. Raises `ObjectUnknown`."""
        return found, self._image(self._find(found.id, self._seen))

    def size_of(self, volume_id: str) -> int:
        """The size of a volume in bytes. Raises `ObjectUnknown`."""
        return self._find(volume_id, self.volumes()).size

    def _find(self, wanted: str, among: list[LogicalVolume]) -> LogicalVolume:
        for each in among:
            if object_id(each.name) == wanted and not each.is_pool:
                return each
        raise ObjectUnknown(f"{self.name} has no volume or snapshot {wanted}")

    def _image(self, volume: LogicalVolume) -> Image:
        """What a volume holds: block → stamp."""
        with self._active(volume):
            found = self.machine.ask("blocks", device=f"/dev/{self.group}/{volume.name}", numbers=self._touched())
        stamps = {int(block): shown_stamp(int(block), base64.b64decode(data)) for block, data in found.items()}
        return {block: stamp for block, stamp in sorted(stamps.items()) if stamp is not None}

    @contextmanager
    def _active(self, volume: LogicalVolume) -> Iterator[None]:
        """While it lasts the volume's device is there; thin snapshots have none as a rule."""
        if volume.is_active:
            yield
            return
        path = f"{self.group}/{volume.name}"
        self.must("lvchange", "-ay", "-K", path)
        try:
            yield
        finally:
            self.must("lvchange", "-an", path)

    def used_bytes(self) -> int:
        """See `VolumeStore.used_bytes`: what volumes took of the group, or of their pool, at the last `objects`."""
        used = 0
        for each in self._seen:
            if each.is_pool:
                used += round(each.size * each.data_percent / 100)
            elif not each.pool:
                used += each.size
        return used
