"""The port of a real NFS server: what the agent beside it asks of it, whoever the server is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

SHELF = "shelf"
"""The one export, in the root of the server's pseudo file system (RFC 8881 §7.3)."""
CONTROL = "control"
"""The directory on the shelf in which drivers log in, each user's in a directory of his own."""
DATA_UID = 60000
"""The user by whom every host reads and writes volumes."""
FIRST_USER_UID = 61000
"""The user ids of those who run drivers are given out from here on."""

End = tuple[str, int]
"""One end of a TCP connection: address and port."""


class ServerFailed(Exception):
    """The server did not do what its administrator asked for."""


class NfsServer(Protocol):
    """One NFS server program; methods raise `ServerFailed`.

    `address` is "address:port". `shelf` is the directory, on the server's machine, of the export `SHELF`: what lies
    there is what hosts can see.
    """

    address: str
    shelf: Path

    def frozen(self) -> AbstractContextManager[None]:
        """While it lasts the server carries nothing out; what was acknowledged before is in the files."""

    def client_owners(self) -> list[str]:
        """The client owners (RFC 8881 §2.4) of all clients that the server has on record."""

    def is_connected(self, client_end: End) -> bool:
        """Whether the server has a TCP connection with that end of a client, be it that the client has ended it."""

    def drop(self, client_end: End) -> None:
        """End a client's TCP connection from the server's side. Harmless if it is gone."""
