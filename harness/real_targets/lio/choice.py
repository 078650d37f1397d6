"""Where LIO is to run: on this host, or in a virtual machine; and the place kept for all testbeds of a process."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from enum import StrEnum

from harness.real_targets.missing import NotInstalled

from .host import Host
from .host_facts import need_host
from .kept import KeptMachine
from .place import Place


class Where(StrEnum):
    """What can be asked for: the host where it has what it takes and else a machine, or one of the two."""

    AUTO = "auto"
    HOST = "host"
    MACHINE = "machine"


def choose(asked: Where, need_host: Callable[[], object], need_machine: Callable[[], object]) -> Where:
    """The host or a machine, as asked for and as it can be had.

    Each `need` raises `NotInstalled` where it can't be had. Raises `NotInstalled` with the reasons.
    """
    if asked is not Where.AUTO:
        (need_host if asked is Where.HOST else need_machine)()
        return asked
    try:
        need_host()
        return Where.HOST
    except NotInstalled as lacks_host:
        try:
            need_machine()
            return Where.MACHINE
        except NotInstalled as lacks_machine:
            raise NotInstalled(f"{lacks_machine}; and without a virtual machine: {lacks_host}") from None


class KeptPlace:
    """The places of this process's testbeds; each is started when it is asked for, and ends with the process."""

    def __init__(self) -> None:
        self.machine = KeptMachine()
        self._host: Host | None = None

    def choose(self, asked: Where = Where.AUTO) -> Where:
        """See `choose`. Builds the machine's image where one is needed, so that it is there."""
        return choose(asked, need_host, self.machine.need)

    def place(self, asked: Where = Where.AUTO) -> Place:
        """The place, started now if there is none or it has ended. Raises `NotInstalled`, `TargetFailed`."""
        if self.choose(asked) is Where.MACHINE:
            return self.machine.machine()
        if self._host is not None and not self._host.is_running:
            self._host.close()
            self._host = None
        if self._host is None:
            self._host = Host()
            atexit.register(self._host.close)
        return self._host
