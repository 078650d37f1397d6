"""Profiles of the simulated backends: every figure with its source, in TOML beside this module.

A profile file has `name`, `source`, a table `figures` of `{ value, source }`, and a table `codecs` of
`{ bytes_per_s, ratio, source }`.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from types import MappingProxyType
from typing import Any

from harness.model import GIB
from harness.runtime import SECOND
from harness.testbed import JOB_VERBS, CodecFigure, LossPolicy, Profile

SNAPSHOT_KINDS = ("copy-on-write", "redirect-on-write", "full-copy")
"""How a backend takes a snapshot: blocks are shared and it takes a fixed time, or all of them are copied. Under
copy-on-write the first write to a block after a snapshot moves the old block away first."""

SHARING_KINDS = ("copy-on-write", "redirect-on-write")
"""Those whose snapshots share blocks with their volume."""

PROVISIONING = ("thin", "thick")
"""Whether an object takes the room of what was written, or of its whole size from the start."""


class ProfileError(ValueError):
    """A profile, or an option that overrides one of its figures, is not valid; the message says what and where."""


@dataclass(frozen=True)
class Figures:
    """The figures of a simulated backend. Bandwidths in bytes a second, times in nanoseconds, sizes in bytes.

    `snapshot_ns` is the time that a snapshot takes which shares blocks, `service_ns` and `service_jitter_ns` the least
    time and the spread of one foreground block at the disk, `disk_queue` whether the disk serves the single reads and
    writes of all hosts one at a time, first come, first served, instead of all at once, `write_cache_bytes` how much a
    volume may have in the write cache that a hold flushes once it has drained, `control_ns` a short operation such as
    a delete, `attach_ns` an attachment, `suspend_limit_ns` how long writes can be suspended at most, `stall_limit_ns`
    how long a listed method may hold a write (Q-8), `job_slots` how many array jobs run at a time, `fixed_job_verbs`
    the verbs (separated by commas) of those that can't be aborted, `steady_job_verbs` those of the ones that can't be
    paused, `consecutive_handles` whether jobs are numbered instead of named at random, and `volume_gib` the size of
    the volumes that checks work on.
    """

    link_bytes_per_s: int
    disk_read_bytes_per_s: int
    disk_write_bytes_per_s: int
    pool_bytes: int
    round_trip_ns: int
    service_ns: int
    service_jitter_ns: int
    disk_queue: bool
    write_cache_bytes: int
    control_ns: int
    attach_ns: int
    provisioning: str
    snapshot_kind: str
    snapshot_ns: int
    snapshots_depend_on_volume: bool
    abort_latency_ns: int
    max_hold_ns: int
    quiesce_timeout_ns: int
    retention_ns: int
    job_slots: int
    fixed_job_verbs: str
    consecutive_handles: bool
    volume_gib: int
    steady_job_verbs: str
    settle_ns: int
    think_ns: int
    suspend_limit_ns: int
    stall_limit_ns: int

    def __post_init__(self) -> None:
        if self.snapshot_kind not in SNAPSHOT_KINDS:
            known = ", ".join(SNAPSHOT_KINDS)
            raise ProfileError(f"snapshot_kind is {self.snapshot_kind!r}; it must be one of {known}")
        if self.provisioning not in PROVISIONING:
            raise ProfileError(f"provisioning is {self.provisioning!r}; it must be one of {', '.join(PROVISIONING)}")
        for name, verbs in (("fixed_job_verbs", self.not_abortable), ("steady_job_verbs", self.not_pausable)):
            unknown = sorted(verbs - set(JOB_VERBS))
            if unknown:
                raise ProfileError(f"{name} has {', '.join(unknown)}; known are {', '.join(JOB_VERBS)}")
        for figure in fields(self):
            value = getattr(self, figure.name)
            least = 1 if figure.name.endswith("bytes_per_s") or figure.name in ("job_slots", "volume_gib") else 0
            if isinstance(value, int) and value < least:
                raise ProfileError(f"{figure.name} is {value}; it must be at least {least}")

    @property
    def is_thin(self) -> bool:
        """Whether room is taken as blocks are written."""
        return self.provisioning == "thin"

    @property
    def not_abortable(self) -> frozenset[str]:
        """`fixed_job_verbs` as a set."""
        return _verbs(self.fixed_job_verbs)

    @property
    def not_pausable(self) -> frozenset[str]:
        """`steady_job_verbs` as a set."""
        return _verbs(self.steady_job_verbs)

    @property
    def whole_copy_ns(self) -> int:
        """How long a copy of a volume of `volume_gib` within the backend takes while nothing else is under way."""
        slowest = min(self.disk_read_bytes_per_s, self.disk_write_bytes_per_s)
        return -(-self.volume_gib * GIB * SECOND // slowest)


@functools.lru_cache(maxsize=64)
def _verbs(text: str) -> frozenset[str]:
    return frozenset(verb for part in text.split(",") if (verb := part.strip()))


@dataclass(frozen=True)
class SimulatedProfile:
    """A profile as it was read: its figures, its codecs, and the numbers and switches of the protocol (`protocol`)."""

    name: str
    source: str
    figures: Figures
    codecs: Mapping[str, CodecFigure]
    protocol: Mapping[str, int]

    def published(self, loss: LossPolicy) -> Profile:
        """The profile as the testbed port shows it, with the protocol's loss policy."""
        figures = self.figures
        return Profile(
            name=self.name,
            source=self.source,
            loss=loss,
            max_hold_ns=figures.max_hold_ns,
            quiesce_timeout_ns=figures.quiesce_timeout_ns,
            retention_ns=figures.retention_ns,
            settle_ns=figures.settle_ns,
            whole_copy_ns=figures.whole_copy_ns,
            volume_gib=figures.volume_gib,
            snapshots_depend_on_volume=figures.snapshots_depend_on_volume,
            codecs=self.codecs,
            think_ns=figures.think_ns,
            stall_limit_ns=figures.stall_limit_ns,
        )


