"""Volumes and snapshots that hosts see through a real target, each as the logical unit of a target of its own."""

from __future__ import annotations

import itertools
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.served import INSPECTOR, ServedFile, ServedStore, Shown, image_of
from harness.real_targets.backing.volume_file import VolumeFile
from harness.runtime import Runtime

from .session import CommandFailed, Login, Session
from .target import DATA_PASSWORD, DATA_USER, LUN, Target, host_name, object_name, serial_number

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Export:
    """Where an object is to be had now."""

    portal: str
    name: str

    def login(self, host: str) -> Login:
        """How a host logs in there."""
        return Login(self.portal, self.name, host_name(host), DATA_USER, DATA_PASSWORD, host)


class ExportedFile(ServedFile):
    """One complete object, exported by a target when somebody asks for its address first.

    `target` changes when the object moves. Lock order as for `VolumeFile`: `lock` is the innermost.
    """

    def __init__(self, target: Target, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        super().__init__(object_id, kind, parent, path)
        self.target = target
        self._export: Export | None = None

    def export(self) -> Export:
        """Where the object is to be had; exports it if it is not. Raises `ObjectUnknown`, `TargetFailed`."""
        with self.lock:
            self.descriptor()
            if self._export is None:
                name = object_name(self.target.realm, self.id, next(_NUMBERS))
                self.target.create(name, DATA_USER, DATA_PASSWORD)
                try:
                    self.target.attach_file(name, self.path, serial_number(self.id), self.kind == "volume")
                except BaseException:
                    self.target.destroy(name)
                    raise
                self._export = Export(self.target.portal, name)
            return self._export

    def look(self, whole: bool = False) -> Shown:
        """What the LUN shows, read over iSCSI; the identity is the unit serial number.

        Read are the ranges that the target says are in use, or `doubtful_ranges`; with `whole` every block.
        """
        session = Session(self.export().login(INSPECTOR))
        try:
            serial, size = session.serial_number(LUN), session.capacity(LUN)
            ranges = [(0, size)] if whole else session.mapped_ranges(LUN, size)
            if ranges is None:
                ranges = self.doubtful_ranges(size)
            image = image_of(session.read_many(LUN, ranges))
        except CommandFailed as error:  # the LUN was taken away meanwhile
            raise Unreachable(str(error)) from error
        finally:
            session.close()
        return Shown(image, f"serial:{serial}", size)

    def frozen(self) -> AbstractContextManager[None]:
        """See `ServedFile.frozen`."""
        return self.target.frozen()

    def abandon(self) -> None:
        """See `ServedFile.abandon`."""
        self._export = None

    def _let_go(self) -> None:
        if self._export is not None:
            self.target.detach_file(self._export.name)
            self.target.destroy(self._export.name)
            self._export = None  # not before: what could not be taken back is still shown to hosts


class ExportedStore(ServedStore[ExportedFile]):
    """One backend's volumes and snapshots behind a real target. `arguments` are those of `FileStore`."""

    served = ExportedFile

    def __init__(
        self,
        target: Target,
        runtime: Runtime,
        guard: threading.Lock,
        directory: Path,
        name: str,
        family: str,
        whole_copy_ns: int,
        snapshots_depend_on_volume: bool,
    ) -> None:
        super().__init__(runtime, guard, directory, name, family, whole_copy_ns, snapshots_depend_on_volume)
        self.target = target

    def _open(self, object_id: str, kind: str, parent: str | None, path: Path) -> VolumeFile:
        return ExportedFile(self.target, object_id, kind, parent, path)

    def _adopt(self, volume: VolumeFile) -> None:
        super()._adopt(volume)
        self._served(volume).target = self.target
