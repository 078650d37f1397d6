"""Compression techniques: the standard codecs by their names in Cinder, and who compresses a backup (section 5)."""

from __future__ import annotations

import bz2
import contextlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.testbed import CodecFigure

NONE = "none"
"""The technique that stores bytes as they are."""

TECHNIQUES = (NONE, "zlib", "bz2", "zstd")
"""The canonical names of the known techniques."""

ALIASES: Mapping[str, str] = MappingProxyType({"gzip": "zlib", "bzip2": "bz2", "off": NONE, "no": NONE})
"""Cinder's other names for them (A-8)."""

_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
"""Tells zlib to take RFC 1950 and RFC 1952, whichever header it meets."""

_ZSTD_MAGIC = (0xFD2FB528).to_bytes(4, "little")
"""How a zstd frame begins (RFC 8878 section 3.1.1)."""


class _Undecodable(Exception):
    """The payload is no such stream, or is more than was asked for; the text says which."""


@dataclass(frozen=True)
class Codec:
    """A technique: its canonical name, and its encoder and decoder. Safe between threads."""

    name: str
    _encode: Callable[[bytes], bytes]
    _decode: Callable[[bytes, int], bytes]

    def compress(self, data: bytes) -> bytes:
        """The data, encoded. Raises ModuleNotFoundError where the technique's library is not installed."""
        return self._encode(data)

    def stored(self, data: bytes) -> tuple[str, bytes]:
        """The label and the payload of a chunk in a backup: one that does not shrink is stored as it is (C-6)."""
        payload = self.compress(data)
        return (self.name, payload) if len(payload) < len(data) else ("none", data)

    def decompress(self, payload: bytes, length: int) -> bytes:
        """The `length` bytes that `payload` encodes; never makes more than `length` + 1 of them.

        Raises ValueError if the payload is no whole stream of this technique, has more after it, or encodes another
        number of bytes; ModuleNotFoundError where the technique's library is not installed.
        """
        if length < 0:
            raise ValueError(f"a length in bytes can't be {length}")
        try:
            data = self._decode(payload, length)
        except _Undecodable as error:
            raise ValueError(f"{len(payload)} bytes do not decode with {self.name}: {error}") from None
        if len(data) != length:
            found = f"more than {length}" if len(data) > length else str(len(data))
            raise ValueError(f"{len(payload)} bytes decode with {self.name} to {found} bytes, not to {length}")
        return data


def canonical(name: str) -> str | None:
    """The canonical name of a technique, or None for an unknown one. Case does not matter (A-8)."""
    lowered = name.lower()
    lowered = ALIASES.get(lowered, lowered)
    return lowered if lowered in TECHNIQUES else None


def codec(name: str) -> Codec:
    """The codec of a technique, under any of its names. Raises ValueError for an unknown one."""
    known = canonical(name)
    if known is None:
        raise ValueError(
            f"unknown compression technique {name!r}; known are {', '.join(TECHNIQUES)} and the other names "
            f"{', '.join(f'{alias} ({of})' for alias, of in ALIASES.items())}"
        )
    return _CODECS[known]


def _as_it_is(data: bytes) -> bytes:
    return bytes(data)


def _not_decoded(payload: bytes, length: int) -> bytes:
    return bytes(payload[: length + 1])


def _zlib_decode(payload: bytes, length: int) -> bytes:
    parts, room, rest = [], length + 1, payload
    while True:
        stream = zlib.decompressobj(_ZLIB_OR_GZIP)
        try:
            part = stream.decompress(rest, room)
        except zlib.error as error:
            raise _Undecodable(str(error)) from None
        parts.append(part)
        room -= len(part)
        if room == 0:  # more than was asked for, and 0 would mean no limit to zlib
            break
        if not stream.eof:
            raise _Undecodable("the stream is cut short")
        rest = stream.unused_data
        if not rest:
            break
        if not rest.startswith(b"\x1f\x8b"):  # RFC 1952 allows several members, RFC 1950 one stream
            raise _Undecodable(f"{len(rest)} more bytes follow the stream")
    return b"".join(parts)


def _bz2_decode(payload: bytes, length: int) -> bytes:
    parts, room, rest = [], length + 1, payload
    while True:
        stream = bz2.BZ2Decompressor()
        try:
            part = stream.decompress(rest, room)
        except OSError as error:
            raise _Undecodable(str(error)) from None
        parts.append(part)
        room -= len(part)
        if room == 0:
            break
        if not stream.eof:
            raise _Undecodable("the stream is cut short")
        rest = stream.unused_data
        if not rest:
            break
    return b"".join(parts)


