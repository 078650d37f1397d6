"""NFSv4.1 client ids, sessions, leases, courtesy clients and restart."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest

from harness.contract import ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime.agenda import Agenda
from simulated_backends.nfs.clients import ClientOwner, ClientRecord, Held, Session
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.lease_times import LeaseTimes
from simulated_backends.nfs.server import NfsServer

LEASE = 90
OWNER = ClientOwner("host-a", 1, "host/a")


class Desk:
    """A server with a clock that the test moves; also a listener that notes what the server lets go."""

    def __init__(self, courtesy_ns: int = 0) -> None:
        self.agenda = Agenda()
        self.recorder = Recorder(lambda: int(self.agenda.now))
        times = LeaseTimes(LEASE, LEASE, courtesy_ns)
        self.server = NfsServer(self.agenda, self.recorder, "primary", times, random.Random(1))
        self.server.listeners.append(self)
        self.destroyed: list[str] = []
        self.released: list[tuple[int, str]] = []

    def under_way(self) -> tuple[Held, ...]:
        return ()

    def session_destroyed(self, session_id: str) -> None:
        self.destroyed.append(session_id)

    def client_released(self, client_id: int, why: str) -> None:
        self.released.append((client_id, why))

    def session(self, owner: ClientOwner = OWNER, user: str = "alice") -> Session:
        """EXCHANGE_ID and CREATE_SESSION."""
        return self.server.create_session(self.server.exchange_id(owner).client_id, user)

    def until(self, at: int) -> None:
        """Let time pass up to and with that instant."""
        self.agenda.run(until=at)
        while self.agenda.next_at() == at:
            self.agenda.step()


def refused(status: str, operation: Callable[[], object]) -> None:
    """Assert that an operation fails with that status."""
    with pytest.raises(NfsError) as caught:
        operation()
    assert caught.value.status == status


def test_the_same_three_are_the_same_client() -> None:
    """Owner, verifier and principal together name a confirmed client; an unconfirmed one is replaced."""
    desk = Desk()
    unconfirmed = desk.server.exchange_id(OWNER)
    session = desk.session()
    assert session.client_id != unconfirmed.client_id
    refused("NFS4ERR_STALE_CLIENTID", lambda: desk.server.create_session(unconfirmed.client_id, "alice"))
    assert desk.session().client_id == session.client_id and desk.server.known() == 2
    assert desk.session(ClientOwner("host-b", 1, "host/a")).client_id != session.client_id


def test_an_unconfirmed_record_lasts_a_lease() -> None:
    """A client id that no CREATE_SESSION confirms within a lease is forgotten; a confirmed one is not."""
    desk = Desk()
    unconfirmed = desk.server.exchange_id(OWNER)
    kept = desk.session(ClientOwner("host-b", 1, "host/b"))
    desk.until(LEASE - 1)
    assert desk.server.find(unconfirmed.client_id) is unconfirmed
    desk.until(LEASE)
    assert desk.server.find(unconfirmed.client_id) is None and desk.server.find(kept.client_id) is not None
    refused("NFS4ERR_STALE_CLIENTID", lambda: desk.server.create_session(unconfirmed.client_id, "alice"))
    assert desk.agenda.next_at() is None and desk.session().client_id != unconfirmed.client_id


def test_an_update_changes_no_record() -> None:
    """EXCHANGE_ID with the update flag finds the confirmed record of the same three, and refuses everybody else."""
    desk = Desk()

    def update(verifier: int = 1, principal: str = "host/a") -> ClientRecord:
        return desk.server.exchange_id(ClientOwner("host-a", verifier, principal), update=True)

    refused("NFS4ERR_NOENT", update)
    unconfirmed = desk.server.exchange_id(OWNER)
    refused("NFS4ERR_NOENT", update)
    session = desk.server.create_session(unconfirmed.client_id, "alice")
    assert update().client_id == session.client_id == unconfirmed.client_id
    restarted = desk.server.exchange_id(ClientOwner("host-a", 2, "host/a"))
    refused("NFS4ERR_NOT_SAME", lambda: update(verifier=2))
    refused("NFS4ERR_NOT_SAME", lambda: update(verifier=3, principal="host/b"))
    refused("NFS4ERR_PERM", lambda: update(principal="host/b"))
    assert update().client_id == session.client_id and desk.released == []
    assert desk.server.find(restarted.client_id) is restarted
    assert desk.server.sequence(session.id) is session


def test_only_its_own_principal_confirms_a_client_id() -> None:
    """CREATE_SESSION by another principal than that of EXCHANGE_ID is refused and changes nothing."""
    desk = Desk()
    old = desk.session()
    new = desk.server.exchange_id(ClientOwner("host-a", 2, "host/a"))
    refused("NFS4ERR_CLID_INUSE", lambda: desk.server.create_session(new.client_id, "alice", "host/b"))
    assert not new.confirmed and desk.released == [] and desk.server.sequence(old.id) is old
    desk.server.create_session(new.client_id, "alice", "host/a")
    assert new.confirmed and desk.released == [(old.client_id, "the client restarted")]


@pytest.mark.parametrize("verifier", [1, 2])
def test_another_principal_is_refused_whatever_its_verifier(verifier: int) -> None:
    """While the client has state another principal is refused, though it claims to be a restarted client."""
    desk = Desk()
    session = desk.session()
    refused("NFS4ERR_CLID_INUSE", lambda: desk.server.exchange_id(ClientOwner("host-a", verifier, "host/b")))
    assert desk.server.sequence(session.id) is session and desk.released == []


@pytest.mark.parametrize("asks_in_vain", [ClientOwner("host-a", 3, "host/b"), OWNER])
def test_only_a_new_record_replaces_an_unconfirmed_one(asks_in_vain: ClientOwner) -> None:
    """A restarted client can confirm its new client id though another principal is refused, or its old request is sent
    again, meanwhile."""
    desk = Desk()
    old = desk.session()
    new = desk.server.exchange_id(ClientOwner("host-a", 2, "host/a"))
    with contextlib.suppress(NfsError):
        assert desk.server.exchange_id(asks_in_vain).client_id == old.client_id
    assert desk.server.create_session(new.client_id, "alice").client_id == new.client_id
    assert desk.released == [(old.client_id, "the client restarted")]


def test_a_new_verifier_releases_the_old_state_once_confirmed() -> None:
    """A client that restarted keeps its old state until CREATE_SESSION confirms the new client id."""
    desk = Desk()
    old = desk.session()
    new = desk.server.exchange_id(ClientOwner("host-a", 2, "host/a"))
    assert new.client_id != old.client_id and desk.released == []
    desk.server.sequence(old.id)
    desk.server.create_session(new.client_id, "alice")
    assert desk.released == [(old.client_id, "the client restarted")] and desk.destroyed == [old.id]
    refused("NFS4ERR_BADSESSION", lambda: desk.server.sequence(old.id))


@pytest.mark.parametrize("state", ["session", "open"])
def test_another_principal_may_not_take_live_state(state: str) -> None:
    """Another principal is refused while the client has state, and takes the owner over once there is none."""
    desk = Desk()
    first, thief = desk.session(), ClientOwner("host-a", 1, "host/b")
    if state == "open":
        desk.server.reclaim_complete(first.id)
        desk.server.open_file(first.id, "file")
        desk.server.destroy_session(first.id)
    refused("NFS4ERR_CLID_INUSE", lambda: desk.server.exchange_id(thief))
    assert desk.released == []
    desk.server.fell_silent(first.id)
    desk.until(LEASE)
    assert desk.session(thief).client_id != first.client_id


def test_another_principal_takes_an_owner_without_state() -> None:
    """A client whose last session is destroyed and that holds nothing gives way to another principal at once."""
    desk = Desk()
    first = desk.session()
    desk.server.destroy_session(first.id)
    desk.session(ClientOwner("host-a", 1, "host/b"))
    assert desk.released == [(first.client_id, "another principal took the owner")]


def test_a_healthy_lease_costs_no_events() -> None:
    """While clients can be heard nothing is scheduled, and their leases are always full."""
    desk = Desk()
    session = desk.session()
    assert desk.agenda.next_at() is None
    desk.until(1000 * LEASE)
    assert desk.server.lease_left_ns(session.client_id) == LEASE and desk.released == []


def test_a_silent_clients_lease_runs_out() -> None:
    """A lease lasts from the last renewal, any operation renews it, and what it held is released at its end."""
    desk = Desk()
    session = desk.session()
    desk.server.fell_silent(session.id)
    desk.until(60)
    assert desk.server.lease_left_ns(session.client_id) == 30
    desk.server.sequence(session.id)
    assert desk.server.lease_left_ns(session.client_id) == LEASE and desk.agenda.next_at() is None
    desk.server.fell_silent(session.id)
    desk.until(60 + LEASE - 1)
    assert desk.server.known() == 1
    desk.until(60 + LEASE)
    assert desk.server.known() == 0 and desk.released == [(session.client_id, "its lease expired")]
    assert desk.server.lease_left_ns(session.client_id) == 0


@pytest.mark.parametrize("courtesy_ns", [0, 1000])
def test_a_silent_session_ends_though_its_client_is_heard_on_another(courtesy_ns: int) -> None:
    """A session's inactivity timer is its own: the session goes after a lease, the client stays."""
    desk = Desk(courtesy_ns)
    silent, heard = desk.session(), desk.session()
    desk.server.fell_silent(silent.id)
    desk.until(LEASE)
    assert desk.destroyed == [silent.id] and desk.released == []
    assert desk.server.sequence(heard.id).client_id == silent.client_id