def load_profile(name: str, protocol_keys: tuple[str, ...], options: Mapping[str, Any]) -> SimulatedProfile:
    """Read the profile `name`; `options` override figures and protocol numbers by their names.

    `protocol_keys` are the numbers and switches that the protocol wants in the table `protocol`. Raises `ProfileError`.
    A profile is read once in a process; an edited file counts from the next process on.
    """
    if all(type(value) in _TYPES.values() for value in options.values()):
        # with the types, because True and 1 are equal and only one of them is a number
        return _load(name, protocol_keys, tuple((key, type(value), value) for key, value in options.items()))
    return parse_profile(_text(name), f"profile {name}", protocol_keys, options)


@functools.lru_cache(maxsize=64)
def _load(name: str, protocol_keys: tuple[str, ...], options: tuple[tuple[str, type, Any], ...]) -> SimulatedProfile:
    return parse_profile(_text(name), f"profile {name}", protocol_keys, {key: value for key, _, value in options})


@functools.cache
def _text(name: str) -> str:
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def parse_profile(
    text: str, where: str, protocol_keys: tuple[str, ...], options: Mapping[str, Any]
) -> SimulatedProfile:
    """See `load_profile`; `where` names the text in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{where} is not TOML: {error}") from None
    _check_keys(where, data, ("name", "source", "figures", "codecs", "protocol"))
    types = {figure.name: str(figure.type) for figure in fields(Figures)}
    numbers = {key: _kind(data["protocol"], key) for key in protocol_keys}
    unknown = sorted(set(options) - set(types) - set(numbers))
    if unknown:
        known = ", ".join(sorted({**types, **numbers}))
        raise ProfileError(f"unknown option {', '.join(unknown)}; {where} has {known}")
    figures = _values(f"{where}, figures", data["figures"], types, options)
    protocol = _values(f"{where}, protocol", data["protocol"], numbers, options)
    for key, value in protocol.items():
        if value < 0:
            raise ProfileError(f"{where}, protocol: {key} is {value}; it must be at least 0")
    codecs = {codec: _codec(f"{where}, codec {codec}", entry) for codec, entry in data["codecs"].items()}
    # read-only, because testbeds share it
    return SimulatedProfile(
        data["name"], data["source"], Figures(**figures), MappingProxyType(codecs), MappingProxyType(protocol)
    )


def _kind(table: object, key: str) -> str:
    """The type of a protocol entry: a switch where the profile has one, else a number."""
    entry = table.get(key) if isinstance(table, Mapping) else None
    return "bool" if isinstance(entry, Mapping) and isinstance(entry.get("value"), bool) else "int"


_TYPES: Mapping[str, type] = {"int": int, "bool": bool, "str": str}


def _values(
    where: str, entries: Mapping[str, Any], types: Mapping[str, str], options: Mapping[str, Any]
) -> dict[str, Any]:
    _check_keys(where, entries, tuple(types))
    values = {}
    for key, type_name in types.items():
        _check_keys(f"{where}, {key}", entries[key], ("value", "source"))
        value = options.get(key, entries[key]["value"])
        if type(value) is not _TYPES[type_name]:
            raise ProfileError(f"{where}: {key} must be {type_name}, not {value!r}")
        values[key] = value
    return values


def _codec(where: str, entry: Mapping[str, Any]) -> CodecFigure:
    _check_keys(where, entry, ("bytes_per_s", "ratio", "source"))
    throughput, ratio = entry["bytes_per_s"], entry["ratio"]
    for key, value in (("bytes_per_s", throughput), ("ratio", ratio)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise ProfileError(f"{where}: {key} must be a number above 0, not {value!r}")
    return CodecFigure(throughput=float(throughput), ratio=float(ratio))


def _check_keys(where: str, table: object, keys: tuple[str, ...]) -> None:
    if not isinstance(table, Mapping):
        raise ProfileError(f"{where} must be a table with {', '.join(keys)}")
    unknown = sorted(set(table) - set(keys))
    missing = [key for key in keys if key not in table]
    if unknown:
        raise ProfileError(f"{where} has unknown keys: {', '.join(unknown)}; known are {', '.join(keys)}")
    if missing:
        raise ProfileError(f"{where} lacks {', '.join(missing)}")
