"""Connection-specific copies on LIO: EXTENDED COPY commands on the I_T nexus of the caller who started them.

What is real: LIO itself copies, on the session with which the driver is logged in, between two logical units of that
session: the source (or its image of one moment) and the target, which only this nexus sees until it is whole. Which
ranges hold data is known from the backing file; each is at least one command. What is ours: the pace between commands,
the name of the activity and its status, since LIO keeps neither.

LIO's copy manager (target_core_xcopy.c, Linux 6.1; `tests/real_targets/test_extended_copy.py` sees all of it):

* Its operating parameters allow one segment a command between two logical units; they state 256 MiB a segment, but
  NUMBER OF BLOCKS has two bytes, so that blocks of 512 bytes end at 32 MiB.
* It answers when the copy is over, keeps no status and knows no abort: of opcode 84h it answers RECEIVE COPY
  OPERATING PARAMETERS only, any other service action and any list identifier get INVALID FIELD IN CDB, COPY OPERATION
  ABORT gets INVALID COMMAND OPERATION CODE.
* It does not look at list identifiers: a second copy with the identifier of one that runs, on the same nexus, is
  carried out, where SPC-4 §5.17.4.2 has OPERATION IN PROGRESS.
* The loss of the nexus ends no command: it runs to its end (SPC-4 §5.17.5, table 109), and nobody is told.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from harness.activity import Activity, HandleScope
from harness.backend_jobs import JobEngine
from harness.real_targets.backing.medium import data_extents
from harness.real_targets.backing.store import FileStore
from harness.real_targets.backing.transfer import BackingTransfer, Plan
from harness.real_targets.iscsi.extended_copy import LARGEST, Segment, designator, extended_copy
from harness.real_targets.iscsi.session import Session, SessionLost
from harness.real_targets.iscsi.target import serial_number
from harness.runtime import SECOND, Runtime
from harness.storage import BLOCK, CopyRequest, Transfer, TransferCancelled, VolumeStore

from .target import LioTarget

_LIST_IDS = 255
_NUMBERS = itertools.count(1)


class CopyNexus:
    """The I_T nexus of one connection: the driver's session with its control target at a backend.

    `retained_ns` is how long (ns) what it has begun stands once it is lost, as tasks do for DefaultTime2Wait and
    DefaultTime2Retain (RFC 7143 §11.14.5).
    """

    def __init__(self, target: LioTarget, session: Session, retained_ns: int) -> None:
        self.retained_ns = retained_ns
        self.session = session
        self._target = target
        self._control = session.login.target

    @contextlib.contextmanager
    def units(self, source: Path, destination: Path) -> Iterator[tuple[int, int]]:
        """Two files as logical units of the nexus, as long as it lasts; yields their numbers.

        Ends once no copy works on them any more, be the nexus lost or not.
        """
        with self._unit(source, writable=False) as from_, self._unit(destination, writable=True) as to:
            yield from_, to

    @contextlib.contextmanager
    def _unit(self, path: Path, writable: bool) -> Iterator[int]:
        serial = serial_number(f"{self._target.realm} {path} {next(_NUMBERS)}")
        lun = self._target.add_unit(self._control, path, serial, writable)
        try:
            yield lun
        finally:
            self._target.remove_unit(self._control, lun)


class ForegroundCopy(BackingTransfer):
    """A transfer whose pass is made by EXTENDED COPY. The parameters after `nexus` are those of `CopyTransfer`."""

    def __init__(
        self,
        nexus: CopyNexus,
        runtime: Runtime,
        name: str,
        source: Path,
        target: Path,
        total: int,
        pace: tuple[int, int],
        plan: Plan,
    ) -> None:
        super().__init__(runtime, name, total, plan)
        self._nexus = nexus
        self._runtime = runtime
        self._source = source
        self._target = target
        self._pace = pace
        self._broken_off = threading.Event()
        self._list_id = next(_NUMBERS) % _LIST_IDS + 1
        self.begin()

    def break_off(self) -> None:
        """See `BackingTransfer.break_off`; a command that is under way is waited for."""
        self._broken_off.set()

    def make_pass(self) -> None:
        """Copy the data in steps, at the pace. Raises `CommandFailed`, and `TransferCancelled` if the nexus is lost:
        no command is sent from then on, and the copy is given up when the nexus is."""
        duration_ns, steps = self._pace
        file = os.open(self._source, os.O_RDONLY)
        try:
            with self._nexus.units(self._source, self._target) as units:
                began_ns, position = self._runtime.now(), 0
                copy = self._copier(*units)
                for step in range(1, steps + 1):
                    end = self.total if step == steps else self.total * step // steps // BLOCK * BLOCK
                    due_ns = began_ns + duration_ns * end // max(self.total, 1)
                    if self._broken_off.wait(max(due_ns - self._runtime.now(), 0) / SECOND):
                        return
                    for start, length in data_extents(file, position, end):
                        for offset in range(start, start + length, LARGEST):
                            copy(offset, min(LARGEST, start + length - offset))
                            if self._broken_off.is_set():
                                return
                    position = end
                    self.reach(position)
        except SessionLost as error:
            self._broken_off.wait(self._nexus.retained_ns / SECOND)
            raise TransferCancelled(f"the I_T nexus of {self.name} was lost: {error}") from error
        finally:
            os.close(file)

    def _copier(self, source: int, destination: int) -> Callable[[int, int], None]:
        session = self._nexus.session
        names = designator(session, source), designator(session, destination)

        def copy(offset: int, length: int) -> None:
            # to the destination, which goes first: LIO lets go of a logical unit only after the commands that were sent
            # to it; and to one that is write-protected it lets no command with data through
            extended_copy(session, destination, self._list_id, *names, Segment(offset, offset, length))

        return copy


class ForegroundCopies(JobEngine):
    """Lets LIO make the copies of connection-specific activities, on the nexus on which they were started.

    `nexus_of` finds it by the connection's id, and raises `StorageError` if it is gone; the rest is for `JobEngine`.
    """

    def __init__(self, nexus_of: Callable[[str], CopyNexus], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._nexus_of = nexus_of

    def begin_copy(self, activity: Activity, request: CopyRequest, into: VolumeStore) -> Transfer:
        """See `JobEngine.begin_copy`."""
        if activity.scope is not HandleScope.CONNECTION:
            return super().begin_copy(activity, request, into)
        assert isinstance(self._store, FileStore)
        nexus = self._nexus_of(activity.started_by.connection_id)
        return self._store.begin_copy(request, into, partial(ForegroundCopy, nexus))
