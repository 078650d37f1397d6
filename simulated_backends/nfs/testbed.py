"""The testbed `nfs-sim`: simulated NFSv4 servers whose snapshots are full copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from harness.runtime.agenda import Agenda
from harness.schedule import random_source
from harness.testbed import LossPolicy
from simulated_backends.nfs.clients import NfsServer
from simulated_backends.profiles import SimulatedProfile
from simulated_backends.testbed import SimulatedTestbed


class NfsTestbed(SimulatedTestbed):
    """The testbed port on simulated NFS servers.

    A caller's host is its client owner, its user the RPC principal. The state of a client whose lease has expired is
    released, its copies included (RFC 7862 section 4.8 lets a copy live as long as its client's state).
    """

    name: ClassVar[str] = "nfs-sim"
    protocol_keys: ClassVar[tuple[str, ...]] = ("lease_ns",)
    families: ClassVar[Mapping[str, str]] = {
        "primary": "simulated-nfs",
        "sibling": "simulated-nfs",
        "stranger": "another-nfs",
    }

    def loss_policy(self, loaded: SimulatedProfile) -> LossPolicy:
        """The loss is noticed when the lease expires; nothing is retained then."""
        return LossPolicy(
            detection_ns=loaded.protocol["lease_ns"],
            time2wait_ns=0,
            time2retain_ns=0,
            abort_latency_ns=loaded.figures.abort_latency_ns,
            then="abort",
        )

    def session_layer(self, backend: str, env: Agenda, loaded: SimulatedProfile) -> NfsServer:
        """One server for each backend."""
        return NfsServer(env, loaded.protocol["lease_ns"], random_source(self.seed, "clients", backend))

    def mint_identity(self, backend: str) -> Callable[[], str]:
        """NFS file handles."""
        source = random_source(self.seed, "identity", backend)
        return lambda: f"fh.{source.getrandbits(128):032x}"
