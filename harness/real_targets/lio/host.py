"""This host as the place where LIO runs: as root, with configfs, without a virtual machine.

A disk is a file, exported as a backstore of its own (fileio). The agent is a program of this process; what it makes
bears its mark, and goes when this process ends, however it does (`agent_on_host.py`). LIO can't be made to stand still
here: it is the kernel's, and others may use it.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from harness.real_targets.iscsi.target import AUTHORITY, TargetFailed
from harness.real_targets.loopback import free_portal

from .asking import AskedAgent
from .channel import Channel
from .host_facts import need_interpreter

AGENT = Path(__file__).with_name("agent_on_host.py")
ANSWER_WITHIN_S = 320.0
"""Seconds within which the agent has to answer; it lets a command run for 300."""


class Host:
    """This host, with an agent that lives as long as this object; implements `harness.real_targets.lio.place.Place`.

    The portal is one that is free now, unless it is given. Raises `NotInstalled`, and `TargetFailed` where the agent
    does not come up.
    """

    where: ClassVar[str] = "host"
    stands_still: ClassVar[bool] = False

    def __init__(self, portal: str = "") -> None:
        interpreter = need_interpreter()
        self.portal = portal or free_portal()
        self._numbers = itertools.count(1)
        self._log = os.memfd_create("agent")
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [interpreter, "-I", "-u", str(AGENT), AUTHORITY],
                stdin=theirs.fileno(),
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # an interrupt at the terminal is for the run, which then closes the socket
            )
        self._agent = AskedAgent(Channel(ours, ANSWER_WITHIN_S), "the agent on this host", self._last_words)
        try:
            self.mark = str(self.ask("hello"))
        except BaseException:
            self.close()
            raise

    @property
    def is_running(self) -> bool:
        """Whether the agent has not ended."""
        return self._process.poll() is None

    def describe(self) -> str:
        """See `Place.describe`."""
        return f"LIO {os.uname().release} of this host"

    def ask(self, do: str, **arguments: Any) -> Any:
        """See `Place.ask`."""
        return self._agent.ask(do, **arguments)

    def plug(self, path: Path, serial: str, writable: bool) -> dict[str, str]:
        """See `Place.plug`; the file itself is what LIO opens."""
        return {"path": str(path.absolute()), "name": f"{self.mark}{next(self._numbers)}"}

    def unplug(self, *disks: Any) -> None:
        """See `Place.unplug`; nothing remains of a disk that the agent has forgotten."""

    def stopped(self) -> AbstractContextManager[None]:
        """See `Place.stopped`: not offered."""
        raise TargetFailed("LIO of this host can't be made to stand still: others may use it")

    def close(self) -> None:
        """Let the agent remove what it made, and end. Repeating it is harmless."""
        self._agent.close()
        self._process.wait()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _last_words(self) -> str:
        """The end of what the agent printed."""
        size = os.fstat(self._log).st_size
        said = os.pread(self._log, 2000, max(size - 2000, 0)).decode(errors="replace").strip()
        return f"; it said last:\n{said}" if said else ""
