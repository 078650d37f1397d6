"""A backend whose connections and attachments are sessions with its server."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from harness.backend_jobs import JobEngine
from harness.connection import BackendConnection
from harness.model import Caller
from harness.storage import TransferCancelled

from .backend import ROUND_TRIP_NS, WallBackend, World
from .served import ServedFile, ServedStore
from .sessions import ServerSession, SessionAttachment, SessionConnection

Served = TypeVar("Served", bound=ServedFile[Any])


class SessionBackend(WallBackend[ServedStore[Any, Served]], Generic[Served]):
    """Says what remains to be said of a protocol in `open_connection` and `new_attachment`."""

    def __init__(self, world: World, store: ServedStore[Any, Served], engine: JobEngine) -> None:
        super().__init__(world, store, engine)
        self._attachments: list[SessionAttachment[Any]] = []

    @abc.abstractmethod
    def open_connection(self, caller: Caller, connection_id: str) -> SessionConnection:
        """See `WallBackend.open_connection`."""

    @abc.abstractmethod
    def new_attachment(self, file: Served, *arguments: Any) -> SessionAttachment[Any]:
        """An attachment of the file; `arguments` are those of `WallAttachment`."""

    def connection_over(
        self,
        session: ServerSession,
        stands: Callable[[], bool],
        drop: Callable[[], None] | None,
        known: Caller,
        connection_id: str,
    ) -> SessionConnection:
        """The connection that is a session; `known` is who the server says that is. See `SessionConnection`."""
        world = self.world
        return SessionConnection(
            session, stands, drop,
            world.pauses, world.runtime, world.recorder, self.engine, known, connection_id, ROUND_TRIP_NS, self.forget,
        )  # fmt: skip

    def strike(self, connections: list[BackendConnection]) -> None:
        """See `WallBackend.strike`."""
        for connection in connections:
            if isinstance(connection, SessionConnection) and connection.is_open:
                connection.strike()

    def break_connections(self, connections: list[BackendConnection]) -> None:
        """See `WallBackend.break_connections`; all are struck before anybody waits for the server to notice."""
        self.strike(connections)
        super().break_connections(connections)

    def connection(self, connection_id: str) -> SessionConnection:
        """An open connection. Raises `TransferCancelled` if it has ended: what it was needed for ends with it."""
        with self._guard:
            found = self._connections.get(connection_id)
        if not isinstance(found, SessionConnection):
            raise TransferCancelled(f"the connection {connection_id} has ended")
        return found

    def attach(self, volume_id: str, host: str) -> SessionAttachment[Any]:
        """See `harness.testbed.Backend.attach`."""
        world = self.world
        world.runtime.checkpoint()
        file = self.store.exported_file(volume_id)
        attachment = self.new_attachment(
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
            assert isinstance(connection, SessionConnection)
            connection.cut()
        for attachment in self._attachments:
            attachment.cut()
