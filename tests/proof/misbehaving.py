"""Drivers that misbehave as programs do, whatever they publish."""

from __future__ import annotations

import os
import time
from typing import Any

from harness.model import Context, Snapshot
from harness.reference_driver import ReferenceDriver


class Spins(ReferenceDriver):
    """Never returns from delete_snapshot, and never waits either."""

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Spin."""
        while True:
            pass


class WatchesTheClock(ReferenceDriver):
    """Waits in delete_snapshot by looking at the clock over and over."""

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Look at the clock for an hour."""
        until = time.monotonic() + 3600
        while time.monotonic() < until:
            pass


class Exits(ReferenceDriver):
    """Ends the process in delete_snapshot."""

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """End it all."""
        os._exit(0)


class Devours(ReferenceDriver):
    """Takes memory in delete_snapshot until there is none."""

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Take it."""
        taken = []
        while True:
            taken.append(bytearray(64 << 20))


class Prints(ReferenceDriver):
    """Prints to standard output what it does."""

    def do_setup(self, context: Context) -> None:
        """Set up, and say so."""
        print("connecting to the array ...")
        super().do_setup(context)


class ExitsPolitely(ReferenceDriver):
    """Raises SystemExit where it should raise an error of its own."""

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Give up."""
        raise SystemExit("array not licensed")


class AnswersNonsense(ReferenceDriver):
    """Returns a dict where a status belongs."""

    def get_activity(self, context: Context, handle: str) -> Any:
        """Answer like a REST client."""
        return {"state": "running", "percent": 12}
