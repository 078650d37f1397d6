"""Drivers whose backups can't be restored by their labels (section C)."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from harness.compression import codec
from harness.contract import BackupSink
from harness.reference_driver import ReferenceDriver
from harness.testbed import Job


class _Spoiling:
    """A sink that changes each chunk on its way."""

    def __init__(self, inner: BackupSink, spoil: Callable[[int, int, str, bytes], tuple[int, int, str, bytes] | None]):
        self._inner = inner
        self._spoil = spoil

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """Change the chunk, and pass it on unless it got lost."""
        changed = self._spoil(offset, length, label, payload)
        if changed is not None:
            self._inner.write(*changed)


class _SpoilingDriver(ReferenceDriver):
    """A reference driver whose backups go through `spoil`."""

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        if method != "backup_volume" or job.sink is None:
            return job
        return dataclasses.replace(job, sink=_Spoiling(job.sink, self.spoil))

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes] | None:
        """What becomes of a chunk; None: it is lost."""
        raise NotImplementedError


_CONTENT = ("C-3", "Q-9", "Q-10")


class LabelLies(_SpoilingDriver):
    """Compresses with zlib whatever it was asked for, and labels it as asked."""

    must_fail = ("C-5",)
    may_fail = ("A-8", *_CONTENT)

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes]:
        """Compress with zlib, labelled zstd."""
        if label == "none":
            return offset, length, label, payload
        plain = codec(label).decompress(payload, length)
        return offset, length, "zstd" if label == "zlib" else label, codec("zlib").compress(plain)


class CompressesTwice(_SpoilingDriver):
    """Compresses what its backend has compressed already."""

    must_fail = ("C-3", "C-5")
    may_fail = ("A-8", "Q-9", "Q-10")

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes]:
        """Compress once more."""
        if label == "none":
            return offset, length, label, payload
        return offset, length, label, codec(label).compress(payload)


class LosesAChunk(_SpoilingDriver):
    """Drops chunks that begin in the last quarter of a GiB, by an error in counting."""

    must_fail = ("C-5",)
    may_fail = (*_CONTENT, "C-6")

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes] | None:
        """Drop the tail."""
        return None if offset >= 3 << 28 else (offset, length, label, payload)


class CompressesUnasked(_SpoilingDriver):
    """Compresses with zlib although it was called with none, and labels the chunks none."""

    must_fail = ("C-3",)
    may_fail = ("C-2", "C-5", "C-7", "Q-9", "Q-10", "C-6")

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes]:
        """Compress what was to stay as it is."""
        if label != "none":
            return offset, length, label, payload
        return offset, length, label, codec("zlib").compress(payload)


class NeverCompresses(_SpoilingDriver):
    """Publishes techniques, but stores every chunk as it is."""

    must_fail = ("C-5",)

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes]:
        """Take the compression back."""
        return offset, length, "none", codec(label).decompress(payload, length)


class DropsWhatDoesNotShrink(_SpoilingDriver):
    """Stores only chunks that compressing made smaller, and takes the others for stored."""

    must_fail = ("C-5", "C-6")
    may_fail = (*_CONTENT, "C-2", "C-7")

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes] | None:
        """Drop a chunk that is stored as it is, by an error in a comparison."""
        return None if len(payload) >= length else (offset, length, label, payload)


class RefusesWhatDoesNotShrink(ReferenceDriver):
    """Fails a backup in which a chunk does not shrink, as its buffer holds no more than the chunk's length."""

    must_fail = ("C-6",)

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        if job.sink is None or job.technique == "none":
            return job
        return dataclasses.replace(job, sink=_Tight(job.sink))


class OverrunsItsBuffer(ReferenceDriver):
    """Cuts compressed chunks that did not shrink off at the length of the plain ones."""

    must_fail = ("C-6",)
    may_fail = (*_CONTENT, "C-5")

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        job = super()._job(method, arguments)
        if job.sink is None or job.technique == "none":
            return job
        technique = job.technique

        def cut(offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes]:
            if label != "none":
                return offset, length, label, payload
            return offset, length, technique, codec(technique).compress(payload)[:length]

        return dataclasses.replace(job, sink=_Spoiling(job.sink, cut))


class _Tight:
    """A sink without room for a chunk that did not shrink."""

    def __init__(self, inner: BackupSink) -> None:
        self._inner = inner

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """Pass a chunk on, if it has shrunk."""
        if len(payload) >= length:
            raise ValueError(f"the chunk at {offset} did not shrink: no room for it")
        self._inner.write(offset, length, label, payload)


class DeflateWithoutHeader(_SpoilingDriver):
    """Labels its chunks zlib, but writes raw deflate (RFC 1951), without the header of RFC 1950 or RFC 1952."""

    must_fail = ("A-8", "C-5")
    may_fail = _CONTENT

    def spoil(self, offset: int, length: int, label: str, payload: bytes) -> tuple[int, int, str, bytes]:
        """Compress without a header."""
        if label != "zlib":
            return offset, length, label, payload
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        plain = codec(label).decompress(payload, length)
        return offset, length, label, deflate.compress(plain) + deflate.flush()
