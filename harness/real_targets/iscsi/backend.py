"""A backend behind a real iSCSI target, and the agent that knows callers by what the target says of their sessions."""

from __future__ import annotations

import threading
import time
from typing import Any

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection
from harness.contract import ConnectionLost
from harness.model import Caller
from harness.real_targets.backing.backend import ROUND_TRIP_NS, WallBackend, WallConnection, World
from harness.storage import TransferCancelled

from .attachment import IscsiAttachment
from .exported import ExportedStore
from .session import Login, LoginRefused, Session, SessionLost
from .target import Nexus, Target, control_name, control_password, host_name

BREAKS = ("socket", "target")
"""Who breaks a connection: the network between, or the target that ends the session."""
GONE_WITHIN_S = 5.0
"""Seconds within which a target has to have noticed that a session is gone; LIO takes two
(ISCSI_RX_THREAD_TCP_TIMEOUT)."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.001, 0.064
"""Seconds between two looks at the target's sessions; each is work for the target."""


class IscsiConnection(WallConnection):
    """A driver's connection: a session with its user's control target. No message arrives without the session."""

    def __init__(self, session: Session, target: Target, nexus: Nexus, breaks: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.session = session
        self._target = target
        self.nexus = nexus
        self._breaks = breaks
        self._ending = threading.Lock()
        self._is_struck = False

    def break_(self, noticed: bool = False) -> None:
        """Break the session in fact; returns once the target has noticed. See `BackendConnection.break_`."""
        with self._ending:
            if not self.is_open:
                return
            self.strike()
            give_up, pause_s = time.monotonic() + GONE_WITHIN_S, FIRST_PAUSE_S
            while self.nexus in self._target.sessions(self.nexus.target) and time.monotonic() < give_up:
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
            super().break_(noticed)
            self.session.close()

    def strike(self) -> None:
        """Do what breaks the session, whether or not the target has noticed by the end. Repeating it is harmless."""
        if not self._is_struck:
            self._is_struck = True
            if self._breaks == "target":
                self._target.drop(self.nexus)
            else:
                self.session.cut()

    def close(self) -> None:
        """Log out; see `BackendConnection.close`."""
        super().close()
        self.session.close()

    def cut(self) -> None:
        """Cut the session, and free it; for the end of a testbed."""
        self.session.cut()
        self.session.close()

    def _cross(self) -> None:
        super()._cross()
        if self.is_open:
            try:
                self.session.ping()
            except SessionLost:
                self.break_()


class IscsiBackend(WallBackend[ExportedStore]):
    """Knows a caller's host by the initiator name, and the user by the CHAP account, of the session that is there.

    A control target is opened by the account of one user only: so the target's list of sessions says of each who it is,
    and nobody has to take the caller's word.
    """

    def __init__(self, world: World, store: ExportedStore, engine: JobEngine, breaks: str) -> None:
        super().__init__(world, store, engine)
        self._breaks = breaks
        self._control_guard = threading.Lock()
        self._users: dict[str, str] = {}  # control target → user
        self._hosts: dict[str, str] = {}  # initiator name → host
        self._attachments: list[IscsiAttachment] = []

    def open_connection(self, caller: Caller, connection_id: str) -> IscsiConnection:
        """See `WallBackend.open_connection`; logs in, and then asks the target who that was."""
        target = self.store.target
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
        nexus = next((n for n in target.sessions(control) if n.alias in ("", connection_id)), None)
        if nexus is None:
            session.close()
            raise ConnectionLost(f"backend {self.name} does not know the session {connection_id}")
        known = Caller(self._hosts[nexus.initiator], self._users[nexus.target], caller.address)
        world = self.world
        return IscsiConnection(
            session, target, nexus, self._breaks,
            world.pauses, world.runtime, world.recorder, self.engine, known, connection_id, ROUND_TRIP_NS, self.forget,
        )  # fmt: skip

    def break_connections(self, connections: list[BackendConnection]) -> None:
        """See `WallBackend.break_connections`; all are struck before anybody waits for the target to notice."""
        for connection in connections:
            if isinstance(connection, IscsiConnection) and connection.is_open:
                connection.strike()
        super().break_connections(connections)

    def connection(self, connection_id: str) -> IscsiConnection:
        """An open connection. Raises `TransferCancelled` if it has ended: what it was needed for ends with it."""
        with self._guard:
            found = self._connections.get(connection_id)
        if not isinstance(found, IscsiConnection):
            raise TransferCancelled(f"the connection {connection_id} has ended")
        return found

    def attach(self, volume_id: str, host: str) -> IscsiAttachment:
        """See `harness.testbed.Backend.attach`."""
        world = self.world
        world.runtime.checkpoint()
        file = self.store.exported_file(volume_id)
        attachment = IscsiAttachment(
            file,
            world.runtime,
            world.recorder,
            file,
            host,
            world.stalls,
            lambda: self.source_of_load(volume_id, host),
        )
        self._attachments.append(attachment)
        return attachment

    def close(self) -> None:
        """Refuse new connections, stop what runs, and free the sessions."""
        super().close()
        for connection in self.connections_of(""):
            assert isinstance(connection, IscsiConnection)
            connection.cut()
        for attachment in self._attachments:
            attachment.cut()

    def forget(self, connection: BackendConnection, broke: bool) -> None:
        """See `WallBackend.forget`."""
        super().forget(connection, broke)
