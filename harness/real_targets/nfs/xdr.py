"""External data representation (RFC 4506), as much of it as NFSv4.1 takes."""

from __future__ import annotations

import struct


class XdrError(Exception):
    """The bytes are not what they have to be."""


def u32(*values: int) -> bytes:
    """Unsigned integers, enums and booleans (§4.2–4.4)."""
    return struct.pack(f">{len(values)}I", *values)


def u64(value: int) -> bytes:
    """An unsigned hyper integer (§4.5)."""
    return struct.pack(">Q", value)


def opaque(data: bytes) -> bytes:
    """Variable-length opaque data, or a string (§4.10, §4.11)."""
    return u32(len(data)) + data + bytes(-len(data) % 4)


class Reader:
    """Takes values off the front of some bytes; every method raises `XdrError` where they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def fixed(self, length: int) -> bytes:
        """Fixed-length opaque data (§4.9)."""
        end = self._place + length
        if end > len(self._data):
            raise XdrError(f"{len(self._data)} bytes end before byte {end}")
        found = self._data[self._place : end]
        self._place = end + -length % 4
        return found

    def u32(self) -> int:
        """An unsigned integer."""
        (found,) = struct.unpack(">I", self.fixed(4))
        return int(found)

    def u64(self) -> int:
        """An unsigned hyper integer."""
        (found,) = struct.unpack(">Q", self.fixed(8))
        return int(found)

    def opaque(self) -> bytes:
        """Variable-length opaque data."""
        return self.fixed(self.u32())

    def bitmap(self) -> tuple[int, ...]:
        """An array of unsigned integers, as NFSv4 has them for sets of attributes (bitmap4, RFC 8881 §3.2)."""
        return tuple(self.u32() for _ in range(self.u32()))
