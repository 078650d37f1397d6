"""A backend whose connections and attachments are sessions with its server."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from harness.backend_jobs import JobEngine
from harness.model import Caller

from .backend import ROUND_TRIP_NS, WallBackend, World
from .served import ServedFile, ServedStore
from .sessions import ServerSession, SessionAttachment, SessionConnection

Served = TypeVar("Served", bound=ServedFile)


class SessionBackend(WallBackend[ServedStore[Served]], Generic[Served]):
    """Says what remains to be said of a protocol in `open_connection` and `new_attachment`."""

    def __init__(self, world: World, store: ServedStore[Served], engine: JobEngine) -> None:
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
