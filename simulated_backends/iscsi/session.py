"""iSCSI sessions (RFC 7143) as far as handles, foreground I/O and the loss of connections need them.

A session is an I_T nexus: the initiator port (InitiatorName and ISID) and the target port (TargetName and target
portal group tag, section 4.4). A driver's connection is a session of one connection, with an ISID of its own; the
foreground I/O of a host goes over one session for each target, whose ISID stays the same. The target notices a dropped
connection when a NOP-In ping stays unanswered, the initiator likewise by NOP-Out (section 11.18, 11.19); neither costs
an event while all is well.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from harness.contract import ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime.agenda import Agenda, Alarm
from simulated_backends.iscsi.login import Secrets, authenticate

_PORTAL_GROUP_TAG = 1


@dataclass(frozen=True)
class SessionTimes:
    """The operational keys DefaultTime2Wait and DefaultTime2Retain, in seconds (0 to 3600)."""

    time2wait_s: int
    time2retain_s: int

    def __post_init__(self) -> None:
        for key, value in (("DefaultTime2Wait", self.time2wait_s), ("DefaultTime2Retain", self.time2retain_s)):
            if not 0 <= value <= 3600:
                raise ValueError(f"{key} is {value} s; it must be 0 to 3600")

    def negotiated_with(self, other: SessionTimes) -> SessionTimes:
        """What both ends agree on: the larger Time2Wait, the smaller Time2Retain (RFC 7143 sections 13.15, 13.16)."""
        return SessionTimes(
            max(self.time2wait_s, other.time2wait_s),
            min(self.time2retain_s, other.time2retain_s),
        )


@dataclass(frozen=True)
class Session:
    """One session. `initiator_name` and `isid` name the initiator port, `chap_user` who authenticated."""

    initiator_name: str
    isid: str
    target_name: str
    portal_group_tag: int
    chap_user: str

    @property
    def nexus(self) -> str:
        """The I_T nexus: both port names; the initiator's IP address is no part of it."""
        return f"{self.initiator_name},i,0x{self.isid},{self.target_name},t,0x{self.portal_group_tag:04x}"


