"""The testbed `iscsi-sim`: simulated iSCSI targets with redirect-on-write snapshots."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ClassVar

from harness.backend_jobs import JobEngine
from harness.runtime import SECOND
from harness.runtime.agenda import Agenda
from harness.schedule import Fault, later_source, random_source
from harness.testbed import LossPolicy
from simulated_backends.faults import FAULTS_OF_ANY_PROTOCOL
from simulated_backends.iscsi.session import CarrierSession, IscsiTarget, SessionTimes
from simulated_backends.iscsi.third_party_copy import CopyManager, ThirdPartyCopies
from simulated_backends.lines import KeepAlive
from simulated_backends.profiles import ProfileError, SimulatedProfile
from simulated_backends.route import Patience
from simulated_backends.testbed import SimulatedTestbed


class IscsiTestbed(SimulatedTestbed):
    """The testbed port on simulated iSCSI targets.

    A caller's host is its InitiatorName, its user the CHAP name. What a lost session leaves behind runs on to its end
    and only its status is discarded, as SPC-4 has it for third-party copies (sections 5.17.4.5 and 5.17.5).
    """

    name: ClassVar[str] = "iscsi-sim"
    protocol_keys: ClassVar[tuple[str, ...]] = (
        "nop_in_interval_ns",
        "nop_in_response_ns",
        "nop_out_interval_ns",
        "nop_out_timeout_ns",
        "replacement_timeout_ns",
        "login_timeout_ns",
        "target_time2wait_s",
        "target_time2retain_s",
        "initiator_time2wait_s",
        "initiator_time2retain_s",
    )
    faults: ClassVar[frozenset[str]] = FAULTS_OF_ANY_PROTOCOL | {
        "session.reinstate",
        "session.logout",
        "reservation.preempt",
    }
    families: Mapping[str, str] = {
        "primary": "simulated-iscsi",
        "sibling": "simulated-iscsi",
        "stranger": "another-iscsi",
    }

    def loss_policy(self, loaded: SimulatedProfile) -> LossPolicy:
        """Detection by NOP-In, then the negotiated Time2Wait and Time2Retain."""
        agreed = self._agreed(loaded)
        return LossPolicy(
            detection_ns=self._nop_in(loaded).detection_ns,
            time2wait_ns=agreed.time2wait_s * SECOND,
            time2retain_ns=agreed.time2retain_s * SECOND,
            abort_latency_ns=loaded.figures.abort_latency_ns,
            then="finish",
        )

    def patience(self, loaded: SimulatedProfile) -> Patience:
        """NOP-Out at the initiator, NOP-In at the target, a new login after Time2Wait, and replacement_timeout."""
        numbers = loaded.protocol
        return Patience(
            caller=self._keep_alive(loaded, "nop_out_interval_ns", "nop_out_timeout_ns"),
            backend=self._nop_in(loaded),
            wait_ns=self._agreed(loaded).time2wait_s * SECOND,
            give_up_ns=numbers["replacement_timeout_ns"],
            login_ns=numbers["login_timeout_ns"],
        )

    def host_session(self, host: str, backend: str) -> CarrierSession:
        """One session for each host and target, under an ISID that stays the same."""
        return CarrierSession(self._target(backend), self.recorder, host, backend)

    def session_layer(self, backend: str, env: Agenda, loaded: SimulatedProfile) -> IscsiTarget:
        """One target for each backend."""
        target_name = f"iqn.2010-10.org.openstack:{backend}"
        source = random_source(self.seed, "isid", backend)
        agreed = self._agreed(loaded)
        retain_s = agreed.time2wait_s + agreed.time2retain_s if agreed.time2retain_s else 0
        return IscsiTarget(env, target_name, source, retain_s * SECOND)

    def jobs(self, engine: JobEngine) -> ThirdPartyCopies:
        """Connection-specific jobs are third-party copies of the I_T nexus that started them."""
        return ThirdPartyCopies(engine, CopyManager(engine))

    def protocol_faults(self) -> Mapping[str, Callable[[Fault], None]]:
        """PREEMPT AND ABORT by an initiator that the testbed does not show, on every backend or the one named."""
        return {"reservation.preempt": self._preempt}

    def _preempt(self, fault: Fault) -> None:
        for backend in self._backends.values():  # of all testbeds of the world
            if fault.backend in ("", backend.name) and isinstance(backend.jobs, ThirdPartyCopies):
                backend.jobs.manager.preempt_and_abort(self._target(backend.name).nexuses_of(fault.caller))

    def _target(self, backend: str) -> IscsiTarget:
        target = self.backend(backend).sessions
        assert isinstance(target, IscsiTarget)
        return target

    def mint_identity(self, backend: str) -> Callable[[], str]:
        """NAA identifiers (format 6h), as a logical unit shows them in VPD page 83h."""
        source = later_source(self.seed, "identity", backend)
        return lambda: f"naa.6001405{source().getrandbits(100):025x}"

    @staticmethod
    def _agreed(loaded: SimulatedProfile) -> SessionTimes:
        numbers = loaded.protocol
        return _negotiated(
            (numbers["target_time2wait_s"], numbers["target_time2retain_s"]),
            (numbers["initiator_time2wait_s"], numbers["initiator_time2retain_s"]),
        )

    def _nop_in(self, loaded: SimulatedProfile) -> KeepAlive:
        return self._keep_alive(loaded, "nop_in_interval_ns", "nop_in_response_ns")

    @staticmethod
    def _keep_alive(loaded: SimulatedProfile, interval: str, response: str) -> KeepAlive:
        """The keep-alive that has these two numbers. Raises `ProfileError`."""
        for name, least in ((interval, 1), (response, 0)):
            if loaded.protocol[name] < least:
                raise ProfileError(f"{name} is {loaded.protocol[name]}; it must be at least {least}")
        return KeepAlive(loaded.protocol[interval], loaded.protocol[response])


@functools.lru_cache(maxsize=64)
def _negotiated(target: tuple[int, int], initiator: tuple[int, int]) -> SessionTimes:
    """What the ends agree on who have these times (Time2Wait, Time2Retain; seconds)."""
    return SessionTimes(*target).negotiated_with(SessionTimes(*initiator))
