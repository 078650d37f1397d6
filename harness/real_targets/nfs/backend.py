"""A backend behind a real NFS server, and the agent that knows callers by what the server has on record of them."""

from __future__ import annotations

import os
import threading
from typing import Any

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection
from harness.contract import ConnectionLost
from harness.model import Caller
from harness.real_targets.backing.backend import World
from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.session_backend import SessionBackend
from harness.real_targets.backing.sessions import SessionConnection
from harness.real_targets.plain_name import plain_name

from .attachment import NfsAttachment
from .exported import ExportedFile, ExportedStore
from .rpc import Credential
from .server import CONTROL, FIRST_USER_UID, SHELF
from .session import Login, OperationFailed, Session

BREAKS = ("socket", "server")
"""Who breaks a connection: the network between, or the server's side that ends it."""


class NfsBackend(SessionBackend[ExportedFile]):
    """Knows a caller's host by the client owner, and the user by the owner of the file in which he has logged in.

    To log in is to make a file in the user's own directory, where nobody else may. The server writes down whose file
    it is, and which clients have state; so nobody has to take the caller's word for more than AUTH_SYS does.
    """

    def __init__(self, world: World, store: ExportedStore, engine: JobEngine, breaks: str) -> None:
        super().__init__(world, store, engine)
        self._server = store.server
        self._breaks = breaks
        self._control_guard = threading.Lock()
        self._uids: dict[str, int] = {}
        self._hosts: dict[str, str] = {}  # as client owners name them → host

    def open_connection(self, caller: Caller, connection_id: str) -> SessionConnection:
        """See `WallBackend.open_connection`; logs in, and then sees whom the server has on record."""
        server, uid = self._server, self._uid(caller.user)
        name = plain_name(caller.host)
        with self._control_guard:
            self._hosts[name] = caller.host
        login = Login(server.address, f"{name}:{connection_id}", Credential(name, uid, uid))
        try:
            session = Session(login)
            try:
                session.open((SHELF, CONTROL, str(uid)), connection_id, True, create=True)
                known = self._who_is(connection_id, caller.address)
            except BaseException:
                session.close()
                self._forget_login(connection_id)
                raise
        except (Unreachable, OperationFailed, OSError) as error:
            raise ConnectionLost(f"backend {self.name} does not let {caller.host} in: {error}") from error
        end = session.client_end
        drop = (lambda: server.drop(end)) if self._breaks == "server" else None
        return self.connection_over(session, lambda: server.is_connected(end), drop, known, connection_id)

    def new_attachment(self, file: ExportedFile, *arguments: Any) -> NfsAttachment:
        """See `SessionBackend.new_attachment`."""
        return NfsAttachment(file, *arguments)

    def forget(self, connection: BackendConnection, broke: bool) -> None:
        """See `WallBackend.forget`; the file of the login goes."""
        super().forget(connection, broke)
        self._forget_login(connection.identity.connection_id)

    def _forget_login(self, connection_id: str) -> None:
        for directory in (self._server.shelf / CONTROL).iterdir():
            (directory / connection_id).unlink(missing_ok=True)

    def _uid(self, user: str) -> int:
        """The user's id; it is given out, and his directory made, when he comes first."""
        with self._control_guard:
            if user not in self._uids:
                uid = FIRST_USER_UID + len(self._uids)
                directory = self._server.shelf / CONTROL / str(uid)
                directory.mkdir(mode=0o700)
                os.chown(directory, uid, uid)
                self._uids[user] = uid
            return self._uids[user]

    def _who_is(self, connection_id: str, address: str) -> Caller:
        """Who has logged in, by the server's records. Raises OSError, `ConnectionLost`."""
        uids = [made.stat().st_uid for made in (self._server.shelf / CONTROL).glob(f"*/{connection_id}")]
        owners = [owner for owner in self._server.client_owners() if owner.endswith(f":{connection_id}")]
        with self._control_guard:
            users = [user for user, known in self._uids.items() if known in uids]
            hosts = [self._hosts[name] for name in (owner.partition(":")[0] for owner in owners) if name in self._hosts]
        if not len(uids) == len(users) == len(owners) == len(hosts) == 1:
            raise ConnectionLost(f"backend {self.name} has no record of the session {connection_id}")
        return Caller(hosts[0], users[0], address)