def _zstd_encode(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def _zstd_decode(payload: bytes, length: int) -> bytes:
    import zstandard

    try:
        declared = zstandard.frame_content_size(payload)
        if declared > length:  # refused before anything of that size is allocated
            raise _Undecodable(f"the frame declares {declared} bytes, more than {length}")
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=length + 1, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _Undecodable(str(error)) from None


def begins_stream(data: bytes, probe: int = 4096) -> str | None:
    """The technique whose stream `data` begins with, or None; decodes at most `probe` bytes to find out."""
    with contextlib.suppress(zlib.error):
        if zlib.decompressobj(_ZLIB_OR_GZIP).decompress(data, probe):
            return "zlib"
    with contextlib.suppress(OSError):
        if bz2.BZ2Decompressor().decompress(data, probe):
            return "bz2"
    if data.startswith(_ZSTD_MAGIC):
        return "zstd"
    return None


_CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        NONE: Codec(NONE, _as_it_is, _not_decoded),
        "zlib": Codec("zlib", zlib.compress, _zlib_decode),
        "bz2": Codec("bz2", bz2.compress, _bz2_decode),
        "zstd": Codec("zstd", _zstd_encode, _zstd_decode),
    }
)


@dataclass(frozen=True)
class Limits:
    """What the caller asks of a driver's technique.

    `least_ratio` is plain length over compressed length, `least_throughput` bytes of input a second; None: no limit.
    """

    least_ratio: float | None = None
    least_throughput: float | None = None

    def objection(self, figure: CodecFigure | None) -> str | None:
        """Why a technique with that figure misses the limits, or None. No figure does not disqualify."""
        if figure is None:
            return None
        if self.least_ratio is not None and figure.ratio < self.least_ratio:
            return f"its ratio of {figure.ratio:g} is below {self.least_ratio:g}"
        if self.least_throughput is not None and figure.throughput < self.least_throughput:
            return f"its throughput of {figure.throughput:g} bytes a second is below {self.least_throughput:g}"
        return None


@dataclass(frozen=True)
class Decision:
    """Who compresses a backup, and why (C-4).

    `where` names the one that compresses. `technique` is what the driver is called with, by its canonical name; None
    where the driver lacks the hook and the taskflow reads the volume itself. `taskflow_technique` is what the
    taskflow compresses with; None where the driver does it.
    """

    where: Literal["driver", "taskflow"]
    technique: str | None
    taskflow_technique: str | None
    reason: str


def negotiate(
    acceptable: Sequence[str],
    published: Sequence[str],
    figures: Mapping[str, CodecFigure],
    limits: Limits | None = None,
    has_hook: bool = True,
) -> Decision:
    """Decide who compresses and with what (C-1, C-2, C-3, C-7), before the driver is invoked (C-4).

    `acceptable` in the caller's order; `figures` by technique, under any name; `has_hook` says whether the driver
    implements `backup_volume`. Unknown techniques are never selected (A-8). Raises ValueError if `acceptable` names
    no known technique.
    """
    if isinstance(acceptable, str) or not acceptable:
        raise ValueError("the acceptable techniques must be a list that is not empty, best first; 'none' is a choice")
    wanted = [known for known in map(canonical, acceptable) if known is not None]
    if not wanted:
        raise ValueError(
            f"no acceptable technique is known: {', '.join(map(repr, acceptable))}; known are {', '.join(TECHNIQUES)}"
        )
    if not has_hook:
        reason = f"the driver has no backup_volume, so the taskflow reads the volume and compresses with {wanted[0]}"
        return Decision("taskflow", None, wanted[0], reason)
    offered = {known for known in map(canonical, published) if known is not None}
    by_technique = {canonical(name): figure for name, figure in figures.items()}
    objections = []
    for technique in wanted:
        if technique not in offered:
            continue
        objection = limits.objection(by_technique.get(technique)) if limits is not None else None
        if objection is None:
            reason = f"{technique} is the first acceptable technique that the driver publishes"
            if limits is not None:
                reason += " and that meets the limits" + ("" if technique in by_technique else " (there is no figure)")
            return Decision("driver", technique, None, reason)
        objections.append(f"{technique}: {objection}")
    if not offered:
        why = "the driver publishes no known technique"
    elif objections:
        why = "no published technique meets the limits: " + "; ".join(dict.fromkeys(objections))
    else:
        why = f"none of {', '.join(dict.fromkeys(wanted))} is published; the driver offers {', '.join(sorted(offered))}"
    return Decision("taskflow", NONE, wanted[0], f"{why}, so the taskflow compresses with {wanted[0]}")
