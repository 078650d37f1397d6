"""What one table of a scenario says of another: names that have to exist, keys that go together, sizes that fit.

Every check looks at those tables that are in order by themselves, so that all errors of a file are told at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.compression import TECHNIQUES, canonical
from harness.contract import METHODS
from harness.loading import CandidateError, CandidateSpec
from harness.model import GIB
from harness.names import did_you_mean
from harness.runtime import SECOND
from harness.schedule import FAULT_KINDS
from harness.storage import BLOCK
from scenarios.cinder_today import PLAYED
from scenarios.measure_names import MEASURES
from scenarios.model import (
    About,
    Backend,
    Background,
    Codec,
    Do,
    Driver,
    FaultTable,
    Host,
    Line,
    NetworkLink,
    Operation,
    Practice,
    Stream,
    TaskflowTable,
    Variant,
    VolumeGroup,
    Workload,
)
from scenarios.quantities import rate_text, size_text
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.profiles import Figures, ProfileError, load_profile

RESTART = "taskflow.restart"
"""The fault that only scenarios know."""

_T = TypeVar("_T", bound=BaseModel)
_PROTOCOL_KEYS = {"iscsi-sim": IscsiTestbed.protocol_keys, "nfs-sim": NfsTestbed.protocol_keys}
_SET_ELSEWHERE = {
    "link_bytes_per_s": "port",
    "disk_read_bytes_per_s": "read",
    "disk_write_bytes_per_s": "write",
    "pool_bytes": "pool",
    "job_slots": "job_slots",
    "volume_gib": "poll",
}
"""Figures of a profile that a backend has a key for."""


class _Draft:
    """The tables of a scenario that are in order by themselves, and the names of all."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self.about = _table(About, data.get("scenario"))
        self.link = _table(NetworkLink, data.get("link", {})) or NetworkLink()
        self.taskflow = _table(TaskflowTable, data.get("taskflow", {})) or TaskflowTable()
        self.backends = self._tables("backend", Backend)
        self.lines = self._tables("line", Line)
        self.drivers = self._tables("driver", Driver)
        self.hosts = self._tables("host", Host)
        self.volumes = self._tables("volume", VolumeGroup)
        self.workloads = self._tables("workload", Workload)
        self.streams = self._tables("stream", Stream)
        self.backgrounds = self._tables("background", Background)
        self.operations = self._tables("operation", Operation)
        self.faults = self._tables("fault", FaultTable)
        self.codecs = self._tables("codec", Codec)
        self.variants = self._tables("variant", Variant)

    def names(self, kind: str) -> list[str]:
        """The names of all tables of a kind, in order or not."""
        tables = self._data.get(kind)
        return list(tables) if isinstance(tables, dict) else []

    def raw(self, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The tables of a kind as they were read, in order or not, with their names."""
        return [(name, table) for name in self.names(kind) if isinstance(table := self._data[kind][name], dict)]

    def _tables(self, kind: str, model: type[_T]) -> dict[str, _T]:
        tables = self._data.get(kind)
        found = ((name, _table(model, table)) for name, table in tables.items()) if isinstance(tables, dict) else ()
        return {name: table for name, table in found if table is not None}


def _table(model: type[_T], data: object) -> _T | None:
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError:
        return None


def problems_between(data: Mapping[str, Any]) -> list[str]:
    """What is wrong between the tables of a scenario, as sentences."""
    draft = _Draft(data)
    return [problem for check in _CHECKS for problem in check(draft)]


def _unknown(path: str, name: str, kind: str, known: list[str]) -> str:
    return f"{path} is {name!r}; there is no {kind} of that name: {did_you_mean(name, known)}"


_REFERENCES = (
    ("backend", "driver", "driver"),
    ("volume", "backend", "backend"),
    ("volume", "host", "host"),
    ("workload", "volume", "volume"),
    ("stream", "host", "host"),
    ("stream", "backend", "backend"),
    ("background", "host", "host"),
    ("background", "backend", "backend"),
    ("operation", "volume", "volume"),
    ("operation", "to", "backend"),
    ("operation", "after", "operation"),
    ("fault", "backend", "backend"),
)
"""Keys that name a table: the kind of the table that has the key, the key, the kind that it names."""


def _references(draft: _Draft) -> Iterator[str]:
    also = {"host": [draft.taskflow.host], "driver": ["reference"]}
    for kind, key, named in _REFERENCES:
        known = [*draft.names(named), *also.get(named, [])]
        for name, table in draft.raw(kind):
            value = table.get(key)
            if isinstance(value, str) and value and value not in known:
                yield _unknown(f"{kind}.{name}.{key}", value, named, known)


def _about(draft: _Draft) -> Iterator[str]:
    if draft.about is None:
        return
    for name in draft.about.measures:
        if name not in MEASURES:
            yield f"scenario.measures has {name!r}, which is not measured: {did_you_mean(name, list(MEASURES))}"
    baseline = draft.about.baseline
    if baseline and baseline not in draft.names("variant"):
        yield _unknown("scenario.baseline", baseline, "variant", draft.names("variant"))


def _backends(draft: _Draft) -> Iterator[str]:
    protocols: dict[str, tuple[str, str]] = {}
    for name, backend in draft.backends.items():
        first = protocols.setdefault(backend.family, (name, backend.profile))
        if first[1] != backend.profile:
            yield (
                f"backend.{name}.family is {backend.family!r}, as that of {first[0]}, but their profiles differ "
                f"({backend.profile}, {first[1]}); backends of one family have one profile"
            )
        for figure in backend.figures:
            if figure in _SET_ELSEWHERE:
                path = f"backend.{name}.figures.{figure}"
                yield f"{path}: it is set by backend.{name}.{_SET_ELSEWHERE[figure]}, with its unit"
        try:
            profile = load_profile(backend.profile, _PROTOCOL_KEYS[backend.profile], backend.figures)
        except ProfileError as error:
            yield f"backend.{name}.figures: {error}"
            continue
        pool = backend.pool or profile.figures.pool_bytes
        wanted = sum(group.size * group.count for group in draft.volumes.values() if group.backend == name)
        if wanted > pool:
            yield (
                f"backend.{name}.pool is {size_text(pool)}, too few for its volumes, which take {size_text(wanted)} "
                "together; make it larger, or the volumes fewer"
            )


def _lines(draft: _Draft) -> Iterator[str]:
    for name, line in draft.lines.items():
        for backend in line.between:
            if backend not in draft.names("backend"):
                yield _unknown(f"line.{name}.between", backend, "backend", draft.names("backend"))
        if line.between[0] == line.between[1]:
            yield f"line.{name}.between names {line.between[0]} twice; expected two backends"


def _drivers(draft: _Draft) -> Iterator[str]:
    for name, driver in draft.drivers.items():
        try:
            CandidateSpec.for_driver(driver.target)
        except CandidateError as error:
            yield f"driver.{name}.target is {driver.target!r}: {error}"
        publication = driver.publication
        if publication is None:
            continue
        for method in publication.stateless_activities or ():
            if method not in METHODS:
                path = f"driver.{name}.publication.stateless_activities"
                yield f"{path} has {method!r}, which is no method: {did_you_mean(method, list(METHODS))}"
        for technique in publication.backup_compression_techniques or ():
            if canonical(technique) is None:
                path = f"driver.{name}.publication.backup_compression_techniques"
                yield f"{path} has {technique!r}, which is not known: {did_you_mean(technique, TECHNIQUES)}"


def _volumes(draft: _Draft) -> Iterator[str]:
    for name, group in draft.volumes.items():
        if group.size % GIB or not group.size:
            yield f"volume.{name}.size is {group.size} bytes; expected whole GiB, at least 1, as Cinder has them"


def _workloads(draft: _Draft) -> Iterator[str]:
    first: dict[str, str] = {}
    for name, load in draft.workloads.items():
        if first.setdefault(load.volume, name) != name:
            yield (
                f"workload.{name}.volume is {load.volume!r}, as that of workload.{first[load.volume]}; what two do to "
                "one volume can't be told apart: give it one workload, or volumes of its own"
            )
        if load.area is not None and load.area < load.block and load.replay is None:
            area, block = size_text(load.area), size_text(load.block)
            yield f"workload.{name}.area is {area}, smaller than one I/O, its block of {block}; make it larger"
        group = draft.volumes.get(load.volume)
        if group is not None and group.host is None:
            remedy = f"set volume.{load.volume}.host"
            yield f"workload.{name}.volume is {load.volume!r}, which no host has attached; {remedy}"
        for key, value in (("block", load.block), ("area", load.area)):
            if value is not None and (value % BLOCK or not value):
                yield f"workload.{name}.{key} is {value} bytes; expected a multiple of {BLOCK}, the block of volumes"
        if group is not None and (load.area or load.block) > group.size:
            yield f"workload.{name}.area is larger than the volumes of {load.volume}, {group.size} bytes"
        if load.rate is not None and load.replay is not None:
            yield f"workload.{name}: it has both rate and replay; keep one"


def _backgrounds(draft: _Draft) -> Iterator[str]:
    for name, load in draft.backgrounds.items():
        path, rate = f"background.{name}", rate_text(load.rate)
        if load.block % BLOCK or not 0 < load.block <= GIB:
            what = f"expected a multiple of {BLOCK}, the block of volumes, up to 1 GiB"
            yield f"{path}.block is {load.block} bytes; {what}"
        elif not 1 / 3600 <= load.rate <= 1_000_000:
            yield f"{path}.rate is {rate}; expected from 1 /h to 1,000,000 /s"
        elif (most := _served(draft, load)) is not None and load.rate >= most:
            served = f"served one after the other, {most:,.6g} /s of {size_text(load.block)} are the most"
            yield f"{path}.rate is {rate}; {served}, so that the queue would only grow: lower the rate"
        figures = _figures(draft, load.backend)
        if figures is not None and figures.disk_queue:
            yield (
                f"{path}.backend is {load.backend!r}, whose figure disk_queue has its disk serve all I/Os one at a "
                "time, but background I/O waits only behind that of its own table; have a workload instead, or set "
                f"backend.{load.backend}.figures.disk_queue = false"
            )


def _figures(draft: _Draft, backend: str) -> Figures | None:
    """The figures of a backend; None for one that is told of by other checks."""
    plan = draft.backends.get(backend)
    if plan is None:
        return None
    try:
        return load_profile(plan.profile, _PROTOCOL_KEYS[plan.profile], plan.figures).figures
    except ProfileError:
        return None


def _served(draft: _Draft, load: Background) -> float | None:
    """How many a second of a background's I/Os its link and disk serve while nothing else happens, if that is known."""
    backend, host = draft.backends.get(load.backend), draft.hosts.get(load.host, Host())
    figures = _figures(draft, load.backend)
    if backend is None or figures is None:
        return None
    disk = backend.read or figures.disk_read_bytes_per_s
    if load.direction == "write":
        disk = backend.write or figures.disk_write_bytes_per_s
    link = min(disk, backend.port or draft.link.bandwidth, host.port or draft.link.bandwidth)
    return min(link / load.block, SECOND / max(1.0, figures.service_ns + figures.service_jitter_ns / 2))


def _operations(draft: _Draft) -> Iterator[str]:
    for name, operation in draft.operations.items():
        path = f"operation.{name}"
        moving = operation.do in (Do.REPLICATE, Do.MIGRATE, Do.RETYPE)
        group = draft.volumes.get(operation.volume)
        if moving and operation.to is None:
            yield f"{path}.to is missing; {operation.do} needs the backend that it goes to"
        if not moving and operation.to is not None:
            yield f"{path}.to is {operation.to!r}; {operation.do} has no destination, leave it out"
        if moving and group is not None and operation.to == group.backend:
            yield f"{path}.to is {operation.to!r}, where {operation.volume} is already"
        if operation.do is Do.EXTEND and (operation.grow is None or operation.grow % GIB or not operation.grow):
            yield f"{path}.grow: extend_volume needs by how much, in whole GiB"
        if operation.times > 1 and operation.every is None:
            yield f"{path}.every is missing; it says when the {operation.times} times begin"
        if operation.times > 1 and operation.do in (Do.MIGRATE, Do.RETYPE, Do.DELETE):
            yield f"{path}.times is {operation.times}; {operation.do} can be done once to a volume"
        if operation.do is Do.DELETE and group is not None and group.host is not None:
            yield f"{path}: {operation.volume} is attached to {group.host}, and attached volumes can't be deleted"
        for technique in operation.techniques:
            if canonical(technique) is None:
                yield f"{path}.techniques has {technique!r}, which is not known: {did_you_mean(technique, TECHNIQUES)}"
        if not operation.techniques:
            yield f"{path}.techniques is empty; 'none' is a technique too"
        seen = [name]
        while (after := draft.operations[seen[-1]].after) is not None and after in draft.operations:
            if after in seen:
                circle = " after ".join([*seen, after])
                yield f"{path}.after is {operation.after!r}: {circle}; one has to begin by itself"
                break
            seen.append(after)


def _practices(draft: _Draft) -> Iterator[str]:
    for name, operation in draft.operations.items():
        path = f"operation.{name}"
        if operation.practice is Practice.CINDER:
            if operation.do not in PLAYED:
                yield f"{path}.practice is 'cinder'; played so are {', '.join(PLAYED)}, not {operation.do}"
            continue
        for key in ("temporary", "force", "ask_again"):
            if key in operation.model_fields_set:
                yield f"{path}.{key} is about Cinder as it is today; set {path}.practice = 'cinder', or leave it out"


def _faults(draft: _Draft) -> Iterator[str]:
    kinds = [*FAULT_KINDS, RESTART]
    for name, fault in draft.faults.items():
        if fault.kind not in kinds:
            yield f"fault.{name}.kind is {fault.kind!r}, which is not known: {did_you_mean(fault.kind, kinds)}"
        if (fault.at is None) == (not fault.on):
            yield f"fault.{name}: it needs either `at`, an instant, or `on`, the kind of an event"
        if fault.kind != RESTART and (fault.host or fault.user):
            yield f"fault.{name}: host and user belong to {RESTART}; a fault of a machine names it as `caller`"


def _codecs(draft: _Draft) -> Iterator[str]:
    for name in draft.codecs:
        if canonical(name) in (None, "none"):
            yield f"codec.{name}: it is no technique that compresses: {did_you_mean(name, TECHNIQUES[1:])}"


def _names(draft: _Draft) -> Iterator[str]:
    """A name that is a key would make paths without a name ambiguous."""
    models: tuple[tuple[str, type[BaseModel]], ...] = (
        ("backend", Backend),
        ("driver", Driver),
        ("host", Host),
        ("line", Line),
        ("volume", VolumeGroup),
        ("workload", Workload),
        ("stream", Stream),
        ("background", Background),
        ("operation", Operation),
        ("fault", FaultTable),
        ("codec", Codec),
    )
    for kind, model in models:
        keys = {field.alias or name for name, field in model.model_fields.items()}
        for name, _ in draft.raw(kind):
            if name in keys:
                yield f"{kind}.{name}: {name!r} is a key of such tables; choose another name"


_CHECKS: tuple[Callable[[_Draft], Iterator[str]], ...] = (
    _names,
    _references,
    _about,
    _backends,
    _lines,
    _drivers,
    _volumes,
    _workloads,
    _backgrounds,
    _operations,
    _practices,
    _faults,
    _codecs,
)