def test_a_client_without_sessions_keeps_its_state_for_a_lease() -> None:
    """DESTROY_SESSION leaves the client id; a new session within the lease finds it, a later one does not."""
    desk = Desk()
    first = desk.session()
    desk.server.destroy_session(first.id)
    desk.until(LEASE - 1)
    second = desk.session()
    assert second.client_id == first.client_id and desk.agenda.next_at() is None
    desk.server.destroy_session(second.id)
    desk.until(2 * LEASE - 1)
    assert desk.session().client_id != first.client_id


def test_the_lease_lasts_from_when_the_client_was_last_heard() -> None:
    """That a session ends on which its client has not been heard for a while does not renew the lease."""
    desk = Desk()
    silent, closed = desk.session(), desk.session()
    desk.until(10)
    desk.server.destroy_session(closed.id)
    desk.server.fell_silent(silent.id)
    desk.until(30)
    desk.server.destroy_session(silent.id)
    desk.until(10 + LEASE - 1)
    assert desk.server.lease_left_ns(silent.client_id) == 1 and desk.released == []
    desk.until(10 + LEASE)
    assert desk.released == [(silent.client_id, "its lease expired")]


def test_a_courtesy_client_is_kept_until_the_limit() -> None:
    """Past its lease a client keeps its sessions as a courtesy, and loses them when the limit is reached."""
    desk = Desk(courtesy_ns=1000)
    session = desk.session()
    desk.server.fell_silent(session.id)
    desk.until(LEASE + 999)
    assert desk.server.known() == 1 and desk.recorder.find("nfs.courtesy")[0].at_ns == LEASE
    desk.until(LEASE + 1000)
    assert desk.server.known() == 0 and desk.released == [(session.client_id, "its courtesy ran out")]


