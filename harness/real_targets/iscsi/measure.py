"""How long things take on a real iSCSI testbed, each alone: the median of many tries, in seconds.

Not the fastest: a command's answer comes in half of the usual time when the target happens to be awake, which is rare,
so that no sequence of commands goes at that rate.

Everything is measured as the testbed does it: commands through libiscsi, copies by the copying process without a pace,
a snapshot's freeze with the data taken while it lasts.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.compression import codec
from harness.model import GIB
from harness.real_targets.backing.served import FrozenImage
from harness.real_targets.backing.transfer import COPIER
from harness.storage import BLOCK

from .backend import IscsiBackend
from .exported import ExportedFile
from .session import TRANSFER, Session
from .target import LUN, TargetFailed
from .testbed import IscsiTestbed

TRIES = 7
"""Everything is tried at least this often …"""
FOR_S = 0.7
"""… and for at least this many seconds."""
EXTENT = 64 << 20
"""Bytes of the volume that commands go over."""


class Bench:
    """A volume of a testbed, a session with it, and a stopwatch. `seed` makes the bytes."""

    def __init__(self, bed: IscsiTestbed, seed: int = 1) -> None:
        self.backend: IscsiBackend = bed.backend("primary")
        self._directory = bed.directory
        self._random = random.Random(seed)
        self.backend.store.create_volume("calibration", 1)
        self._file: ExportedFile = self.backend.store.exported_file("calibration")
        self._session = Session(self._file.export().login("calibration"))
        for offset in range(0, EXTENT, TRANSFER):  # so that reading does not meet holes
            self._session.write(LUN, offset, self._random.randbytes(TRANSFER))

    def command(self, verb: str, size: int) -> float:
        """One READ or WRITE of `size` bytes at offsets that go up."""
        offsets = itertools.cycle(range(0, EXTENT, size))
        data = self._random.randbytes(size)
        if verb == "read":
            return self._median(lambda: self._session.read(LUN, next(offsets), size))
        return self._median(lambda: self._session.write(LUN, next(offsets), data))

    def sequence(self, verb: str, total: int, size: int) -> float:
        """`total` bytes by commands of `size` bytes, one after the other."""

        def run() -> None:
            data = bytes(size) if verb == "read" else self._random.randbytes(size)
            for offset in range(0, total, size):
                if verb in ("read", "copy"):
                    data = self._session.read(LUN, offset, size)
                if verb in ("write", "copy"):
                    self._session.write(LUN, (GIB // 2 if verb == "copy" else 0) + offset, data)

        return self._median(run)

    def round_trip(self) -> float:
        """A command without data."""
        return self._median(lambda: self._session.test_unit_ready(LUN))

    def attach(self) -> float:
        """Login and logout of a host."""
        login = self._file.export().login("calibration-2")
        return self._median(lambda: Session(login).close())

    def copy(self, total: int) -> float:
        """A copying process over `total` bytes of data, from its start to its end."""
        with self._filled(total) as source:
            target = self._directory / "calibration-target"

            def run() -> None:
                target.touch()
                os.truncate(target, total)
                argv = [sys.executable, "-I", "-S", str(COPIER), str(source), str(target), str(total), "0", "1"]
                with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as copier:
                    if copier.wait():  # its input stays open until then: it would end with whoever closes it
                        raise TargetFailed(f"the copying process ended with status {copier.returncode}")
                target.unlink()

            return self._median(run)

    def snapshot(self, total: int) -> float:
        """A freeze of the target with `total` bytes of data taken."""
        path = self._directory / "calibration-image"
        self._file.discard()
        session = self._session = Session(self._file.export().login("calibration"))
        for offset in range(0, total, 1 << 18):
            session.write(LUN, offset, self._random.randbytes(1 << 18))

        def run() -> None:
            image = FrozenImage(path, self._file)
            image.unlink()
            image.close()

        return self._median(run)

    def compress(self, technique: str, total: int, chunk: int) -> float:
        """Compressing `total` bytes by chunks; half of each block is noise."""
        found = codec(technique)
        block = BLOCK // 2
        data = b"".join(self._random.randbytes(block) + bytes(block) for _ in range(chunk // BLOCK))
        return self._median(lambda: [found.compress(data) for _ in range(total // chunk)])

    @contextlib.contextmanager
    def _filled(self, total: int) -> Iterator[Path]:
        path = self._directory / "calibration-source"
        path.write_bytes(self._random.randbytes(total))
        try:
            yield path
        finally:
            path.unlink()

    @staticmethod
    def _median(act: Callable[[], object]) -> float:
        act()  # the first pays for what the others find ready
        taken: list[float] = []
        give_up = time.monotonic() + FOR_S
        while len(taken) < TRIES or time.monotonic() < give_up:
            began = time.perf_counter()
            act()
            taken.append(time.perf_counter() - began)
        return statistics.median(taken)
