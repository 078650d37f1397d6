"""A session of NFSv4.1: a client id and one slot (RFC 8881 §2.10), and files that are read and written in it.

Each request has its number in the slot, and the server keeps the last answer. So what was not answered, because the
connection broke, is sent again on a new one and is still done once only; no write comes late and overtakes another.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

from . import operations as op
from .operations import Operation
from .rpc import TIMEOUT_S, Credential, SessionLost, Wire
from .xdr import XdrError, opaque, u32

CHUNK = 64 * 1024
"""Bytes that one operation reads or writes at most."""
NO_ENTRY, ACCESS_DENIED, NO_SPACE, READ_ONLY, STALE, QUOTA = 2, 13, 28, 30, 70, 69
"""Statuses of operations (RFC 8881 §15.1)."""
_DELAY, _GRACE, _MISORDERED = 10008, 10013, 10063
_STATE_IS_GONE = frozenset({10011, 10022, 10023, 10025, 10052, 10078})
"""EXPIRED, STALE_CLIENTID, STALE_STATEID, BAD_STATEID, BADSESSION, DEADSESSION."""
_NAMES = {
    1: "PERM", 2: "NOENT", 5: "IO", 13: "ACCESS", 22: "INVAL", 27: "FBIG", 28: "NOSPC", 30: "ROFS", 69: "DQUOT",
    70: "STALE", 10001: "BADHANDLE", 10038: "OPENMODE",
}  # fmt: skip
_MESSAGE_BYTES = CHUNK + 4096
_MINOR_VERSION = 1
_PAUSE_S = 0.002


class OperationFailed(Exception):
    """The server did not do what an operation asked for; `status` has its answer, 0 where it says that it did."""

    def __init__(self, what: str, status: int = 0) -> None:
        told = f" ended with NFS4ERR_{_NAMES[status]}" if status in _NAMES else f" ended with status {status}"
        super().__init__(what + (told if status else ""))
        self.status = status


@dataclass(frozen=True)
class Login:
    """Who reaches which server ("address:port"): the client owner (RFC 8881 §2.4) and the AUTH_SYS credential."""

    address: str
    owner: str
    credential: Credential


@dataclass(frozen=True)
class OpenFile:
    """A file that is open in a session: its handle and the stateid of the OPEN."""

    handle: bytes
    stateid: bytes


class Session:
    """A session with a server. One request at a time; callers in other threads wait their turn.

    With `reconnects` a connection that broke is made anew by the next request; otherwise, and once `cut` was called,
    the session is lost with its connection. Raises `SessionLost`, and `OperationFailed` for what the server refuses.
    """

    def __init__(self, login: Login, reconnects: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        self.login = login
        self._reconnects = reconnects
        self._timeout_s = timeout_s
        self._turn = threading.Lock()
        self._is_lost = False
        self._unanswered = b""
        self._number = 0
        self._opened: list[OpenFile] = []
        self._wire: Wire | None = Wire(login.address, login.credential, timeout_s)
        self.client_end = self._wire.client_end
        try:
            verifier = os.urandom(op.VERIFIER_BYTES)
            ((client_id, first),) = self._send(self._wire, [op.exchange_id(login.owner.encode(), verifier)])
            self.client_id: int = client_id
            (self._channel,) = self._send(self._wire, [op.create_session(client_id, first, _MESSAGE_BYTES)])
            if min(self._channel.max_request, self._channel.max_response) < _MESSAGE_BYTES:
                raise SessionLost(f"the server at {login.address} takes no messages of {_MESSAGE_BYTES} bytes")
            self.call(op.reclaim_complete())
        except BaseException:
            self._wire.close()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether the session is lost for good."""
        return self._is_lost

    def call(self, *wanted: Operation) -> list[Any]:
        """Carry operations out in one COMPOUND; returns what each gives. Sent again while the server asks for delay."""
        give_up = time.monotonic() + self._timeout_s
        while True:
            try:
                with self._turn:
                    return self._call(list(wanted))
            except OperationFailed as error:
                if error.status not in (_DELAY, _GRACE) or time.monotonic() > give_up:
                    raise
            time.sleep(_PAUSE_S)

    def ping(self) -> None:
        """Let the server answer something; it renews the lease too."""
        self.call()

    def open(self, directory: tuple[str, ...], name: str, writable: bool, create: bool = False) -> OpenFile:
        """Open a file in a directory, given by its path from the server's root."""
        access = op.BOTH_ACCESS if writable else op.READ_ACCESS
        path = [op.put_root_handle(), *map(op.look_up, directory)]
        opening = op.open_file(self.client_id, self.login.owner.encode(), name, access, create)
        *_, stateid, handle = self.call(*path, opening, op.get_handle())
        opened = OpenFile(handle, stateid)
        self._opened.append(opened)
        return opened

    def names(self, directory: tuple[str, ...]) -> list[str]:
        """The names in a directory that has a few. Raises `OperationFailed`, ValueError where it has more."""
        path = [op.put_root_handle(), *map(op.look_up, directory)]
        *_, (names, are_all) = self.call(*path, op.read_directory())
        if not are_all:
            raise ValueError(f"too many files in {'/'.join(directory)}")
        return list(names)

    def size(self, file: OpenFile) -> int:
        """The size of a file in bytes."""
        return int(self.call(op.put_handle(file.handle), op.get_size())[-1])

    def read(self, file: OpenFile, offset: int, length: int) -> bytes:
        """Bytes of a file. Raises `OperationFailed` also where the server gives fewer."""
        found = b""
        while len(found) < length:
            wanted = min(CHUNK, length - len(found))
            reading = op.read_file(file.stateid, offset + len(found), wanted)
            is_end, part = self.call(op.put_handle(file.handle), reading)[-1]
            found += part
            if len(found) < length and (is_end or not part):
                raise OperationFailed(f"READ finds the end of the file at byte {offset + len(found)}")
        return found

    def write(self, file: OpenFile, offset: int, data: bytes) -> None:
        """Write bytes; returns once the server says that all of them are on stable storage."""
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            writing = op.write_file(file.stateid, offset + start, part)
            count, committed = self.call(op.put_handle(file.handle), writing)[-1]
            if count != len(part) or committed != op.FILE_SYNC:
                raise OperationFailed(f"WRITE of {len(part)} bytes wrote {count}, with stability {committed}")

    def cut(self) -> None:
        """Lose the session for good, with no goodbye: its connection is cut. Does not wait."""
        self._is_lost = True
        wire = self._wire
        if wire is not None:
            wire.cut()

    def close(self) -> None:
        """Close what is open and log out, unless the session is lost. Repeating it is harmless."""
        with self._turn:
            wire = self._wire
            if wire is None:
                self._is_lost = True  # nobody makes its connection anew
                return
            if not self._is_lost:
                with contextlib.suppress(SessionLost, OperationFailed):
                    for file in self._opened:
                        self._call([op.put_handle(file.handle), op.close_file(file.stateid)])
                    self._send(wire, [op.destroy_session(self._channel.session_id)])
                    self._send(wire, [op.destroy_client_id(self.client_id)])
            self._is_lost = True
            self._wire = None
            wire.close()

    def _call(self, wanted: list[Operation]) -> list[Any]:
        if self._wire is None:
            self._connect_again()
        wire = self._wire
        if self._is_lost or wire is None:
            raise SessionLost(f"the session of {self.login.owner} with {self.login.address} is lost")
        self._number += 1
        keep = any(operation.changes for operation in wanted)
        numbered = [op.sequence(self._channel.session_id, self._number, keep), *wanted]
        try:
            return self._send(wire, numbered)[1:]
        except SessionLost:
            self._unanswered = _compound(numbered)
            self._wire = None
            self._is_lost = self._is_lost or not self._reconnects
            wire.close()
            raise

    def _connect_again(self) -> None:
        """Make the connection anew, and have what was not answered done; its answer is for nobody any more."""
        if self._is_lost:
            return
        give_up = time.monotonic() + self._timeout_s
        wire = Wire(self.login.address, self.login.credential, self._timeout_s)
        try:
            while (status := wire.compound(self._unanswered).u32()) == _DELAY:  # it is still being done
                if self._is_lost or time.monotonic() > give_up:
                    raise SessionLost(f"the server at {self.login.address} is not done with what it has not answered")
                time.sleep(_PAUSE_S)
        except XdrError as error:
            wire.close()
            raise SessionLost(f"the server's answer is broken: {error}") from error
        except BaseException:
            wire.close()
            raise
        self._unanswered = b""
        self._wire = wire
        self.client_end = wire.client_end
        if status in _STATE_IS_GONE or status == _MISORDERED:
            self._is_lost = True

    def _send(self, wire: Wire, wanted: list[Operation]) -> list[Any]:
        """The results of the operations. Raises `OperationFailed`; `SessionLost` where their state is gone."""
        answer = wire.compound(_compound(wanted))
        try:
            answer.u32()  # that of the operation at which it ended, which comes again
            answer.opaque()
            done = answer.u32()
            results = []
            for operation in wanted[:done]:
                number, status = answer.u32(), answer.u32()
                if number != operation.number:
                    raise XdrError(f"operation {number} was done, not {operation.number}")
                if number == op.SEQUENCE and status == _DELAY:
                    self._number -= 1  # it counts for nothing
                elif status in _STATE_IS_GONE or (status and number == op.SEQUENCE):
                    self._is_lost = True
                    raise SessionLost(f"{operation.name} ended with status {status}: the server's state is gone")
                if status:
                    raise OperationFailed(f"{operation.name} at {self.login.address}", status)
                results.append(operation.read(answer))
            if done != len(wanted):
                raise XdrError(f"{done} operations of {len(wanted)} were done")
        except XdrError as error:
            self._is_lost = True
            raise SessionLost(f"the server's answer is broken: {error}") from error
        return results


def _compound(wanted: list[Operation]) -> bytes:
    """The arguments of COMPOUND (RFC 8881 §16.2)."""
    return opaque(b"") + u32(_MINOR_VERSION, len(wanted)) + b"".join(each.encoded() for each in wanted)
