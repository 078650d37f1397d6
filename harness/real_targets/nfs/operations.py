"""Operations of NFSv4.1 (RFC 8881 §18): how their arguments are written and their results read (RFC 5662)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .xdr import Reader, XdrError, opaque, u32, u64

SIZE_ATTRIBUTE = 4
"""The attribute size (RFC 8881 §5.8.1.5)."""
FILE_SYNC = 2
"""stable_how4 (RFC 8881 §18.32.1): the answer comes once data and metadata are on stable storage."""
READ_ACCESS, BOTH_ACCESS = 1, 3
"""OPEN4_SHARE_ACCESS_READ and _BOTH (RFC 8881 §18.16.1)."""
SEQUENCE = 53
"""The number of the operation that comes first in a session's requests."""
SESSION_ID_BYTES, STATEID_BYTES, VERIFIER_BYTES = 16, 16, 8
_NO_DELEGATION = 0x400  # OPEN4_SHARE_ACCESS_WANT_NO_DELEG
_DELEGATE_NONE, _DELEGATE_NONE_EXT = 0, 3  # open_delegation_type4
_CONTENTION, _RESOURCE = 1, 2  # why_no_delegation4 with a boolean
_MODE_ATTRIBUTE = 33


@dataclass(frozen=True)
class Operation:
    """One operation of a COMPOUND: its number and name, its encoded arguments, and what reads its results.

    `changes` says that it must not be done twice.
    """

    number: int
    name: str
    arguments: bytes = b""
    read: Callable[[Reader], Any] = lambda reader: None
    changes: bool = False

    def encoded(self) -> bytes:
        """The operation as it goes into a COMPOUND."""
        return u32(self.number) + self.arguments


class Channel(NamedTuple):
    """What a session's fore channel was granted: bytes of a request and of an answer, at most."""

    session_id: bytes
    max_request: int
    max_response: int


def exchange_id(owner: bytes, verifier: bytes) -> Operation:
    """EXCHANGE_ID (§18.35) without state protection; gives the client id and the first sequence id."""

    def read(reader: Reader) -> tuple[int, int]:
        return reader.u64(), reader.u32()  # nothing after it is of use here, and the operation stands last

    return Operation(42, "EXCHANGE_ID", verifier + opaque(owner) + u32(0, 0, 0), read)


def create_session(client_id: int, sequence: int, message_bytes: int) -> Operation:
    """CREATE_SESSION (§18.36) with one slot and no back channel; gives a `Channel`."""

    def read(reader: Reader) -> Channel:
        session_id = reader.fixed(SESSION_ID_BYTES)
        reader.u32(), reader.u32(), reader.u32()  # sequence, flags, header padding
        return Channel(session_id, reader.u32(), reader.u32())

    channel = u32(0, message_bytes, message_bytes, 4096, 16, 1, 0)
    arguments = u64(client_id) + u32(sequence, 0) + channel + channel + u32(0x40000000, 1, 0)
    return Operation(43, "CREATE_SESSION", arguments, read)


def sequence(session_id: bytes, number: int, keep: bool) -> Operation:
    """SEQUENCE (§18.46) on slot 0; with `keep` the server keeps the whole answer, for a request that is sent again."""

    def read(reader: Reader) -> None:
        reader.fixed(SESSION_ID_BYTES)
        for _ in range(5):
            reader.u32()

    return Operation(SEQUENCE, "SEQUENCE", session_id + u32(number, 0, 0, keep), read)


def reclaim_complete() -> Operation:
    """RECLAIM_COMPLETE (§18.51): nothing is left over from before the server's restart."""
    return Operation(58, "RECLAIM_COMPLETE", u32(0))


def destroy_session(session_id: bytes) -> Operation:
    """DESTROY_SESSION (§18.37)."""
    return Operation(44, "DESTROY_SESSION", session_id)


def destroy_client_id(client_id: int) -> Operation:
    """DESTROY_CLIENTID (§18.50)."""
    return Operation(57, "DESTROY_CLIENTID", u64(client_id))


