"""Server-side copy (RFC 7862 section 4): COPY, OFFLOAD_STATUS, OFFLOAD_CANCEL, CB_OFFLOAD and CLONE.

A copy stateid belongs to a client id and the principal that asked for the copy, not to a TCP connection or a session.
It lives until the client or the server restarts, the client's state is released, OFFLOAD_CANCEL, or the reply to
CB_OFFLOAD (section 4.8). An operation makes its target; what the storage refuses is raised as its `StorageError`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.runtime import Runtime
from harness.schedule import random_source
from harness.storage import CopyRequest, StorageError, Transfer, VolumeStore
from simulated_backends.content import Rank
from simulated_backends.nfs.clients import Held, StateOwner, Work
from simulated_backends.nfs.courtesies import make_way
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.server import NfsServer
from simulated_backends.transfers import Pausable
from simulated_backends.volume_store import SimulatedStore

SERVICE = StateOwner(0, "")
"""The server's own job service, a client beside the others whose lease never ends."""

_EXTENTS = 64
"""A copy takes a file in about this many pieces, in an order that is the server's own."""


@dataclass(frozen=True)
class CopyRules:
    """What forms of COPY the server has: `synchronous_bytes` is the largest copy that it makes synchronously, and
    `consecutive` whether it can take bytes in their order (RFC 7862 section 15.2.3)."""

    synchronous_bytes: int
    consecutive: bool


class OffloadNoReqs(NfsError):
    """NFS4ERR_OFFLOAD_NO_REQS: the copy can't be made as asked for; the fields say what the server would do
    (copy_requirements4, RFC 7862 section 15.2.3)."""

    def __init__(self, synchronous: bool, consecutive: bool) -> None:
        text = f"the server would copy with synchronous={synchronous}, consecutive={consecutive}"
        super().__init__("NFS4ERR_OFFLOAD_NO_REQS", text)
        self.synchronous = synchronous
        self.consecutive = consecutive


@dataclass(frozen=True)
class CopyReply:
    """The answer to COPY: `count` bytes copied so far; `stateid` of an asynchronous copy, None for a finished one."""

    stateid: str | None
    count: int


@dataclass(frozen=True)
class OffloadStatus:
    """The answer to OFFLOAD_STATUS, and what CB_OFFLOAD tells: bytes done, and the outcome once there is one.

    `complete` is None while the copy runs, "" once it succeeded, else the `code` of what it failed with.
    """

    stateid: str
    count: int
    complete: str | None


Callback = Callable[[OffloadStatus], bool]
"""CB_OFFLOAD (RFC 7862 section 16.1): called at the copy's end, or as soon after it as the client can be heard; True is
the client's reply. It must not block."""


class Offload:
    """An asynchronous copy as the server holds it; implements `harness.storage.Transfer` for those who wait for it, and
    `simulated_backends.transfers.Pausable` for the server's operator. It goes to the storage `into`."""

    def __init__(
        self,
        owner: StateOwner,
        stateid: str,
        work: Work,
        transfer: Transfer,
        into: VolumeStore,
        ended: Callable[[Offload], None],
    ) -> None:
        self.owner = owner
        self.stateid = stateid
        self.work = work
        self.into = into
        self.total = transfer.total
        self.complete: str | None = None
        self._transfer = transfer
        self._ended = ended

    def moved(self) -> int:
        """Bytes copied so far (osr_count)."""
        return self._transfer.moved()

    def wait(self) -> None:
        """See `harness.storage.Transfer.wait`; its return is the reply to CB_OFFLOAD, which ends the stateid."""
        try:
            self._transfer.wait()
        except StorageError as error:
            self.complete = error.code
            raise
        else:
            self.complete = ""
        finally:
            self._ended(self)

    def pause(self) -> None:
        """See `simulated_backends.transfers.Pausable.pause`."""
        if isinstance(self._transfer, Pausable):
            self._transfer.pause()

    def resume(self) -> None:
        """See `simulated_backends.transfers.Pausable.resume`."""
        if isinstance(self._transfer, Pausable):
            self._transfer.resume()

    def cancel(self, reason: str) -> None:
        """See `harness.storage.Transfer.cancel`."""
        self._transfer.cancel(reason)

    def fail(self, reason: str) -> None:
        """See `harness.storage.Transfer.fail`."""
        self._transfer.fail(reason)

    def fail_at(self, position: int, reason: str) -> None:
        """See `harness.storage.Transfer.fail_at`."""
        self._transfer.fail_at(position, reason)


