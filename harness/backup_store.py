"""Where backups and images go, and what they hold when they are read back by the standard decoders (C-3, C-5)."""

from __future__ import annotations

import _thread
import bisect
from collections.abc import Iterable

from harness.compression import NONE, TECHNIQUES, begins_stream, codec
from harness.model import BackupChunk
from harness.stamps import FOREIGN, ForeignBytes, read_stamp
from harness.storage import BLOCK


class MemorySink:
    """A `BackupSink` that keeps its chunks in memory, in the order of writing. Safe between threads.

    `size` is the volume's length in bytes; None where it is not known, as for an image.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._guard = _thread.allocate_lock()  # a real lock under either clock; never held while switching
        self._chunks: list[BackupChunk] = []
        self._ranges: list[tuple[int, int]] = []  # (offset, end) of the chunks, ascending

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """Store a chunk; see `BackupSink`.

        Raises ValueError for a chunk that overlaps another, lies outside the volume, is empty, or is not of these
        types. That the payload decodes by its label is not looked at here (C-5 is judged by `restore_image`).
        """
        for name, value in (("offset", offset), ("length", length)):
            if type(value) is not int:
                raise ValueError(f"a chunk's {name} must be an int of bytes, not {value!r:.60}")
        if not isinstance(label, str):
            raise ValueError(f"a chunk's label must be a str, the technique's name, not {label!r:.60}")
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise ValueError(f"a chunk's payload must be bytes, not a {type(payload).__name__}")
        if offset < 0 or length <= 0:
            raise ValueError(f"a chunk of {length} bytes at offset {offset} is none: give offset ≥ 0 and length > 0")
        if self._size is not None and offset + length > self._size:
            raise ValueError(
                f"the chunk at offset {offset} ends at {offset + length}, outside the volume of {self._size} bytes"
            )
        chunk = BackupChunk(offset, length, label, bytes(payload))
        with self._guard:
            place = bisect.bisect(self._ranges, (offset, offset + length))
            for neighbour in self._ranges[max(place - 1, 0) : place + 1]:
                if neighbour[0] < offset + length and offset < neighbour[1]:
                    raise ValueError(
                        f"the chunk from {offset} to {offset + length} overlaps the one from {neighbour[0]} to "
                        f"{neighbour[1]}; each byte may be written once"
                    )
            self._ranges.insert(place, (offset, offset + length))
            self._chunks.append(chunk)

    @property
    def chunks(self) -> tuple[BackupChunk, ...]:
        """The chunks so far, in the order of writing."""
        with self._guard:
            return tuple(self._chunks)


class ImageService:
    """What `copy_volume_to_image` and `copy_image_to_volume` get: images as chunks, by image id."""

    def __init__(self) -> None:
        self._sinks: dict[str, MemorySink] = {}

    def sink(self, image_id: str) -> MemorySink:
        """Where the image of that id goes; the same sink each time, until it is discarded."""
        return self._sinks.setdefault(image_id, MemorySink())

    def chunks(self, image_id: str) -> tuple[BackupChunk, ...]:
        """The image's chunks in the order of writing. Raises KeyError for an unknown image."""
        if image_id not in self._sinks:
            raise KeyError(f"no image {image_id!r} was uploaded")
        return self._sinks[image_id].chunks

    def discard(self, image_id: str) -> None:
        """Forget an image, so that it can be uploaded again. Harmless where there is none."""
        self._sinks.pop(image_id, None)


def restore_image(chunks: Iterable[BackupChunk]) -> dict[int, int]:
    """The image (block → stamp) that a backup restores, each chunk decoded once, by its label (C-3, C-5).

    Ranges without a chunk count as zeros, blocks of zeros are left out, and a block that carries no whole stamp
    shows `FOREIGN`. Raises ValueError that names the chunk where its label lies or its data was compressed twice.
    """
    image: dict[int, int] = {}
    parts: dict[int, bytearray] = {}  # blocks that chunks cover only in part
    suspects: dict[int, str] = {}  # blocks of chunks that begin like a stream even after decoding
    for number, chunk in enumerate(chunks):
        name = f"chunk {number} (offset {chunk.offset}, {chunk.length} bytes, labelled {chunk.label!r:.40})"
        data = _decode(chunk, name)
        end = chunk.offset + chunk.length
        blocks = range(chunk.offset // BLOCK, -(-end // BLOCK))
        stream = begins_stream(data)
        if stream is not None:
            cause = "is labelled wrongly" if codec(chunk.label).name == NONE else "was compressed twice"
            suspects.update(dict.fromkeys(blocks, f"{name} still holds a {stream} stream after decoding: it {cause}"))
        for block in blocks:
            start = block * BLOCK
            if chunk.offset <= start and start + BLOCK <= end:
                _put(image, block, data[start - chunk.offset : start - chunk.offset + BLOCK])
                continue
            buffer = parts.setdefault(block, bytearray(BLOCK))
            low, high = max(start, chunk.offset), min(start + BLOCK, end)
            buffer[low - start : high - start] = data[low - chunk.offset : high - chunk.offset]
    for block, buffer in parts.items():
        _put(image, block, bytes(buffer))
    for block in sorted(suspects):
        if image.get(block) == FOREIGN:
            raise ValueError(suspects[block])
    return image


def _put(image: dict[int, int], block: int, data: bytes) -> None:
    try:
        found = read_stamp(data)
    except ForeignBytes:
        image[block] = FOREIGN
        return
    if found is not None:
        image[block] = found[1]


def _decode(chunk: BackupChunk, name: str) -> bytes:
    try:
        return codec(chunk.label).decompress(chunk.payload, chunk.length)
    except ValueError as error:
        really = [technique for technique in TECHNIQUES if _decodes(technique, chunk)]
        remark = f"; it is really {really[0]}" if really else ""
        raise ValueError(f"{name}: {error}{remark}") from None


def _decodes(technique: str, chunk: BackupChunk) -> bool:
    try:
        codec(technique).decompress(chunk.payload, chunk.length)
    except ValueError:
        return False
    return True
