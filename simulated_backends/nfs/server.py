"""A simulated NFSv4.1 server's client state: client ids, sessions, leases, courtesy clients, restart and grace.

Nothing is exchanged while all is well: a session on which the client can be heard renews its client's lease all the
time (RFC 8881 section 8.3: SEQUENCE renews it), which is computed and costs no event. Timers run only for clients
that fell silent.

Share reservations, byte-range locks and delegations are not modelled: hosts open volume files without denying anybody
anything, so that these decide neither which writes are held nor who reaches a copy. An OPEN here is state that its
client has to keep its lease for, and nothing else. For the same reason READ and WRITE are served in the grace period,
as section 8.4.2.1 permits where no reclaim can conflict with them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from harness.contract import ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime.agenda import Agenda
from simulated_backends.nfs.clients import ClientOwner, ClientRecord, Session, StateListener, StateOwner, stop_timer
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.grace import Grace
from simulated_backends.nfs.lease_times import LeaseTimes


class NfsServer:
    """The clients of one server; implements `simulated_backends.backend.SessionLayer`.

    A connection is a session of its host's client; the caller's user is the RPC principal on it. `source` draws client
    ids, verifiers and session ids. Operations raise `NfsError` with the status that the RFC gives. `restart_listeners`
    are called with the reason when the server goes down, before it forgets its clients; they must not block.
    """

    def __init__(self, env: Agenda, recorder: Recorder, name: str, times: LeaseTimes, source: random.Random) -> None:
        self.times = times
        self.listeners: list[StateListener] = []
        self.restart_listeners: list[Callable[[str], None]] = []
        self._env = env
        self._recorder = recorder
        self._name = name
        self._source = source
        self._clients: dict[int, ClientRecord] = {}
        self._confirmed: dict[str, ClientRecord] = {}
        self._unconfirmed: dict[str, ClientRecord] = {}
        self._sessions: dict[str, Session] = {}
        self._owners: dict[str, StateOwner] = {}
        self._verifiers: dict[str, int] = {}
        self._grace = Grace(self._now)

    # ---- client ids and sessions -----------------------------------------------------------------------------------

    def exchange_id(self, owner: ClientOwner, update: bool = False) -> ClientRecord:
        """EXCHANGE_ID (RFC 8881 section 18.35), by the nine cases of its section 18.35.4.

        1: an owner that is not known gets a new, unconfirmed record. 2: same owner, verifier and principal are the same
        client. 3: another principal gets NFS4ERR_CLID_INUSE while the client has state and its lease lasts; otherwise
        the old client is released, and it counts as new. 4: an unconfirmed record is replaced by a new one. 5: another
        verifier gets a new, unconfirmed record; the old state stays until that one is confirmed.

        With `update` (EXCHGID4_FLAG_UPD_CONFIRMED_REC_A) no record changes. 6: the same three get their client. Raises
        in the others: 7: NFS4ERR_NOENT without a confirmed record, 8: NFS4ERR_NOT_SAME for another verifier, 9:
        NFS4ERR_PERM for another principal.
        """
        known = self._confirmed.get(owner.owner_id)
        if update:
            return self._updated(owner, known)
        if known is not None:
            if known.owner == owner:
                return known
            if known.owner.principal != owner.principal:
                if known.has_state and not known.courtesy:
                    raise NfsError("NFS4ERR_CLID_INUSE", f"{owner.owner_id} is in use by another principal")
                self.release(known.client_id, "another principal took the owner")
        unconfirmed = self._unconfirmed.get(owner.owner_id)
        if unconfirmed is not None:
            self._drop_unconfirmed(unconfirmed)
        client_id = self._source.getrandbits(64)
        while client_id in self._clients:
            client_id = self._source.getrandbits(64)
        record = self._clients[client_id] = ClientRecord(client_id, owner, self._now())
        self._unconfirmed[owner.owner_id] = record
        record.timer = self._env.alarm(self.times.lease_ns, lambda: self._drop_unconfirmed(record))
        return record

    @staticmethod
    def _updated(owner: ClientOwner, known: ClientRecord | None) -> ClientRecord:
        if known is None:
            raise NfsError("NFS4ERR_NOENT", f"{owner.owner_id} has no confirmed record to update")
        if known.owner.verifier != owner.verifier:
            raise NfsError("NFS4ERR_NOT_SAME", f"the record of {owner.owner_id} has another verifier")
        if known.owner.principal != owner.principal:
            raise NfsError("NFS4ERR_PERM", f"the record of {owner.owner_id} is another principal's")
        return known

    def _drop_unconfirmed(self, record: ClientRecord) -> None:
        """Forget a record that was replaced, or not confirmed within a lease (RFC 8881 section 18.35.4)."""
        stop_timer(record)
        del self._clients[record.client_id]
        del self._unconfirmed[record.owner.owner_id]

    def create_session(self, client_id: int, principal: str, sender: str | None = None) -> Session:
        """CREATE_SESSION (RFC 8881 section 18.36), which confirms the client id and releases what it replaces.

        `principal` will use the session; `sender` is who sends the operation, None for whoever sent EXCHANGE_ID. Raises
        NFS4ERR_STALE_CLIENTID for a client id that this instance of the server does not know, NFS4ERR_CLID_INUSE for
        a sender who did not send its EXCHANGE_ID (section 18.36.4).
        """
        record = self._clients.get(client_id)
        if record is None:
            raise NfsError("NFS4ERR_STALE_CLIENTID", f"no client id {client_id:016x}")
        if sender not in (None, record.owner.principal):
            raise NfsError("NFS4ERR_CLID_INUSE", f"client id {client_id:016x} is another principal's")
        owner_id = record.owner.owner_id
        if not record.confirmed:
            replaced = self._confirmed.get(owner_id)
            if replaced is not None:
                self.release(replaced.client_id, "the client restarted")
            del self._unconfirmed[owner_id]
            self._confirmed[owner_id] = record
            record.confirmed = True
        session_id = f"{self._source.getrandbits(128):032x}"
        while session_id in self._owners:
            session_id = f"{self._source.getrandbits(128):032x}"
        session = Session(session_id, client_id, principal)
        self._sessions[session_id] = record.sessions[session_id] = session
        self._owners[session_id] = session.owner
        self._heard(record)
        return session

    def sequence(self, session_id: str) -> Session:
        """SEQUENCE (RFC 8881 section 18.46), which begins every compound and renews the lease.

        Raises NFS4ERR_BADSESSION for a session that was destroyed or is from before a restart.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise NfsError("NFS4ERR_BADSESSION", f"no session {session_id}")
        if session.silent_since is not None:
            session.silent_since = None
            stop_timer(session)
            self._heard(self._clients[session.client_id])
        return session

    def fell_silent(self, session_id: str) -> None:
        """The client can't be heard on that session any more: its inactivity timer runs, and perhaps the lease."""
        session = self._sessions.get(session_id)
        if session is None or session.silent_since is not None:
            return
        session.silent_since = self._now()
        self._maybe_unheard(self._clients[session.client_id])
        session.timer = self._env.alarm(self.times.lease_ns, lambda: self._inactive(session))

    def destroy_session(self, session_id: str) -> None:
        """DESTROY_SESSION (RFC 8881 section 18.37); the client id and its state stay as long as the lease."""
        session = self._sessions.get(session_id)
        if session is not None:
            record = self._clients[session.client_id]
            was_heard = record.is_heard
            self._destroy(record, session)
            if was_heard:  # else the server's own end dropped it, and the lease runs already
                self._maybe_unheard(record)

    # ---- state -----------------------------------------------------------------------------------------------------

    def open_file(self, session_id: str, file: str, reclaim: bool = False) -> None:
        """OPEN (RFC 8881 section 18.16), with CLAIM_PREVIOUS where `reclaim` is set.

        Raises NFS4ERR_GRACE for new state within the grace period, or before the client's own RECLAIM_COMPLETE (section
        18.51.3), NFS4ERR_NO_GRACE for a reclaim outside of grace or after RECLAIM_COMPLETE, NFS4ERR_RECLAIM_BAD where
        the client had no state before the restart (section 8.4.2.1).
        """
        record = self._clients[self.sequence(session_id).client_id]
        if not reclaim:
            self.check_grace()
            if not record.reclaim_complete:
                raise NfsError("NFS4ERR_GRACE", f"{record.owner.owner_id} has to send RECLAIM_COMPLETE first")
        elif not self.in_grace or record.reclaim_complete:
            raise NfsError("NFS4ERR_NO_GRACE", f"{record.owner.owner_id} may not reclaim any more")
        elif not self._grace.may_reclaim(record.owner.owner_id):
            raise NfsError("NFS4ERR_RECLAIM_BAD", f"{record.owner.owner_id} had no state before the restart")
        record.opens.add(file)

    def reclaim_complete(self, session_id: str) -> None:
        """RECLAIM_COMPLETE (RFC 8881 section 18.51); the last one that was waited for ends the grace period.

        Raises NFS4ERR_COMPLETE_ALREADY the second time.
        """
        record = self._clients[self.sequence(session_id).client_id]
        if record.reclaim_complete:
            raise NfsError("NFS4ERR_COMPLETE_ALREADY", f"{record.owner.owner_id} has reclaimed already")
        record.reclaim_complete = True
        if self._grace.complete(record.owner.owner_id):
            self._recorder.emit("nfs.grace_ended", backend=self._name)

    def find(self, client_id: int) -> ClientRecord | None:
        """The record of a client id, or None where it is not known (any more)."""
        return self._clients.get(client_id)

    def owner_of(self, session_id: str) -> StateOwner | None:
        """Whose session that is or was; None for one that this server never made."""
        return self._owners.get(session_id)

    def has_session(self, session_id: str) -> bool:
        """Whether the session still stands."""
        return session_id in self._sessions

    def when_heard(self, client_id: int, action: Callable[[], None]) -> None:
        """Call `action` as soon as that client can be heard, unless it is released before; it must not block."""
        record = self._clients[client_id]
        if record.is_heard:
            action()
        else:
            record.when_heard.append(action)

    def lease_left_ns(self, client_id: int) -> int:
        """How long (ns) the client's lease still lasts if it is not renewed from now on; 0 once it has expired."""
        record = self._clients.get(client_id)
        if record is None or record.courtesy:
            return 0
        if record.is_heard:
            return self.times.lease_ns
        return max(0, record.renewed_ns + self.times.lease_ns - self._now())

    def release(self, client_id: int, why: str) -> None:
        """Let a client's state go: sessions, opens, copies (RFC 8881 section 8.3). Repeating it is harmless."""
        record = self._clients.pop(client_id, None)
        if record is None:
            return
        for table in (self._confirmed, self._unconfirmed):
            if table.get(record.owner.owner_id) is record:
                del table[record.owner.owner_id]
        stop_timer(record)
        self._recorder.emit("nfs.client_released", backend=self._name, client=record.owner.owner_id, why=why)
        for session in list(record.sessions.values()):
            self._destroy(record, session)
        record.opens.clear()
        for listener in self.listeners:
            listener.client_released(client_id, why)

    # ---- restart and grace -----------------------------------------------------------------------------------------

    @property
    def in_grace(self) -> bool:
        """Whether the grace period after a restart is running."""
        return self._grace.is_on

    @property
    def grace_left_ns(self) -> int:
        """How long (ns) the grace period still lasts at most."""
        return self._grace.left_ns

    def check_grace(self) -> None:
        """Raise NFS4ERR_GRACE while no new state may be made."""
        if self.in_grace:
            raise NfsError("NFS4ERR_GRACE", f"{self._name} takes only reclaims for another {self.grace_left_ns} ns")

    def restart(self, after_ns: int = 0) -> None:
        """The server restarts: it forgets every client id, session and stateid (RFC 8881 section 8.4.2).

        It serves again after `after_ns`. Clients that had state, or may still reclaim from before an earlier restart,
        may reclaim files in the grace period, which begins then; copies can't be reclaimed (RFC 7862 section 4.8).
        """
        owners = [owner_id for owner_id, record in self._confirmed.items() if record.has_state]
        for listener in self.restart_listeners:
            listener(f"the server {self._name} restarted")
        for client_id in list(self._clients):
            self.release(client_id, "the server restarted")
        clients = self._grace.begin(owners, self._now() + after_ns + self.times.grace_ns)
        self._recorder.emit("nfs.restarted", backend=self._name, clients=clients, grace_ns=self.grace_left_ns)

    # ---- the session layer of a backend ----------------------------------------------------------------------------

    def log_in(self, caller: Caller) -> str:
        """EXCHANGE_ID, CREATE_SESSION and RECLAIM_COMPLETE; returns the session id. Raises `ConnectionLost`.

        A client that has nothing to reclaim says so at once, so that grace may end (RFC 8881 section 18.51.4).
        """
        if not caller.host or not caller.user:
            raise ConnectionLost("NFS4ERR_ACCESS: a client needs an owner and a principal")
        if caller.host not in self._verifiers:
            self._verifiers[caller.host] = self._source.getrandbits(64)
        owner = ClientOwner(caller.host, self._verifiers[caller.host], f"host/{caller.host}")
        try:
            session = self.create_session(self.exchange_id(owner).client_id, caller.user, owner.principal)
            if not self._clients[session.client_id].reclaim_complete:
                self.reclaim_complete(session.id)
            return session.id
        except NfsError as error:
            raise ConnectionLost(str(error)) from error

    def ended(self, connection_id: str, broke: bool) -> None:
        """See `simulated_backends.backend.SessionLayer.ended`: DESTROY_SESSION, or the client falls silent."""
        if broke:
            self.fell_silent(connection_id)
        else:
            self.destroy_session(connection_id)

    def timed_out(self, connection_id: str) -> None:
        """See `simulated_backends.backend.SessionLayer.timed_out`; the lease decides, not the connection."""
        self.fell_silent(connection_id)

    def reinstated(self, host: str) -> int:
        """See `simulated_backends.backend.SessionLayer.reinstated`; no session takes another's place here."""
        return 0

    def heard(self, connection_id: str, is_heard: bool) -> bool:
        """See `simulated_backends.backend.SessionLayer.heard`: a silent client's lease runs, SEQUENCE renews it.

        A session that is gone when its client is heard again gets NFS4ERR_BADSESSION.
        """
        if not is_heard:
            self.fell_silent(connection_id)
            return True
        try:
            self.sequence(connection_id)
        except NfsError:
            return False
        return True

    def power_off(self, for_ns: int) -> None:
        """See `simulated_backends.backend.SessionLayer.power_off`: a restart, served again when the power is back."""
        self.restart(for_ns)

    def known(self) -> int:
        """See `simulated_backends.backend.SessionLayer.known`."""
        return len(self._sessions)

    def host_restarted(self, host: str) -> None:
        """The host restarts: it comes back with another verifier, as RFC 8881 section 2.4 wants."""
        self._verifiers[host] = self._source.getrandbits(64)

    # ---- timers ----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._env.now)

    def _heard(self, record: ClientRecord) -> None:
        """The client is back, or was never away: no lease runs out, and sessions that stayed silent too long end."""
        record.courtesy = False
        stop_timer(record)
        for session in list(record.sessions.values()):
            if session.silent_since is not None and self._now() >= session.silent_since + self.times.lease_ns:
                self._destroy(record, session)
        actions, record.when_heard = record.when_heard, []
        for action in actions:
            action()

    def _maybe_unheard(self, record: ClientRecord) -> None:
        if record.is_heard or record.courtesy:
            return
        record.renewed_ns = self._now()
        stop_timer(record)
        record.timer = self._env.alarm(self.times.lease_ns, lambda: self._expire(record))

    def _inactive(self, session: Session) -> None:
        session.timer = None
        record = self._clients[session.client_id]
        if record.is_heard or not self.times.courtesy_ns:  # else it stays as long as its client, see _heard
            self._destroy(record, session)

    def _expire(self, record: ClientRecord) -> None:
        record.timer = None
        if not self.times.courtesy_ns:
            self.release(record.client_id, "its lease expired")
            return
        record.courtesy = True
        self._recorder.emit("nfs.courtesy", backend=self._name, client=record.owner.owner_id)
        record.timer = self._env.alarm(
            self.times.courtesy_ns, lambda: self.release(record.client_id, "its courtesy ran out")
        )

    def _destroy(self, record: ClientRecord, session: Session) -> None:
        stop_timer(session)
        del self._sessions[session.id]
        del record.sessions[session.id]
        for listener in self.listeners:
            listener.session_destroyed(session.id)
