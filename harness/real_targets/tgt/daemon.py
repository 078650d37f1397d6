"""One tgtd, with its own portal and its own management socket."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from harness.real_targets.iscsi.target import LUN, Nexus, TargetFailed
from harness.real_targets.loopback import free_portal
from harness.real_targets.missing import need_program
from harness.real_targets.programs import ProgramFailed, Programs

PACKAGE = "tgt"
READY_WITHIN_S = 10.0
IDLE_WITHIN_S = 10.0
_SOCKET = "./control"  # relative: the path of a Unix socket has 107 characters at most
_BUSY = "still active"


class TgtTarget:
    """Implements `Target`; the management socket is in `directory`. Raises `NotInstalled`, `TargetFailed`."""

    tells_sessions_apart = True
    stands_still = True

    def __init__(self, programs: Programs, directory: Path) -> None:
        self.realm = directory.name
        self._directory = directory
        self._environment = {"TGT_IPC_SOCKET": _SOCKET}
        daemon, self._tgtadm = need_program("tgtd", PACKAGE), need_program("tgtadm", PACKAGE)
        self.portal = free_portal()
        self._guard = threading.Lock()
        self._numbers = itertools.count(1)
        self._ids: dict[str, int] = {}
        self._accounts: set[str] = set()
        argv = [daemon, "-f", "-C", "1", "-t", "2", "--iscsi", f"portal={self.portal}"]
        try:
            self.program = programs.start(argv, directory, directory / "tgtd.log", self._environment)
        except ProgramFailed as error:
            raise TargetFailed(str(error)) from error

    def await_ready(self) -> None:
        """Wait until the daemon takes orders. Raises `TargetFailed`."""
        give_up = time.monotonic() + READY_WITHIN_S
        while self._call("--mode", "system", "--op", "show").returncode:
            try:
                self.program.must_run()
            except ProgramFailed as error:
                raise TargetFailed(str(error)) from error
            if time.monotonic() > give_up:
                raise TargetFailed(f"tgtd takes no orders: {self.program.last_words()}")
            time.sleep(0.002)

    def create(self, name: str, user: str, password: str) -> None:
        """See `Target.create`."""
        with self._guard:
            number = next(self._numbers)
            self._order("--mode", "target", "--op", "new", "--tid", str(number), "--targetname", name)
            self._ids[name] = number
            if user not in self._accounts:
                self._order("--mode", "account", "--op", "new", "--user", user, "--password", password)
                self._accounts.add(user)
            self._order("--mode", "account", "--op", "bind", "--tid", str(number), "--user", user)
            self._order("--mode", "target", "--op", "bind", "--tid", str(number), "--initiator-address", "ALL")

    def destroy(self, name: str) -> None:
        """See `Target.destroy`."""
        with self._guard:
            number = self._ids.pop(name)
            self._once_idle(name, "--mode", "target", "--op", "delete", "--force", "--tid", str(number))

    def attach_file(self, name: str, path: Path, serial: str, writable: bool) -> None:
        """See `Target.attach_file`."""
        where = ("--tid", str(self._ids[name]), "--lun", str(LUN))
        self._order("--mode", "logicalunit", "--op", "new", *where, "--backing-store", str(path))
        parameters = f"scsi_sn={serial},readonly={0 if writable else 1}"
        self._order("--mode", "logicalunit", "--op", "update", *where, "--params", parameters)

    def detach_file(self, name: str) -> None:
        """See `Target.detach_file`."""
        where = ("--tid", str(self._ids[name]), "--lun", str(LUN))
        self._once_idle(name, "--mode", "logicalunit", "--op", "delete", *where)

    def _once_idle(self, name: str, *order: str) -> None:
        """Give an order that tgtd refuses while a command is under way, until it takes it."""
        give_up = time.monotonic() + IDLE_WITHIN_S
        while True:
            done = self._call(*order)
            if done.returncode == 0:
                return
            if _BUSY not in done.stderr or time.monotonic() > give_up:
                raise TargetFailed(f"{name} can't be taken back: {done.stderr.strip() or done.returncode}")
            time.sleep(0.0005)

    def frozen(self) -> AbstractContextManager[None]:
        """See `Target.frozen`: every thread of the daemon is stopped between system calls."""
        return self.program.frozen()

    def sessions(self, name: str = "") -> list[Nexus]:
        """See `Target.sessions`."""
        found = parse_sessions(self._order("--mode", "target", "--op", "show"))
        return [nexus for nexus in found if name in ("", nexus.target)]

    def drop(self, nexus: Nexus) -> None:
        """See `Target.drop`."""
        number = self._ids.get(nexus.target)
        if number is not None:
            where = ("--tid", str(number), "--sid", nexus.session, "--cid", nexus.connection)
            self._call("--mode", "conn", "--op", "delete", *where)

    def _order(self, *arguments: str) -> str:
        done = self._call(*arguments)
        if done.returncode:
            what = done.stderr.strip() or f"status {done.returncode}"
            raise TargetFailed(f"tgtadm {' '.join(arguments)}: {what}")
        return done.stdout

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._tgtadm, "-C", "1", "--lld", "iscsi", *arguments],
            cwd=self._directory,
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )


_TARGET = re.compile(r"^Target \d+: (\S+)$")
_NEXUS = re.compile(r"^ +I_T nexus: (\d+)$")
_INITIATOR = re.compile(r"^ +Initiator: (\S+) alias: (.*)$")
_CONNECTION = re.compile(r"^ +Connection: (\d+)$")


def parse_sessions(shown: str) -> Iterator[Nexus]:
    """The sessions in what `tgtadm --mode target --op show` prints."""
    target = session = initiator = alias = ""
    for line in shown.splitlines():
        if found := _TARGET.match(line):
            target = found[1]
        elif found := _NEXUS.match(line):
            session = found[1]
        elif found := _INITIATOR.match(line):
            initiator, alias = found[1], found[2].strip()
        elif found := _CONNECTION.match(line):
            yield Nexus(target, initiator, alias, session, found[1])
