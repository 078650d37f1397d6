"""The model of backups by codec (the Cinder specification `cinder-victoria-spec`), on this project's fabric.

What happens there: Cinder's chunked backup driver reads a chunk of the volume, hashes it, compresses it and writes it
to the export, and only then reads the next; a restore reads, decompresses and writes, chunk by chunk, and hashes
nothing. So the stages of a backup add up. Only the part of the volume that holds data costs compression and is stored;
the rest is zeros, which compress to nothing (published speeds are for data).

Parameters:

* stated (`setup.csv`): size of the volume, of its data, and of a chunk;
* published speeds and ratios (`codec_speeds.csv`), one core: zlib at level 6, which Python's zlib takes by default, and
  zstd at level 1, the only published level;
* calibration (the row without compression): reading and writing, taken as equally fast since volume and export are on
  the same host, from the restore; hashing, from what the backup takes longer than the restore.

Left out, because nothing stated gives its size: that the machine's core and its data are not those of the published
speeds, the several cores of zstd, and the flush after each chunk of a restore. So restores come out too fast.

No number was set from a row that the model is compared with; the structure was chosen with these rows in view.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.flows import in_virtual_time, move
from benchmarks.published import MB, Published
from harness.runtime import SECOND, seconds
from harness.runtime.virtual import VirtualRuntime
from simulated_backends.fabric import Fabric, Link

TABLE = "cinder_backup_codecs"

LEVELS = {"gzip": ("zlib", "6"), "zstd": ("zstd", "1")}
"""The published codec and level that stand for an algorithm of Cinder."""


@dataclass(frozen=True)
class CodecSpeed:
    """Speeds in bytes of plain data a second; `ratio` is plain over compressed size."""

    compress: float
    decompress: float
    ratio: float


@dataclass(frozen=True)
class Parameters:
    """Sizes in bytes, speeds in bytes a second; `disk` is reading or writing, of volume or export."""

    volume: int
    data: int
    chunk: int
    disk: int
    hashing: int
    codecs: dict[str, CodecSpeed]


@dataclass(frozen=True)
class Times:
    """Seconds."""

    backup: float
    restore: float


def parameters(published: Published) -> Parameters:
    """The parameters, from what is stated, published speeds, and the one calibration row."""
    setup = published.setup("backup")
    (plain,) = published.calibration(TABLE)
    restore_s = plain.number("restore_s")
    by_level = {(row.text["codec"], row.text["level"]): row for row in published.calibration("codec_speeds")}
    codecs = {
        algorithm: CodecSpeed(
            compress=by_level[level].number("compress_MBps") * MB,
            decompress=by_level[level].number("decompress_MBps") * MB,
            ratio=by_level[level].number("ratio"),
        )
        for algorithm, level in LEVELS.items()
    }
    return Parameters(
        **setup,
        disk=round(2 * setup["volume"] / restore_s),
        hashing=round(setup["volume"] / (plain.number("backup_s") - restore_s)),
        codecs=codecs,
    )


def predict(figures: Parameters, algorithm: str) -> Times:
    """How long backup and restore take with an algorithm of Cinder; "none" stores the whole volume as it is."""
    codec = figures.codecs.get(algorithm)
    if codec is None and algorithm != "none":
        raise ValueError(f"no published speed stands for {algorithm!r}")

    def main(runtime: VirtualRuntime, fabric: Fabric) -> Times:
        volume_read, volume_write = Link("volume, reading", figures.disk), Link("volume, writing", figures.disk)
        export_read, export_write = Link("export, reading", figures.disk), Link("export, writing", figures.disk)
        chunks = _chunks(figures)
        for size in chunks:
            move(runtime, fabric, (volume_read,), size)
            _compute(runtime, size / figures.hashing)
            _compute(runtime, _data(figures, size) / codec.compress if codec else 0)
            move(runtime, fabric, (export_write,), _stored(figures, codec, size))
        backup_ns = runtime.now()
        for size in chunks:
            move(runtime, fabric, (export_read,), _stored(figures, codec, size))
            _compute(runtime, _data(figures, size) / codec.decompress if codec else 0)
            move(runtime, fabric, (volume_write,), size)
        return Times(seconds(backup_ns), seconds(runtime.now() - backup_ns))

    return in_virtual_time(main)


def _chunks(figures: Parameters) -> list[int]:
    whole, rest = divmod(figures.volume, figures.chunk)
    return [figures.chunk] * whole + [rest] * bool(rest)


def _data(figures: Parameters, size: int) -> float:
    """How much of a chunk is data; it is spread evenly over the volume."""
    return size * figures.data / figures.volume


def _stored(figures: Parameters, codec: CodecSpeed | None, size: int) -> int:
    return size if codec is None else round(_data(figures, size) / codec.ratio)


def _compute(runtime: VirtualRuntime, duration_s: float) -> None:
    runtime.sleep(round(duration_s * SECOND))
