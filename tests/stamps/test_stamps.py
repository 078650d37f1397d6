"""Stamps and the bytes that carry them."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stamps import COMPRESSIBLE, DENSE, ForeignBytes, block_bytes, read_stamp
from harness.storage import BLOCK

blocks = st.integers(0, 2**63 - 1)
stamps = st.integers(1, 2**63 - 1)


@given(blocks, stamps)
def test_round_trip(block: int, stamp: int) -> None:
    """A block's bytes tell its number and stamp again."""
    data = block_bytes(block, stamp)
    assert len(data) == BLOCK
    assert read_stamp(data) == (block, stamp)


@given(blocks, stamps, stamps, st.integers(1, BLOCK - 1))
def test_torn_block_is_foreign(block: int, stamp: int, other: int, cut: int) -> None:
    """A block of which a part is from another write is never taken for either, unless the bytes are the same."""
    first, second = block_bytes(block, stamp), block_bytes(block, other)
    torn = first[:cut] + second[cut:]
    if torn in (first, second):
        assert read_stamp(torn) in ((block, stamp), (block, other))
        return
    with pytest.raises(ForeignBytes):
        read_stamp(torn)


@given(blocks, stamps, st.integers(0, BLOCK - 1), st.integers(1, 255))
def test_changed_byte_is_foreign(block: int, stamp: int, place: int, change: int) -> None:
    """Any single changed byte is found."""
    data = bytearray(block_bytes(block, stamp))
    data[place] ^= change
    with pytest.raises(ForeignBytes):
        read_stamp(bytes(data))


def test_zeros_carry_no_stamp() -> None:
    """A block that was never written reads as zeros, and stamp 0 makes one."""
    assert read_stamp(bytes(BLOCK)) is None
    assert block_bytes(5, 0) == bytes(BLOCK)


def test_other_lengths_are_refused() -> None:
    """Only whole blocks can be read."""
    with pytest.raises(ValueError, match=f"{BLOCK} bytes, not 512"):
        read_stamp(bytes(512))


@given(blocks, stamps)
def test_blocks_compress_to_the_set_degree(block: int, stamp: int) -> None:
    """A codec has something to shrink and something that it can't; of a dense block it can shrink nothing."""
    length = len(zlib.compress(block_bytes(block, stamp & ~DENSE or 1)))
    assert abs(length / BLOCK - (1 - COMPRESSIBLE)) < 0.05
    dense = block_bytes(block, stamp | DENSE)
    assert len(zlib.compress(dense)) >= BLOCK * 0.99
    assert read_stamp(dense) == (block, stamp | DENSE)
