"""The backends of a scenario: each a simulated testbed of its own in one world, with the scenario's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from harness.backend_jobs import JobEngine
from harness.compression import canonical
from harness.model import GIB
from harness.runtime import SECOND
from harness.testbed import CodecFigure, Profile
from scenarios.backup_stream import BackupPath, Compressor, IscsiBackups, NfsBackups, _StreamedBackups
from scenarios.metering import MeteredFabric
from scenarios.model import Backend, Scenario
from simulated_backends.fabric import Link
from simulated_backends.iscsi.testbed import IscsiTestbed
from simulated_backends.nfs.testbed import NfsTestbed
from simulated_backends.profiles import SimulatedProfile, load_profile
from simulated_backends.testbed import SimulatedTestbed
from simulated_backends.world import SimulatedWorld

POLLS = 200
"""A caller polls a job about so often during the copy of the largest volume, unless the scenario says."""
_STEPS_OF_ENGINE = 5
"""The engine asks to be polled so often during the profile's whole copy."""
_LEAST_POLL_NS = 5_000_000


class _Planned:
    """What a scenario changes of a testbed: how often it is polled, and the codecs' figures."""

    plan: Backend
    poll_ns: int
    codecs: Mapping[str, CodecFigure]

    def published(self, loaded: SimulatedProfile) -> Profile:
        """The profile, with the scenario's codecs and polls."""
        profile: Profile = super().published(loaded)  # type: ignore[misc]
        codecs = MappingProxyType({**profile.codecs, **self.codecs})
        return replace(profile, codecs=codecs, whole_copy_ns=_STEPS_OF_ENGINE * self.poll_ns)


class _Iscsi(_Planned, IscsiTestbed):
    engine_class: type[JobEngine] = IscsiBackups


class _Nfs(_Planned, NfsTestbed):
    engine_class: type[JobEngine] = NfsBackups


