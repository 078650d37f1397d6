"""The standard codecs: round trips, aliases, strict and bounded decoding."""

import bz2
import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from harness.compression import ALIASES, TECHNIQUES, begins_stream, canonical, codec

techniques = st.sampled_from(TECHNIQUES)


@given(techniques, st.binary(max_size=3000))
def test_round_trip(technique: str, data: bytes) -> None:
    """What a codec compressed it restores."""
    assert codec(technique).decompress(codec(technique).compress(data), len(data)) == data


@given(techniques, st.binary(min_size=1, max_size=300), st.integers(0, 600))
def test_another_length_is_refused(technique: str, data: bytes, length: int) -> None:
    """A payload decodes to exactly the length asked for, or not at all."""
    payload = codec(technique).compress(data)
    if length == len(data):
        assert codec(technique).decompress(payload, length) == data
        return
    with pytest.raises(ValueError, match=technique):
        codec(technique).decompress(payload, length)


@pytest.mark.parametrize("technique", ["zlib", "bz2", "zstd"])
def test_damaged_payload_is_refused(technique: str) -> None:
    """A payload cut short, or with more after it, is no whole stream."""
    payload = codec(technique).compress(b"volume" * 100)
    for damaged in (payload[:-1], payload + b"?", b"volume", b""):
        with pytest.raises(ValueError, match=f"{len(damaged)} bytes .*decode"):
            codec(technique).decompress(damaged, 600)


@pytest.mark.parametrize(
    ("name", "foreign"), [("zlib", zlib.compress), ("gzip", gzip.compress), ("bzip2", bz2.compress)]
)
def test_aliases_and_both_zlib_formats_decode(name: str, foreign: object) -> None:
    """RFC 1950 and RFC 1952 both decode as zlib, under either name and in any case (A-8)."""
    assert callable(foreign)
    payload = foreign(b"volume" * 100)
    assert codec(name.upper()).decompress(payload, 600) == b"volume" * 100


def test_several_members_decode() -> None:
    """gzip and bz2 files may consist of several members, as their standards allow."""
    assert codec("gzip").decompress(gzip.compress(b"ab") + gzip.compress(b"cd"), 4) == b"abcd"
    assert codec("bz2").decompress(bz2.compress(b"ab") + bz2.compress(b"cd"), 4) == b"abcd"


def test_zstd_frame_without_a_declared_length_decodes() -> None:
    """A zstd frame need not declare its content's length."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 5000)
    assert codec("zstd").decompress(frame, 5000) == b"a" * 5000
    with pytest.raises(ValueError, match="more than 4999"):
        codec("zstd").decompress(frame, 4999)


@pytest.mark.parametrize("technique", ["zlib", "bz2", "zstd"])
def test_output_is_bounded(technique: str) -> None:
    """A payload that would decode to 64 MiB is refused without making them."""
    payload = codec(technique).compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=technique):
            codec(technique).decompress(payload, 4096)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_canonical_names() -> None:
    """Aliases and case are folded, and what is unknown stays unknown (A-8)."""
    assert {canonical(name) for name in TECHNIQUES} == set(TECHNIQUES)
    assert [canonical(name.title()) for name in ALIASES] == ["zlib", "bz2", "none", "none"]
    assert canonical("lz4") is None
    with pytest.raises(ValueError, match=r"'lz4'.*zstd.*gzip"):
        codec("lz4")


def test_negative_length_is_refused() -> None:
    """A negative length is an error of the caller, not an unlimited one."""
    with pytest.raises(ValueError, match="can't be -1"):
        codec("zlib").decompress(zlib.compress(b""), -1)


@given(st.binary(min_size=1, max_size=200))
def test_streams_are_recognised(data: bytes) -> None:
    """The beginning of a compressed stream tells its technique."""
    for technique in ("zlib", "bz2", "zstd"):
        assert begins_stream(codec(technique).compress(data)) == technique
    assert begins_stream(b"BAHstamp" + data) is None


def test_a_second_member_is_not_decoded_once_there_is_too_much() -> None:
    """A gzip member that follows one which is already too long is not expanded, however small it is on the disk."""
    bomb = gzip.compress(b"x" * 11) + gzip.compress(bytes(16 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="to more than 10 bytes"):
            codec("zlib").decompress(bomb, 10)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_second_bz2_stream_is_not_decoded_once_there_is_too_much() -> None:
    """The same for bz2: the first stream is too long, and that is what is said."""
    with pytest.raises(ValueError, match="to more than 10 bytes"):
        codec("bz2").decompress(bz2.compress(b"x" * 11) + bz2.compress(b"y"), 10)