class IscsiTarget:
    """The sessions of one target; implements `simulated_backends.backend.SessionLayer`.

    `source` draws ISIDs and CHAP challenges. `retain_ns` is how long (ns) a session whose connection is lost is kept
    for recovery: Time2Wait and Time2Retain, or nothing where Time2Retain is 0 (RFC 7143 section 13.16). `secrets` are
    the CHAP secrets that the target knows, `initiators` those of the hosts. What was started on a session is the job
    engine's.

    Retention is of use to tasks only at ErrorRecoveryLevel 2, where a task can be given a new allegiance (section
    7.2.2); this target has level 0, as LIO and open-iscsi do. There tasks end when the session is reinstated or closed
    (section 6.3.5), else when it times out after that time (RFC 7143 on implicit termination of tasks), which is the
    loss of the I_T nexus.
    """

    def __init__(self, env: Agenda, target_name: str, source: random.Random, retain_ns: int = 0) -> None:
        self.target_name = target_name
        self.retain_ns = retain_ns
        self.secrets = Secrets()
        self.initiators = Secrets()
        self._env = env
        self._source = source
        self._challenge_seed = source.getrandbits(64)
        self._challenge_source: random.Random | None = None
        self._sessions: dict[str, Session] = {}
        self._retained: dict[str, Alarm] = {}
        self._carriers: dict[str, Session] = {}

    def log_in(self, caller: Caller) -> str:
        """Open a session and return its nexus. Raises `ConnectionLost` as `authenticate` does."""
        self._authenticate(caller.host, caller.user)
        session = self._new_session(caller)
        while (nexus := session.nexus) in self._sessions:
            session = self._new_session(caller)
        self._sessions[nexus] = session
        return nexus

    def ended(self, connection_id: str, broke: bool) -> None:
        """See `simulated_backends.backend.SessionLayer.ended`. It is a logout: of a connection that broke a target is
        told by `timed_out`, having found out by its NOP-In."""
        self._drop(connection_id)

    def timed_out(self, connection_id: str) -> None:
        """See `simulated_backends.backend.SessionLayer.timed_out`: the session is kept for `retain_ns` first."""
        if self.retain_ns:
            self._retained[connection_id] = self._env.alarm(self.retain_ns, lambda: self._drop(connection_id))
        else:
            self._drop(connection_id)

    def reinstated(self, host: str) -> int:
        """See `simulated_backends.backend.SessionLayer.reinstated` (RFC 7143 section 6.3.5)."""
        taken = [nexus for nexus in self._retained if self._sessions[nexus].initiator_name == host]
        for nexus in taken:
            self._drop(nexus)
        return len(taken)

    def heard(self, connection_id: str, is_heard: bool) -> bool:
        """See `simulated_backends.backend.SessionLayer.heard`; a target finds out by its NOP-In, and not before."""
        return True

    def host_restarted(self, host: str) -> None:
        """See `simulated_backends.backend.SessionLayer.host_restarted`; its next login reinstates what is left."""

    def power_off(self, for_ns: int) -> None:
        """See `simulated_backends.backend.SessionLayer.power_off`; connections are dropped one by one, what was
        retained of others is forgotten now."""
        for nexus in tuple(self._retained):
            self._drop(nexus)

    def known(self) -> int:
        """See `simulated_backends.backend.SessionLayer.known`; sessions that carry foreground I/O don't count."""
        return len(self._sessions)

    def nexuses_of(self, initiator_name: str) -> tuple[str, ...]:
        """The I_T nexuses of an initiator's drivers whose sessions stand here, in the order of their logins.

        A session whose connection is lost stands until the target notices, and as long as it is kept after that.
        """
        return tuple([nexus for nexus, session in self._sessions.items() if session.initiator_name == initiator_name])

    def open_carrier(self, host: str) -> bool:
        """Log in a host's session for foreground I/O, under the one ISID that its initiator has for this target.

        A session that is there already under the same InitiatorName, ISID and portal group tag is reinstated: it is
        logged out implicitly, with all its tasks, before the new one is there (RFC 7143 sections 6.3.5 and 11.12).
        Returns whether that was so. Raises `ConnectionLost` as `log_in` does.
        """
        self._authenticate(host, host)
        session = self._carrier_of(host)
        was_there = session.nexus in self._carriers
        self._carriers[session.nexus] = session
        return was_there

    def has_carrier(self, host: str) -> bool:
        """Whether a host's session for foreground I/O stands here."""
        return self._carrier_of(host).nexus in self._carriers

    def drop_carrier(self, host: str) -> None:
        """Drop a host's session for foreground I/O. Harmless when there is none."""
        self._carriers.pop(self._carrier_of(host).nexus, None)

    def carrier_timed_out(self, host: str) -> None:
        """Give the connection of a host's session for foreground I/O up by NOP-In; it is retained as in `timed_out`,
        unless it is reinstated meanwhile."""
        nexus = self._carrier_of(host).nexus
        lost = self._carriers.get(nexus)

        def drop() -> None:
            if self._carriers.get(nexus) is lost:
                del self._carriers[nexus]

        if lost is None:
            return
        if self.retain_ns:
            self._env.alarm(self.retain_ns, drop)
        else:
            drop()

    def carriers(self) -> tuple[Session, ...]:
        """The sessions that carry foreground I/O, in the order of their first login."""
        return tuple(self._carriers.values())

    def _authenticate(self, host: str, user: str) -> None:
        if not host or not user:
            raise ConnectionLost(f"{self.target_name} refuses a login without InitiatorName and CHAP name")
        authenticate(user, self.initiators, self.secrets, self._challenges)

    def _challenges(self) -> random.Random:
        if self._challenge_source is None:
            self._challenge_source = random.Random(self._challenge_seed)
        return self._challenge_source

    def _new_session(self, caller: Caller) -> Session:
        # the two top bits 10b: an ISID of the "random" format, 24 bits of it drawn, 16 bits of qualifier
        isid = f"80{self._source.getrandbits(24):06x}{self._source.getrandbits(16):04x}"
        return Session(caller.host, isid, self.target_name, _PORTAL_GROUP_TAG, caller.user)

    def _carrier_of(self, host: str) -> Session:
        """A new session for a host's foreground I/O, which all have the same nexus."""
        return Session(host, _isid_of(host), self.target_name, _PORTAL_GROUP_TAG, host)

    def _drop(self, nexus: str) -> None:
        self._sessions.pop(nexus, None)
        alarm = self._retained.pop(nexus, None)
        if alarm is not None:
            alarm.cancel()


class CarrierSession:
    """A host's session for foreground I/O; implements `simulated_backends.route.HostSession`."""

    def __init__(self, target: IscsiTarget, recorder: Recorder, host: str, backend: str) -> None:
        self._target = target
        self._recorder = recorder
        self._host = host
        self._backend = backend

    @property
    def is_known(self) -> bool:
        """See `simulated_backends.route.HostSession.is_known`."""
        return self._target.has_carrier(self._host)

    def open(self) -> None:
        """See `simulated_backends.route.HostSession.open`."""
        if self._target.open_carrier(self._host):
            self._recorder.emit("session.reinstated", host=self._host, backend=self._backend)

    def drop(self) -> None:
        """See `simulated_backends.route.HostSession.drop`."""
        self._target.drop_carrier(self._host)

    def timed_out(self) -> None:
        """See `simulated_backends.route.HostSession.timed_out`."""
        self._target.carrier_timed_out(self._host)


def _isid_of(host: str) -> str:
    """The ISID that an initiator keeps for its one interface; open-iscsi has one of the OUI format for each."""
    return f"00023d{zlib.crc32(host.encode()) & 0xFFFFFF:06x}"
