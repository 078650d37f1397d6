"""NFSv4.1 client ids, leases and sessions (RFC 8881) as far as handles and the loss of connections need them.

A client is known by its owner string; EXCHANGE_ID (RFC 8881 section 18.35) with the same owner, verifier and
principal gives the same client id. State lives as long as the lease is renewed, so a client that went away is noticed
when its lease expires.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from harness.contract import ConnectionLost
from harness.model import Caller
from harness.runtime.agenda import Agenda


@dataclass(frozen=True)
class ClientOwner:
    """client_owner4 and the principal of EXCHANGE_ID: the host's machine credential, whoever uses the host."""

    owner_id: str
    verifier: int
    principal: str


@dataclass
class ClientRecord:
    """A client as the server holds it: its client id, its owner, and its sessions with the principal of each."""

    client_id: int
    owner: ClientOwner
    sessions: dict[str, str] = field(default_factory=dict)


class NfsServer:
    """The clients of one server; implements `simulated_backends.backend.SessionLayer`.

    A connection is a session of its host's client; the caller's user is the RPC principal on it. `source` draws
    client ids, verifiers and session ids.
    """

    def __init__(self, env: Agenda, lease_ns: int, source: random.Random) -> None:
        self._env = env
        self._lease_ns = lease_ns
        self._source = source
        self._clients: dict[str, ClientRecord] = {}
        self._verifiers: dict[str, int] = {}

    def exchange_id(self, owner: ClientOwner) -> ClientRecord:
        """The client's record; a new verifier means that the client restarted, and releases what it had before.

        Raises `ConnectionLost` (NFS4ERR_CLID_INUSE) for another principal while the client has sessions.
        """
        record = self._clients.get(owner.owner_id)
        if record is not None and record.sessions and record.owner.principal != owner.principal:
            raise ConnectionLost(f"NFS4ERR_CLID_INUSE: {owner.owner_id} is in use by another principal")
        if record is None or record.owner != owner:
            record = self._clients[owner.owner_id] = ClientRecord(self._source.getrandbits(64), owner)
        return record

    def log_in(self, caller: Caller) -> str:
        """EXCHANGE_ID and CREATE_SESSION; returns the session id. Raises `ConnectionLost`."""
        if not caller.host or not caller.user:
            raise ConnectionLost("NFS4ERR_ACCESS: a client needs an owner and a principal")
        if caller.host not in self._verifiers:
            self._verifiers[caller.host] = self._source.getrandbits(64)
        record = self.exchange_id(ClientOwner(caller.host, self._verifiers[caller.host], f"host/{caller.host}"))
        session_id = f"{self._source.getrandbits(128):032x}"
        while self._client_of(session_id) is not None:
            session_id = f"{self._source.getrandbits(128):032x}"
        record.sessions[session_id] = caller.user
        return session_id

    def ended(self, connection_id: str, broke: bool) -> None:
        """See `simulated_backends.backend.SessionLayer.ended`: DESTROY_SESSION, or the lease runs out."""
        if broke:
            self._env.alarm(self._lease_ns, lambda: self._destroy_session(connection_id))
        else:
            self._destroy_session(connection_id)

    def known(self) -> int:
        """See `simulated_backends.backend.SessionLayer.known`."""
        return sum(len(record.sessions) for record in self._clients.values())

    def _client_of(self, session_id: str) -> ClientRecord | None:
        return next((record for record in self._clients.values() if session_id in record.sessions), None)

    def _destroy_session(self, session_id: str) -> None:
        record = self._client_of(session_id)
        if record is not None:
            del record.sessions[session_id]
