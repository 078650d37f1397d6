"""What simulated backends share that can reach each other: one clock, one record, one fabric, one network of hosts."""

from __future__ import annotations

from collections.abc import Callable

from harness.recorder import Recorder
from harness.runtime.agenda import Agenda
from harness.runtime.virtual import VirtualRuntime
from simulated_backends.backend import SimulatedBackend
from simulated_backends.fabric import Fabric, Link
from simulated_backends.foreground import Lane
from simulated_backends.host_links import HostLinks
from simulated_backends.hosts import Hosts
from simulated_backends.lines import Network
from simulated_backends.network_faults import Narrowings
from simulated_backends.reply_faults import ReplyFaults
from simulated_backends.route import HostRoute

_WIDE = 1 << 62
"""Bytes a second of what is never the narrowest part of a path."""


class SimulatedWorld:
    """The world of one testbed, or of several that stand side by side, each with its backends.

    `port_bytes_per_s` gives the capacity of a host's port, None for what the testbed's profile says.
    """

    def __init__(
        self,
        make_fabric: Callable[[Agenda], Fabric] = Fabric,
        port_bytes_per_s: Callable[[str], int | None] = lambda host: None,
    ) -> None:
        self.clock = VirtualRuntime()
        self.recorder = Recorder(self.clock.now)
        self.fabric = make_fabric(self.clock.env)
        self.lane = Lane(self.clock, self.recorder)
        self.reply_faults = ReplyFaults()
        self.network = Network()
        self.narrowings = Narrowings(self.fabric)
        self.callers = Hosts(self.clock, self.network)
        self.routes: dict[tuple[str, str], HostRoute] = {}
        self.backends: dict[str, SimulatedBackend] = {}
        self._port_bytes_per_s = port_bytes_per_s
        self._ports: dict[str, HostLinks] = {}
        self._ways: dict[tuple[str, str], Link] = {}

    def port_of(self, host: str, bytes_per_s: int) -> HostLinks:
        """A host's port, made on first use, with that capacity unless the world knows better."""
        links = self._ports.get(host)
        if links is None:
            links = self._ports[host] = HostLinks.of(host, self._port_bytes_per_s(host) or bytes_per_s)
        return links

    def way_between(self, host: str, backend: str) -> Link:
        """What lies between the two ports, made on first use: wider than any port, and down while the two are parted.

        Streams, background I/O and backups of scenarios cross it besides the ports; hosts' own copies are held up by
        their sessions.
        """
        way = self._ways.get((host, backend))
        if way is None:
            way = self._ways[host, backend] = Link(f"way of {host} to {backend}", _WIDE)
        return way
