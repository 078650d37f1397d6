"""Remote procedure calls over one TCP connection (RFC 5531), with the AUTH_SYS credential of one user."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from dataclasses import dataclass

from harness.real_targets.backing.reaching import Unreachable

from .xdr import Reader, XdrError, opaque, u32

TIMEOUT_S = 20.0
"""Seconds that a call may take."""
_LAST_FRAGMENT = 1 << 31
_CALL, _REPLY, _RPC_VERSION = 0, 1, 2
_NFS_PROGRAM, _NFS_VERSION, _COMPOUND = 100003, 4, 1
_AUTH_NONE, _AUTH_SYS = 0, 1


class SessionLost(Unreachable):
    """The connection is gone, or the server has not answered, or it knows the session no more."""


@dataclass(frozen=True)
class Credential:
    """Who calls, as AUTH_SYS has it (RFC 5531 appendix A): a host's name, and a user and a group by number.

    The server takes the client's word for all of it, as NFS without Kerberos does.
    """

    machine: str
    uid: int
    gid: int

    def encoded(self) -> bytes:
        """The credential and an empty verifier."""
        body = u32(0) + opaque(self.machine.encode()) + u32(self.uid, self.gid, 0)
        return u32(_AUTH_SYS) + opaque(body) + u32(_AUTH_NONE, 0)


class Wire:
    """A TCP connection to a server at "address:port". One call at a time. Raises `SessionLost`."""

    def __init__(self, address: str, credential: Credential, timeout_s: float = TIMEOUT_S) -> None:
        host, _, port = address.rpartition(":")
        self._credential = credential.encoded()
        self._numbers = itertools.count(int.from_bytes(os.urandom(3), "big"))
        self._turn = threading.Lock()
        self._is_cut = False
        try:
            self._socket = socket.create_connection((host, int(port)), timeout_s)
        except OSError as error:
            raise SessionLost(f"no server at {address}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_end: tuple[str, int] = self._socket.getsockname()
        self.server_end: tuple[str, int] = self._socket.getpeername()

    def compound(self, body: bytes) -> Reader:
        """Call the procedure COMPOUND with its encoded arguments; returns what comes back, from its status on."""
        with self._turn:
            number = next(self._numbers)
            header = u32(number, _CALL, _RPC_VERSION, _NFS_PROGRAM, _NFS_VERSION, _COMPOUND) + self._credential
            message = header + body
            try:
                self._socket.sendall(u32(_LAST_FRAGMENT | len(message)) + message)
                answer = Reader(self._receive())
                if self._is_cut:  # what a broken network would have kept back
                    raise SessionLost("the connection was cut")
                if (answer.u32(), answer.u32()) != (number, _REPLY):
                    raise SessionLost("the server answers another call")
                if answer.u32() != 0:
                    raise SessionLost("the server refuses the call")
                answer.u32()  # the verifier
                answer.opaque()
                if (status := answer.u32()) != 0:
                    raise SessionLost(f"the server does not carry the call out (accept status {status})")
            except (OSError, XdrError) as error:
                raise SessionLost(f"the connection is lost: {error}") from error
            return answer

    def _receive(self) -> bytes:
        found = b""
        while True:
            mark = Reader(self._exactly(4)).u32()
            found += self._exactly(mark & ~_LAST_FRAGMENT)
            if mark & _LAST_FRAGMENT:
                return found

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._socket.recv(min(length, 1 << 20))
            if not part:
                raise SessionLost("the server has closed the connection")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def cut(self) -> None:
        """Cut the connection, as a broken network does; no answer arrives from now on. Does not wait."""
        self._is_cut = True
        with contextlib.suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. Repeating it is harmless."""
        self.cut()
        with self._turn:
            self._socket.close()