class Backends:
    """The backends of a scenario in one world.

    `beds` are their testbeds by the backend's name; `compressors` the cores that compress, by machine.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.world = SimulatedWorld(MeteredFabric, self._port_of)
        self.codecs = {
            str(canonical(name)): CodecFigure(float(codec.speed), codec.ratio) for name, codec in scenario.codec.items()
        }
        flow = scenario.taskflow
        self.backup_link = Link("backup store", flow.backup_link or scenario.link.bandwidth)
        self.taskflow_cores = Compressor("taskflow", flow.cores)
        self.compressors = {"taskflow": self.taskflow_cores}
        self.beds: dict[str, SimulatedTestbed] = {}
        self.largest_bytes = max(group.size for group in scenario.volume.values())
        for name, backend in scenario.backend.items():
            self.beds[name] = self._bed(name, backend, seed)
        self.lines = self._lay_lines()

    @property
    def fabric(self) -> MeteredFabric:
        """The fabric of the world."""
        assert isinstance(self.world.fabric, MeteredFabric)
        return self.world.fabric

    def bed_of(self, backend: str, volume: str, fault: str = "") -> SimulatedTestbed:
        """The testbed of a backend, or else of the backend on which a volume is first; for neither the first one, of
        those that make a `fault` of that kind if there are any."""
        if not backend and volume:
            for name, group in self.scenario.volume.items():
                if volume.rpartition("-")[0] == name:
                    backend = group.backend
        if backend:
            return self.beds[backend]
        return next((bed for bed in self.beds.values() if fault in bed.faults), next(iter(self.beds.values())))

    def path_between(self, host: str, backend: str, direction: str) -> tuple[Link, ...]:
        """The links that a host reads a backend over, or writes it (`direction` is "read" or "write")."""
        bed, way = self.beds[backend], self.world.way_between(host, backend)
        port, medium = bed.links_of(host), bed.backend(backend).store.medium
        if direction == "write":
            return (port.port_out, medium.port_in, medium.disk_write, way)
        return (medium.disk_read, medium.port_out, port.port_in, way)

    def link_names(self) -> list[str]:
        """The names of all links but those that stand for processors, rates and the ways between ports."""
        scenario = self.scenario
        groups = [group.host for group in scenario.volume.values()]
        hosts = dict.fromkeys([*scenario.host, scenario.taskflow.host, *(host for host in groups if host is not None)])
        names = [f"{host} port {way}" for host in hosts for way in ("in", "out")]
        names += [line.name for line in self.lines]
        parts = ("disk read", "disk write", "port in", "port out")
        return [*names, *(f"{backend} {part}" for backend in scenario.backend for part in parts), self.backup_link.name]

    def slowest(self) -> int:
        """The bandwidth of the slowest disk or port of all backends, in bytes a second."""
        least = min(self.scenario.link.bandwidth, *(line.capacity for line in self.lines), 1 << 62)
        for bed in self.beds.values():
            for backend in bed.families:
                medium = bed.backend(backend).store.medium
                least = min(least, *(link.capacity for link in (medium.disk_read, medium.disk_write, medium.port_in)))
        return least

    def _lay_lines(self) -> list[Link]:
        """Put the scenario's lines between the backends; returns both directions of each."""
        to: dict[tuple[str, str], tuple[Link, ...]] = {}
        lines = []
        for name, line in self.scenario.line.items():
            for here, there in (line.between, line.between[::-1]):
                link = Link(f"{name} to {there}", line.bandwidth)
                to[here, there] = (*to.get((here, there), ()), link)
                lines.append(link)
        for backend, bed in self.beds.items():
            bed.backend(backend).store.pool.lines_to = lambda there, here=backend: to.get((here, there), ())  # type: ignore[misc]
        return lines

    def _port_of(self, host: str) -> int | None:
        plan = self.scenario.host.get(host)
        return plan.port if plan is not None and plan.port is not None else self.scenario.link.bandwidth

    def _bed(self, name: str, plan: Backend, seed: int) -> SimulatedTestbed:
        base = self._base(plan)
        members: dict[str, Any] = {"plan": plan, "codecs": self.codecs, "poll_ns": self._poll_ns(plan)}
        bed: SimulatedTestbed = type(base.__name__, (base,), members)(
            seed, self._options(plan), self.world, {name: plan.family}
        )
        cores = self.compressors[name] = Compressor(name, plan.cores)
        engine = bed.backend(name).engine
        assert isinstance(engine, _StreamedBackups)
        host = self.scenario.taskflow.host
        between = self.world.way_between(host, name)
        path = BackupPath(between, lambda: bed.links_of(host), self.backup_link, self.taskflow_cores)
        engine.stream_backups(self.fabric, path, cores)
        engine.replication_setup_ns = plan.replication_setup
        return bed

    @staticmethod
    def _base(plan: Backend) -> type[SimulatedTestbed]:
        return _Nfs if plan.profile == "nfs-sim" else _Iscsi

    def _options(self, plan: Backend) -> dict[str, Any]:
        options: dict[str, Any] = dict(plan.figures)
        options["link_bytes_per_s"] = plan.port or self.scenario.link.bandwidth
        given = {
            "disk_read_bytes_per_s": plan.read,
            "disk_write_bytes_per_s": plan.write,
            "pool_bytes": plan.pool,
            "job_slots": plan.job_slots,
            "round_trip_ns": self.scenario.link.round_trip,
        }
        return options | {key: value for key, value in given.items() if value is not None}

    def _poll_ns(self, plan: Backend) -> int:
        if plan.poll is not None:
            return max(1_000_000, plan.poll)
        figures = load_profile(plan.profile, self._base(plan).protocol_keys, self._options(plan)).figures
        disks = (figures.disk_read_bytes_per_s, figures.disk_write_bytes_per_s)
        slowest = min(figures.link_bytes_per_s, *disks)
        return max(_LEAST_POLL_NS, max(self.largest_bytes, GIB) * SECOND // slowest // POLLS)
