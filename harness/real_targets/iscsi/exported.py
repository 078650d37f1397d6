"""Volumes and snapshots that hosts see through a real target, each as the logical unit of a target of its own."""

from __future__ import annotations

import contextlib
import itertools
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.served import INSPECTOR, ServedFile, ServedStore, Shown, image_of

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


class ExportedFile(ServedFile[Target]):
    """One complete object, exported by a target when somebody asks for its address first."""

    def __init__(self, server: Target, object_id: str, kind: str, parent: str | None, path: Path) -> None:
        super().__init__(server, object_id, kind, parent, path)
        self._export: Export | None = None

    def export(self) -> Export:
        """Where the object is to be had; exports it if it is not. Raises `ObjectUnknown`, `TargetFailed`."""
        with self.lock:
            self.descriptor()
            if self._export is None:
                name = object_name(self.server.realm, self.id, next(_NUMBERS))
                self.server.create(name, DATA_USER, DATA_PASSWORD)
                try:
                    self.server.attach_file(name, self.path, serial_number(self.id), self.kind == "volume")
                except BaseException:
                    self.server.destroy(name)
                    raise
                self._export = Export(self.server.portal, name)
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
        """See `ServedFile.frozen`; where the target can't stand still, the object is taken away from its hosts, who are
        not given it back before the lock is released."""
        if self.server.stands_still:
            return self.server.frozen()
        self._let_go()
        return contextlib.nullcontext()

    def abandon(self) -> None:
        """See `ServedFile.abandon`."""
        self._export = None

    def _let_go(self) -> None:
        if self._export is not None:
            self.server.detach_file(self._export.name)
            self.server.destroy(self._export.name)
            self._export = None  # not before: what could not be taken back is still shown to hosts


class ExportedStore(ServedStore[Target, ExportedFile]):
    """One backend's volumes and snapshots behind a real target."""

    served = ExportedFile
