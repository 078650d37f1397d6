"""A timing model of a real iSCSI testbed, fitted to a few measurements: each operation is a start and a rate.

`calibrate` measures each kind of operation at two sizes, writes at three, and nothing else; `Calibration` predicts the
others. The operations of `unseen` are not used for fitting, so their errors say how good the model is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .measure import Bench

KIB, MIB = 1 << 10, 1 << 20
READ_SIZES = (4 * KIB, 256 * KIB)
SMALL_WRITE, WRITE_SIZES = 4 * KIB, (32 * KIB, 256 * KIB)
IMMEDIATE_DATA = 8 * KIB
"""Bytes of a write that go in its command's own PDU and wait for no R2T (ImmediateData, RFC 7143 §13.11): what the
target takes in one PDU (MaxRecvDataSegmentLength, §13.12), whose default tgt and LIO leave as it is."""
COPY_SIZES = (4 * MIB, 64 * MIB)
SNAPSHOT_SIZES = (1 * MIB, 16 * MIB)
CHUNK = 256 * KIB
CODECS = ("zlib", "bz2", "zstd")


@dataclass(frozen=True)
class Line:
    """An operation takes `start_s` seconds, and `bytes_per_s` from there on."""

    start_s: float
    bytes_per_s: float

    def seconds(self, size: int) -> float:
        """How long it takes for so many bytes."""
        return self.start_s + size / self.bytes_per_s


def fit(points: Mapping[int, float]) -> Line:
    """The line through two points, size in bytes → seconds; one that would get faster with size counts as level."""
    (small, few), (large, many) = sorted(points.items())
    slope = max((many - few) / (large - small), 1e-13)
    return Line(max(few - slope * small, 0.0), 1 / slope)


@dataclass(frozen=True)
class Calibration:
    """What was fitted, in seconds. `small_write_s` is a write of `IMMEDIATE_DATA` bytes at most, `write` a larger one;
    `codecs` has the plain bytes a second that each technique takes."""

    round_trip_s: float
    attach_s: float
    read: Line
    small_write_s: float
    write: Line
    copy: Line
    snapshot: Line
    codecs: Mapping[str, float]

    def predict(self, verb: str, total: int, size: int = 0) -> float:
        """Seconds for an operation of `unseen`."""
        match verb:
            case "read":
                return total / size * self.read.seconds(size)
            case "write":
                return total / size * (self.small_write_s if size <= IMMEDIATE_DATA else self.write.seconds(size))
            case "host copy":
                return self.predict("read", total, size) + self.predict("write", total, size)
            case "copy":
                return self.copy.seconds(total)
            case "snapshot":
                return self.snapshot.seconds(total)
            case _:
                return total / self.codecs[verb]


def calibrate(bench: Bench) -> Calibration:
    """Measure what the model is fitted to."""
    return Calibration(
        round_trip_s=bench.round_trip(),
        attach_s=bench.attach(),
        read=fit({size: bench.command("read", size) for size in READ_SIZES}),
        small_write_s=bench.command("write", SMALL_WRITE),
        write=fit({size: bench.command("write", size) for size in WRITE_SIZES}),
        copy=fit({size: bench.copy(size) for size in COPY_SIZES}),
        snapshot=fit({size: bench.snapshot(size) for size in SNAPSHOT_SIZES}),
        codecs={name: MIB / bench.compress(name, MIB, CHUNK) for name in CODECS},
    )


@dataclass(frozen=True)
class Unseen:
    """An operation that no figure was fitted to: what was measured and what the model says, in seconds."""

    name: str
    measured_s: float
    predicted_s: float

    @property
    def error(self) -> float:
        """The relative error, negative where the model is too fast."""
        return self.predicted_s / self.measured_s - 1


def unseen(bench: Bench, model: Calibration) -> Iterator[Unseen]:
    """Measure operations at other sizes, and longer ones, and predict them."""
    for verb in ("read", "write"):
        for size in (8 * KIB, 16 * KIB, 64 * KIB, 128 * KIB):
            yield Unseen(f"{verb} {size // KIB} KiB", bench.command(verb, size), model.predict(verb, size, size))
        total, size = 8 * MIB, 64 * KIB
        yield Unseen(f"{verb} 8 MiB by 64 KiB", bench.sequence(verb, total, size), model.predict(verb, total, size))
    total, size = 8 * MIB, 128 * KIB
    yield Unseen("host copy of 8 MiB", bench.sequence("copy", total, size), model.predict("host copy", total, size))
    for total in (16 * MIB, 32 * MIB):
        yield Unseen(f"copy of {total // MIB} MiB", bench.copy(total), model.predict("copy", total))
    for total in (4 * MIB, 8 * MIB):
        yield Unseen(f"snapshot of {total // MIB} MiB", bench.snapshot(total), model.predict("snapshot", total))
    for name in CODECS:
        yield Unseen(f"{name} of 4 MiB", bench.compress(name, 4 * MIB, CHUNK), model.predict(name, 4 * MIB))


def as_profile(name: str, where: str, model: Calibration) -> str:
    """The calibration as TOML, with the names of the simulated profiles; `where` says on what it was measured."""
    figures = {
        "link_bytes_per_s": (round(model.read.bytes_per_s), "READ (16) of 4 KiB and of 256 KiB, their difference"),
        "round_trip_ns": (round(model.round_trip_s * 1e9), "TEST UNIT READY"),
        "service_ns": (round(model.read.start_s * 1e9), "READ (16), without its bytes"),
        "disk_read_bytes_per_s": (round(model.copy.bytes_per_s), "copying 4 MiB and 64 MiB, their difference"),
        "disk_write_bytes_per_s": (
            round(model.write.bytes_per_s),
            "WRITE (16) of 32 KiB and of 256 KiB, their difference",
        ),
        "control_ns": (round(model.copy.start_s * 1e9), "starting a copying process"),
        "attach_ns": (round(model.attach_s * 1e9), "login and logout"),
        "snapshot_ns": (round(model.snapshot.start_s * 1e9), "freezing and going on, without taking data"),
        "snapshot_bytes_per_s": (round(model.snapshot.bytes_per_s), "data taken while the target is frozen"),
    }
    lines = ["# Times in nanoseconds, bandwidths in bytes a second.", "", f'name = "{name}"', f'source = "{where}"', ""]
    lines += ["[figures]", *(f'{k} = {{ value = {v}, source = "measured: {s}" }}' for k, (v, s) in figures.items())]
    lines += ["", "[codecs]"]
    lines += [f'{k} = {{ bytes_per_s = {round(v)}, source = "measured" }}' for k, v in model.codecs.items()]
    return "\n".join(lines) + "\n"
