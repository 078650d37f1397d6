"""Lines of JSON over a Unix socket: what QEMU's monitor and the agents have in common."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any


class ChannelBroken(Exception):
    """Nobody answers any more, or what came back is no answer."""


class Channel:
    """One end of a connected Unix socket. One question at a time; other threads wait their turn.

    `within_s` is how long an answer may take to come. Raises `ChannelBroken`.
    """

    def __init__(self, connected: socket.socket, within_s: float) -> None:
        self.turn = threading.RLock()
        self._socket = connected
        self._socket.settimeout(within_s)
        self._waiting = b""

    def send(self, message: dict[str, Any]) -> None:
        """Send one line. Raises `ChannelBroken`."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ChannelBroken(f"the connection broke: {error}") from error

    def receive(self) -> dict[str, Any]:
        """The next line. Raises `ChannelBroken`."""
        while b"\n" not in self._waiting:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise ChannelBroken(f"no answer: {error}") from error
            if not data:
                raise ChannelBroken("the connection was closed")
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError:
            raise ChannelBroken(f"no answer but {line[:80]!r}") from None
        return dict(found)

    def close(self) -> None:
        """Close the connection. Repeating it is harmless."""
        self._socket.close()


def open_channel(path: Path, within_s: float) -> Channel:
    """A channel over the Unix socket of that path; `within_s` is also how long it may take to appear.

    Raises `ChannelBroken`.
    """
    give_up = time.monotonic() + within_s
    while True:
        fresh = socket.socket(socket.AF_UNIX)
        try:
            connect(fresh, path)
            return Channel(fresh, within_s)
        except OSError as error:
            fresh.close()
            if time.monotonic() > give_up:
                raise ChannelBroken(f"{path.name} does not answer: {error}") from error
            time.sleep(0.01)


def connect(to: socket.socket, path: Path) -> None:
    """Connect a Unix socket to a path of any length; one that is given as such has 107 characters at most."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        to.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
