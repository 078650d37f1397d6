"""iSCSI sessions (RFC 7143) as far as handles and the loss of connections need them.

A session is an I_T nexus: the initiator port (InitiatorName and ISID) and the target port (TargetName and target
portal group tag). A driver's connection is a session of one connection. The target notices a dropped connection when
a NOP-In ping stays unanswered; nothing is exchanged while all is well, so a healthy hour costs nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.contract import ConnectionLost
from harness.model import Caller
from harness.runtime.agenda import Agenda

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
        """What both ends agree on: the larger Time2Wait, the smaller Time2Retain (RFC 7143, login/text keys)."""
        return SessionTimes(
            max(self.time2wait_s, other.time2wait_s),
            min(self.time2retain_s, other.time2retain_s),
        )


@dataclass(frozen=True)
class KeepAlive:
    """The target's NOP-In pings: the interval between them and how long an answer may take, in nanoseconds."""

    interval_ns: int
    response_ns: int

    @property
    def detection_ns(self) -> int:
        """The longest time until a dropped connection is noticed: it drops just after an answer."""
        return self.interval_ns + self.response_ns


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
    """The sessions of one target; implements `simulated_backends.backend.SessionLayer`. `source` draws ISIDs."""

    def __init__(self, env: Agenda, target_name: str, keep_alive: KeepAlive, source: random.Random) -> None:
        self.target_name = target_name
        self._env = env
        self._keep_alive = keep_alive
        self._source = source
        self._sessions: dict[str, Session] = {}

    def log_in(self, caller: Caller) -> str:
        """Open a session and return its nexus. Raises `ConnectionLost` without an InitiatorName or a CHAP name."""
        if not caller.host or not caller.user:
            raise ConnectionLost(f"{self.target_name} refuses a login without InitiatorName and CHAP name")
        session = self._new_session(caller)
        while session.nexus in self._sessions:
            session = self._new_session(caller)
        self._sessions[session.nexus] = session
        return session.nexus

    def ended(self, connection_id: str, broke: bool) -> None:
        """See `simulated_backends.backend.SessionLayer.ended`."""
        if broke:
            self._env.alarm(self._keep_alive.detection_ns, lambda: self._drop(connection_id))
        else:
            self._drop(connection_id)

    def known(self) -> int:
        """See `simulated_backends.backend.SessionLayer.known`."""
        return len(self._sessions)

    def _new_session(self, caller: Caller) -> Session:
        # the two top bits 10b: an ISID of the "random" format, 24 bits of it drawn, 16 bits of qualifier
        isid = f"80{self._source.getrandbits(24):06x}{self._source.getrandbits(16):04x}"
        return Session(caller.host, isid, self.target_name, _PORTAL_GROUP_TAG, caller.user)

    def _drop(self, nexus: str) -> None:
        self._sessions.pop(nexus, None)
