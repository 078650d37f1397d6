"""Stamps and bytes: a block's bytes are made from its stamp when someone needs bytes, and the stamp is read back.

A stamped block is a header (magic, block number, stamp, check sum) and filler. `COMPRESSIBLE` sets how much of the
filler repeats, so that codecs have something to do and something that they can't shrink.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import zlib

from harness.storage import BLOCK

_HEADER = struct.Struct(">8sQQI")
_MAGIC = b"BAHstamp"
FOREIGN = -1
"""The stamp that an image shows for a block whose bytes carry no whole stamp."""
COMPRESSIBLE = 0.75
"""The share of a block's filler that is one repeated byte; the rest does not compress."""
DENSE = 1 << 62
"""A stamp with this bit marks a block whose bytes do not compress at all (C-6)."""


class ForeignBytes(ValueError):
    """A block's bytes carry no whole stamp: torn within the block, or not written by this program."""


def block_bytes(block: int, stamp: int) -> bytes:
    """The bytes (one block) that carry `stamp` at block number `block`. Stamp 0 is a block of zeros."""
    if stamp == 0:
        return bytes(BLOCK)
    header = _HEADER.pack(_MAGIC, block, stamp, zlib.crc32(struct.pack(">QQ", block, stamp)))
    room = BLOCK - len(header)
    noise_length = room if stamp & DENSE else int(room * (1 - COMPRESSIBLE))
    return header + _noise(stamp, noise_length) + bytes([stamp & 0xFF]) * (room - noise_length)


@functools.lru_cache(maxsize=1024)
def _noise(stamp: int, length: int) -> bytes:
    """Bytes that do not compress, a function of the stamp. What is made here is soon made again, to be compared.

    At most 4 MiB are kept.
    """
    return hashlib.shake_128(struct.pack(">Q", stamp)).digest(length)


def read_stamp(data: bytes) -> tuple[int, int] | None:
    """The `(block, stamp)` that one block's bytes carry, or None for a block of zeros.

    Raises `ForeignBytes` if the bytes are not exactly what `block_bytes` makes.
    """
    if len(data) != BLOCK:
        raise ValueError(f"a block has {BLOCK} bytes, not {len(data)}")
    if not data.startswith(_MAGIC):
        if data.count(0) == BLOCK:
            return None
        raise ForeignBytes("the block carries no stamp")
    _, block, stamp, _ = _HEADER.unpack_from(data)
    if data != block_bytes(block, stamp):
        raise ForeignBytes(f"the block carries stamp {stamp} of block {block}, but its bytes are not whole")
    return block, stamp