class CopyService:
    """The copy operations of one server over its storage. `source` draws stateids, `server_of` finds a storage's server
    (None if it is no NFS server's).

    A copy to another server is asked for here, where its source is, and its stateid belongs to the client of this
    server: COPY_NOTIFY to the source and COPY to the destination (RFC 7862 section 4) are one operation of this model.
    """

    def __init__(
        self,
        runtime: Runtime,
        server: NfsServer,
        store: SimulatedStore,
        rules: CopyRules,
        source: random.Random,
        server_of: Callable[[VolumeStore], NfsServer | None],
    ) -> None:
        self._runtime = runtime
        self._server = server
        self._store = store
        self._rules = rules
        self._source = source
        self._server_of = server_of
        self._offloads: dict[str, Offload] = {}
        self._without_stateid: list[tuple[Transfer, VolumeStore]] = []
        server.listeners.append(self)

    def copy(
        self,
        session_id: str,
        request: CopyRequest,
        into: VolumeStore | None = None,
        *,
        synchronous: bool = False,
        consecutive: bool = False,
        callback: Callback | None = None,
    ) -> CopyReply:
        """COPY (RFC 7862 section 15.2). A source that is being written may show any mix of the changes.

        `synchronous` blocks until the copy is made; otherwise it is asynchronous and `callback`, if the client has a
        back channel, is told its end. `into` is another server's storage. Silent clients whose state is in the way
        lose it first. Raises `OffloadNoReqs`, NFS4ERR_GRACE (of either server), and what the copy fails with.
        """
        into = into or self._store
        self._admit(session_id, into)
        size = self._store.usable(request.source).bytes
        possible = size <= self._rules.synchronous_bytes
        if (synchronous and not possible) or (consecutive and not self._rules.consecutive):
            raise OffloadNoReqs(synchronous and possible, self._rules.consecutive)
        make_way(self._server, self._work_of(request, into))
        owner = self._admit(session_id, into)
        live = replace(request, point_in_time=False)
        if synchronous:
            return CopyReply(None, self._wait_for(live, into))
        offload = self._begin(owner, live, into, self._told)
        self._runtime.spawn(f"copy {offload.stateid}", lambda: self._watch(offload, callback))
        return CopyReply(offload.stateid, 0)

    def clone(self, session_id: str, request: CopyRequest, into: VolumeStore | None = None) -> None:
        """CLONE (RFC 7862 section 15.13): the target shows the source at one instant, whole, or nothing of it.

        Blocks until it is made; silent clients give way as they do for `copy`. Raises NFS4ERR_XDEV for another server,
        NFS4ERR_GRACE, and what it fails with.
        """
        self._admit(session_id, self._store)
        if into is not None and into is not self._store:
            raise NfsError("NFS4ERR_XDEV", f"{request.target} would be on {into.name}; a clone stays where it is")
        make_way(self._server, self._work_of(request, self._store))
        self._admit(session_id, self._store)
        self._wait_for(replace(request, point_in_time=True), self._store)

    def offload_status(self, session_id: str, stateid: str) -> OffloadStatus:
        """OFFLOAD_STATUS (RFC 7862 section 15.9). Raises NFS4ERR_BAD_STATEID for an unknown stateid.

        A stateid of another client or another user counts as unknown. That it is unknown says nothing about the
        outcome: the stateid may have ended with the copy, with the client or with the server.
        """
        return _status(self._find(session_id, stateid))

    def offload_cancel(self, session_id: str, stateid: str) -> None:
        """OFFLOAD_CANCEL (RFC 7862 section 15.8); nothing is written any more when it returns, the stateid is gone.

        Must not interfere with a copy that another user started (section 4.1.2): NFS4ERR_BAD_STATEID, as for an
        unknown one. Raises NFS4ERR_COMPLETE_ALREADY for a copy that is over, whose stateid ends as well (section 4.8).
        """
        offload = self._find(session_id, stateid)
        self._forget(offload)
        if offload.complete is not None:
            raise NfsError("NFS4ERR_COMPLETE_ALREADY", f"the copy {stateid} is over")
        offload.cancel("OFFLOAD_CANCEL")

    def offload(self, owner: StateOwner, request: CopyRequest, into: VolumeStore) -> Offload:
        """An asynchronous copy of a job. A point-in-time one is a CLONE to a file without a name and a COPY of that.

        Who waits for it replies to CB_OFFLOAD. Raises NFS4ERR_GRACE.
        """
        self._check_grace(into)
        return self._begin(owner, request, into, self._forget)

    def grace_left_ns(self, into: VolumeStore) -> int:
        """How long (ns) a copy to that storage gets NFS4ERR_GRACE at most; 0 if it can begin now."""
        return max(server.grace_left_ns for server in self._servers_to(into))

    @contextlib.contextmanager
    def ending_with_either(self, transfer: Transfer, into: VolumeStore) -> Iterator[None]:
        """What a transfer without a stateid is carried out in: it fails as `server_restarts` says."""
        self._without_stateid.append((transfer, into))
        try:
            yield
        finally:
            self._without_stateid.remove((transfer, into))

    def server_restarts(self, store: VolumeStore, reason: str) -> None:
        """The server of that storage goes down: what moves bytes from or to there ends as it stands, with its stateid.

        The stateid is state of the destination (RFC 7862 section 4.8), and what that one reads with of the source.
        """
        for offload in list(self._offloads.values()):
            if store in (self._store, offload.into):
                self._forget(offload)
                offload.fail(reason)
        for transfer, into in list(self._without_stateid):
            if store in (self._store, into):
                transfer.fail(reason)

    def offloads(self) -> tuple[Offload, ...]:
        """The copies whose stateids stand, in the order of their start; for inspection and faults."""
        return tuple(self._offloads.values())

    # ---- the server's announcements --------------------------------------------------------------------------------

    def under_way(self) -> Iterator[Held]:
        """The copies of clients that are not over."""
        for offload in self._offloads.values():
            if offload.complete is None:
                yield Held(offload.owner.client_id, offload.work)

    def session_destroyed(self, session_id: str) -> None:
        """Copies belong to clients, not to sessions: nothing happens to them."""

    def client_released(self, client_id: int, why: str) -> None:
        """The client's stateids end, and the copies with them."""
        for offload in [o for o in self._offloads.values() if o.owner.client_id == client_id]:
            self._forget(offload)
            offload.cancel(why)

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _admit(self, session_id: str, into: VolumeStore) -> StateOwner:
        """Whose operation that is; asked again after whatever blocks, since a server may have restarted since."""
        owner = self._server.sequence(session_id).owner
        self._check_grace(into)
        return owner

    def _check_grace(self, into: VolumeStore) -> None:
        for server in self._servers_to(into):
            server.check_grace()

    def _servers_to(self, into: VolumeStore) -> tuple[NfsServer, ...]:
        """The servers that a copy to that storage needs; this one alone where the storage will refuse it anyway."""
        there = self._server_of(into) if into.family == self._store.family else None
        return (self._server,) if there is None else (self._server, there)

    def _begin(
        self, owner: StateOwner, request: CopyRequest, into: VolumeStore, ended: Callable[[Offload], None]
    ) -> Offload:
        transfer = self._store.begin_copy(request, into)
        stateid = f"{self._source.getrandbits(96):024x}"
        while stateid in self._offloads:
            stateid = f"{self._source.getrandbits(96):024x}"
        work = self._work_of(request, into)
        offload = self._offloads[stateid] = Offload(owner, stateid, work, transfer, into, ended)
        record = self._server.find(owner.client_id)
        if record is not None:
            record.stateids.add(stateid)
        return offload

    def _work_of(self, request: CopyRequest, into: VolumeStore) -> Work:
        target = (into.name, request.target)
        return Work(((self._store.name, request.source), target), target)

    def _wait_for(self, request: CopyRequest, into: VolumeStore) -> int:
        """Carry out an operation that answers once it is done; returns the bytes copied."""
        transfer = self._store.begin_copy(request, into)
        under_way = (transfer, into)
        self._without_stateid.append(under_way)

        def see_to_end() -> None:
            with contextlib.suppress(StorageError):  # which is the caller's to raise
                transfer.wait()
            self._without_stateid.remove(under_way)

        # a task of the server's, since the caller may die before the end
        self._runtime.spawn(f"operation on {request.source}", see_to_end)
        transfer.wait()
        return transfer.moved()

    def _watch(self, offload: Offload, callback: Callback | None) -> None:
        with contextlib.suppress(StorageError):  # told like a success, by its code; a cancelled copy is told to nobody
            offload.wait()
        if callback is not None and offload.stateid in self._offloads:
            self._server.when_heard(offload.owner.client_id, lambda: self._call_back(offload, callback))

    def _call_back(self, offload: Offload, callback: Callback) -> None:
        if callback(_status(offload)):
            self._forget(offload)

    def _told(self, offload: Offload) -> None:
        """The copy is over, but its client has not replied yet: the stateid stands."""

    def _find(self, session_id: str, stateid: str) -> Offload:
        owner = self._server.sequence(session_id).owner
        offload = self._offloads.get(stateid)
        if offload is None or offload.owner != owner:
            raise NfsError("NFS4ERR_BAD_STATEID", f"no copy {stateid}")
        return offload

    def _forget(self, offload: Offload) -> None:
        self._offloads.pop(offload.stateid, None)
        record = self._server.find(offload.owner.client_id)
        if record is not None:
            record.stateids.discard(offload.stateid)


def _status(offload: Offload) -> OffloadStatus:
    return OffloadStatus(offload.stateid, offload.moved(), offload.complete)


def scattered(seed: int, backend: str) -> Callable[[str, int], Rank]:
    """The order in which a server's copies take blocks: pieces of a file in an order that varies with the seed.

    RFC 7862 section 15.2.3 leaves the order to the server unless the client asks for consecutive bytes.
    """

    def order(target: str, blocks: int) -> Rank:
        length = max(1, -(-blocks // _EXTENTS))
        starts: dict[int, int] = {}

        def rank(block: int) -> int:
            if not starts:  # drawn on first use: copies that nobody writes under never ask
                pieces = list(range(0, blocks, length))
                random_source(seed, "copy order", backend, target).shuffle(pieces)
                passed = 0
                for piece in pieces:
                    starts[piece] = passed
                    passed += min(length, blocks - piece)
            first = block - block % length
            return starts[first] + block - first

        return rank

    return order