def test_a_courtesy_client_that_comes_back_goes_on() -> None:
    """A client that returns within the courtesy has its client id; sessions that stayed silent are gone."""
    desk = Desk(courtesy_ns=1000)
    silent, other = desk.session(), desk.session()
    for session in (silent, other):
        desk.server.fell_silent(session.id)
    desk.until(LEASE + 500)
    assert desk.destroyed == [] and desk.server.lease_left_ns(silent.client_id) == 0
    assert desk.server.sequence(other.id).client_id == silent.client_id
    assert desk.destroyed == [silent.id] and desk.released == []
    desk.until(LEASE + 5000)
    assert desk.released == [] and desk.server.lease_left_ns(silent.client_id) == LEASE
    desk.server.fell_silent(other.id)
    desk.until(LEASE + 5000 + LEASE + 1000)
    assert desk.released == [(silent.client_id, "its courtesy ran out")]


def test_a_released_client_is_forgotten() -> None:
    """Nothing happens any more to a silent client whose host came back restarted."""
    desk = Desk(courtesy_ns=1000)
    old = desk.session()
    desk.server.fell_silent(old.id)
    desk.until(LEASE - 1)
    desk.session(ClientOwner("host-a", 2, "host/a"))
    assert desk.released == [(old.client_id, "the client restarted")] and desk.agenda.next_at() is None
    assert desk.recorder.find("nfs.courtesy") == []


