"""A backend behind a real iSCSI target, and the agent that knows callers by what the target says of their sessions."""

from __future__ import annotations

import threading
from typing import Any

from harness.backend_jobs import JobEngine
from harness.contract import ConnectionLost
from harness.model import Caller
from harness.real_targets.backing.backend import World
from harness.real_targets.backing.session_backend import SessionBackend
from harness.real_targets.backing.sessions import SessionConnection

from .attachment import IscsiAttachment
from .exported import ExportedFile, ExportedStore
from .session import Login, LoginRefused, Session
from .target import control_name, control_password, host_name

BREAKS = ("socket", "target")
"""Who breaks a connection: the network between, or the target that ends the session."""


class IscsiBackend(SessionBackend[ExportedFile]):
    """Knows a caller's host by the initiator name, and the user by the CHAP account, of the session that is there.

    A control target is opened by the account of one user only: so the target's list of sessions says of each who it is,
    and nobody has to take the caller's word.
    """

    def __init__(self, world: World, store: ExportedStore, engine: JobEngine, breaks: str) -> None:
        super().__init__(world, store, engine)
        self._target = store.server
        self._breaks = breaks
        self._control_guard = threading.Lock()
        self._users: dict[str, str] = {}  # control target → user
        self._hosts: dict[str, str] = {}  # initiator name → host

    def open_connection(self, caller: Caller, connection_id: str) -> SessionConnection:
        """See `WallBackend.open_connection`; logs in, and then asks the target who that was."""
        target = self._target
        password = control_password(target.realm, caller.user)
        control = control_name(target.realm, caller.user, "" if target.tells_sessions_apart else connection_id)
        with self._control_guard:
            self._hosts[host_name(caller.host)] = caller.host
            if control not in self._users:
                target.create(control, caller.user, password)
                self._users[control] = caller.user
        login = Login(target.portal, control, host_name(caller.host), caller.user, password, connection_id)
        try:
            session = Session(login)
        except LoginRefused as error:
            raise ConnectionLost(str(error)) from error
        try:
            nexus = next((n for n in target.sessions(control) if n.alias in ("", connection_id)), None)
            if nexus is None or nexus.initiator not in self._hosts:
                raise ConnectionLost(f"backend {self.name} does not know the session {connection_id}")
        except BaseException:
            session.close()
            raise
        known = Caller(self._hosts[nexus.initiator], self._users[nexus.target], caller.address)
        drop = (lambda: target.drop(nexus)) if self._breaks == "target" else None
        return self.connection_over(session, lambda: nexus in target.sessions(control), drop, known, connection_id)

    def new_attachment(self, file: ExportedFile, *arguments: Any) -> IscsiAttachment:
        """See `SessionBackend.new_attachment`."""
        return IscsiAttachment(file, *arguments)