def put_root_handle() -> Operation:
    """PUTROOTFH (§18.21)."""
    return Operation(24, "PUTROOTFH")


def put_handle(handle: bytes) -> Operation:
    """PUTFH (§18.19)."""
    return Operation(22, "PUTFH", opaque(handle))


def look_up(name: str) -> Operation:
    """LOOKUP (§18.13)."""
    return Operation(15, "LOOKUP", opaque(name.encode()))


def get_handle() -> Operation:
    """GETFH (§18.8); gives the file handle."""
    return Operation(10, "GETFH", read=Reader.opaque)


def get_size() -> Operation:
    """GETATTR (§18.7) of the size; gives it in bytes."""

    def read(reader: Reader) -> int:
        given, values = reader.bitmap(), Reader(reader.opaque())
        if given[:1] != (1 << SIZE_ATTRIBUTE,):
            raise XdrError("the server does not tell the size")
        return values.u64()

    return Operation(9, "GETATTR", u32(1, 1 << SIZE_ATTRIBUTE), read)


def open_file(client_id: int, owner: bytes, name: str, access: int, create: bool) -> Operation:
    """OPEN (§18.16) by name in the current directory; gives the stateid. With `create` it makes a file of mode 600."""
    how = u32(0)
    if create:
        how = u32(1, 0) + u32(2, 0, 1 << (_MODE_ATTRIBUTE - 32)) + opaque(u32(0o600))
    arguments = u32(0, access | _NO_DELEGATION, 0) + u64(client_id) + opaque(owner) + how + u32(0)
    return Operation(18, "OPEN", arguments + opaque(name.encode()), _read_opened, changes=True)


def _read_opened(reader: Reader) -> bytes:
    stateid = reader.fixed(STATEID_BYTES)
    reader.u32(), reader.u64(), reader.u64()  # how the directory changed
    reader.u32()  # flags
    reader.bitmap()
    match reader.u32():
        case kind if kind == _DELEGATE_NONE:
            pass
        case kind if kind == _DELEGATE_NONE_EXT:
            if reader.u32() in (_CONTENTION, _RESOURCE):
                reader.u32()
        case given:
            raise XdrError(f"a delegation of type {given}, which nobody asked for")
    return stateid


def close_file(stateid: bytes) -> Operation:
    """CLOSE (§18.2)."""
    return Operation(4, "CLOSE", u32(0) + stateid, lambda reader: reader.fixed(STATEID_BYTES), True)


def read_file(stateid: bytes, offset: int, length: int) -> Operation:
    """READ (§18.22) of bytes; gives them, and whether they reach the end of the file."""

    def read(reader: Reader) -> tuple[bool, bytes]:
        return bool(reader.u32()), reader.opaque()

    return Operation(25, "READ", stateid + u64(offset) + u32(length), read)


def write_file(stateid: bytes, offset: int, data: bytes) -> Operation:
    """WRITE (§18.32) to stable storage; gives how many bytes were written, and how stable they are."""

    def read(reader: Reader) -> tuple[int, int]:
        count, committed = reader.u32(), reader.u32()
        reader.fixed(VERIFIER_BYTES)
        return count, committed

    return Operation(38, "WRITE", stateid + u64(offset) + u32(FILE_SYNC) + opaque(data), read, changes=True)


def read_directory() -> Operation:
    """READDIR (§18.23) from the start, names only; gives the names and whether these are all."""

    def read(reader: Reader) -> tuple[list[str], bool]:
        reader.fixed(VERIFIER_BYTES)
        names = []
        while reader.u32():
            reader.u64()
            names.append(reader.opaque().decode())
            reader.bitmap()
            reader.opaque()
        return names, bool(reader.u32())

    arguments = u64(0) + bytes(VERIFIER_BYTES) + u32(4096, 16384, 0)
    return Operation(26, "READDIR", arguments, read)