def test_a_courtesy_client_gives_way_to_another_principal() -> None:
    """State that is kept as a courtesy does not stop another principal."""
    desk = Desk(courtesy_ns=1000)
    session = desk.session()
    desk.server.fell_silent(session.id)
    desk.until(LEASE + 1)
    desk.session(ClientOwner("host-a", 1, "host/b"))
    assert desk.released == [(session.client_id, "another principal took the owner")]


def test_a_restart_forgets_everything_and_begins_a_grace_period() -> None:
    """After a restart old ids are stale; new state has to wait for the grace period's end, files may be reclaimed."""
    desk = Desk()
    server, old, silent = desk.server, desk.session(), desk.session(ClientOwner("host-c", 1, "host/c"))
    refused("NFS4ERR_GRACE", lambda: server.open_file(old.id, "file"))
    server.reclaim_complete(old.id)
    server.open_file(old.id, "file")
    server.restart()
    assert desk.released == [(client, "the server restarted") for client in (old.client_id, silent.client_id)]
    refused("NFS4ERR_BADSESSION", lambda: server.sequence(old.id))
    refused("NFS4ERR_STALE_CLIENTID", lambda: server.create_session(old.client_id, "alice"))
    again, stranger = desk.session(), desk.session(ClientOwner("host-b", 1, "host/b"))
    refused("NFS4ERR_GRACE", lambda: server.open_file(again.id, "file"))
    refused("NFS4ERR_RECLAIM_BAD", lambda: server.open_file(stranger.id, "file", reclaim=True))
    server.open_file(again.id, "file", reclaim=True)
    server.reclaim_complete(again.id)
    refused("NFS4ERR_COMPLETE_ALREADY", lambda: server.reclaim_complete(again.id))
    refused("NFS4ERR_NO_GRACE", lambda: server.open_file(again.id, "another", reclaim=True))
    desk.until(LEASE - 1)
    refused("NFS4ERR_GRACE", lambda: server.open_file(again.id, "another"))
    desk.until(LEASE)
    server.open_file(again.id, "another")
    refused("NFS4ERR_NO_GRACE", lambda: server.open_file(stranger.id, "file", reclaim=True))


@pytest.mark.parametrize(("times", "says"), [((90, 89), "grace_ns"), ((0, 0), "lease_ns"), ((9, 9, -1), "courtesy_ns")])
def test_times_below_their_least_are_refused(times: tuple[int, ...], says: str) -> None:
    """A grace period shorter than the lease before it, no lease at all, and a courtesy below 0 are refused by name."""
    with pytest.raises(ValueError, match=f"{says} is"):
        LeaseTimes(*times)


def test_a_host_is_one_client_for_all_its_users() -> None:
    """Logins of one host share a client id whatever their user and address, until the host restarts."""
    desk = Desk()

    def owner(user: str, address: str) -> tuple[int, str]:
        session = desk.server.sequence(desk.server.log_in(Caller("host-a", user, address)))
        return session.client_id, session.principal

    alice, bob = owner("alice", "192.0.2.1"), owner("bob", "192.0.2.9")
    assert alice[0] == bob[0] and (alice[1], bob[1]) == ("alice", "bob")
    desk.server.host_restarted("host-a")
    assert owner("alice", "192.0.2.1")[0] != alice[0] and desk.server.known() == 1
    with pytest.raises(ConnectionLost, match="ACCESS"):
        desk.server.log_in(Caller("host-a", "", "192.0.2.1"))
