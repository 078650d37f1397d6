"""Faults of the network between hosts and backends: partitions, and ports that are slow or down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulated_backends.fabric import Fabric, Link
from simulated_backends.host_links import HostLinks
from simulated_backends.lines import Network
from simulated_backends.medium import Medium


class Narrowings:
    """What leaves links only a share of their capacity, of one fabric; those of one link multiply."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._nominal: dict[Link, int] = {}
        self._factors: dict[Link, list[float]] = {}

    def narrow(self, links: Sequence[Link], factor: float) -> Callable[[], None]:
        """Leave links a share of their capacity, 0 none. Returns what takes it back."""
        for link in links:
            self._nominal.setdefault(link, self._fabric.nominal(link))
            self._factors.setdefault(link, []).append(factor)
            self._apply(link)

        def restore() -> None:
            for link in links:
                self._factors[link].remove(factor)
                self._apply(link)

        return restore

    def _apply(self, link: Link) -> None:
        self._fabric.set_capacity(link, int(self._nominal[link] * math.prod(self._factors[link])))


class NetworkFaults:
    """Cuts and slows down what lies between hosts and backends.

    `links_of` gives a host's port, `way` what lies between a host and a backend; both are made on first use.
    `medium_of` gives the links of a backend.
    """

    def __init__(
        self,
        narrowings: Narrowings,
        network: Network,
        links_of: Callable[[str], HostLinks],
        way: Callable[[str, str], Link],
        medium_of: Callable[[str], Medium],
    ) -> None:
        self._narrowings = narrowings
        self._network = network
        self._links_of = links_of
        self._way = way
        self._medium_of = medium_of

    def part(self, host: str, backend: str) -> Callable[[], None]:
        """Cut what is between a host and a backend; "" is everybody. Returns what takes it back.

        The way between the two is down, or the port of one that is cut off from everybody, so that bulk transfers stand
        still, too.
        """
        self._network.cut(host, backend)
        if host and backend:
            restore = self._narrowings.narrow((self._way(host, backend),), 0.0)
        else:
            restore = self.slow(host, backend, 0.0)

        def heal() -> None:
            restore()
            self._network.heal(host, backend)

        return heal

    def slow(self, host: str, backend: str, factor: float) -> Callable[[], None]:
        """Leave a port (a backend's, or a host's where no backend is named) a share of its capacity; see `part`."""
        if backend:
            medium = self._medium_of(backend)
            links = (medium.port_in, medium.port_out)
        else:
            of_host = self._links_of(host)
            links = (of_host.port_in, of_host.port_out)
        return self._narrowings.narrow(links, factor)
