"""Connections and attachments that are sessions with a server, whatever its protocol."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from harness.runtime import SECOND
from harness.storage import StorageError
from harness.testbed import Attachment

from .attachment import WallAttachment
from .backend import WallConnection
from .reaching import Unreachable

GONE_WITHIN_S = 5.0
"""Seconds within which a server has to have noticed that a session is gone."""
PATIENCE_NS = 10 * SECOND
"""Nanoseconds for which a host tries to reach a volume that it does not find."""
PAUSE_NS = SECOND // 1000

T = TypeVar("T")


class ServerSession(Protocol):
    """A session with a server, as far as whoever has it need not know the protocol."""

    def ping(self) -> None:
        """Let the server answer something, whatever it is. Raises `Unreachable`."""

    def cut(self) -> None:
        """Cut the session's TCP connection, as a broken network does. Does not wait."""

    def close(self) -> None:
        """Log out where that can be done, and free the session. Repeating it is harmless."""


AnySession = TypeVar("AnySession", bound=ServerSession)


class SessionConnection(WallConnection):
    """A driver's connection: a session. No message arrives without it.

    `stands` says whether the server still knows the session; `drop` lets the server end it, None where the socket is to
    be cut. `arguments` are those of `WallConnection`.
    """

    def __init__(
        self, session: ServerSession, stands: Callable[[], bool], drop: Callable[[], None] | None, *arguments: Any
    ) -> None:
        super().__init__(*arguments)
        self._session = session
        self._stands = stands
        self._drop = drop
        self._ending = threading.Lock()

    def break_(self, noticed: bool = False) -> None:
        """Break the session in fact; returns once the server has noticed. See `BackendConnection.break_`."""
        with self._ending:
            if not self.is_open:
                return
            if self._drop is not None:
                self._drop()
            else:
                self._session.cut()
            give_up = time.monotonic() + GONE_WITHIN_S
            while self._stands() and time.monotonic() < give_up:
                time.sleep(0.001)
            super().break_(noticed)
            self._session.close()

    def close(self) -> None:
        """Log out; see `BackendConnection.close`."""
        super().close()
        self._session.close()

    def cut(self) -> None:
        """Cut the session, and free it; for the end of a testbed."""
        self._session.cut()
        self._session.close()

    def _cross(self) -> None:
        super()._cross()
        if self.is_open:
            try:
                self._session.ping()
            except Unreachable:
                self.break_()


class SessionAttachment(WallAttachment, Generic[AnySession]):
    """Logs in as its host, and again when the session is lost or the volume has gone elsewhere, as hosts do.

    What was not answered is sent again; it writes what it would have written. All commands take turns on one session,
    so one is on the wire at a time. `at_once` is how many bytes it copies with one command.
    """

    at_once: int

    def __init__(self, *arguments: Any) -> None:
        """`arguments` are those of `WallAttachment`."""
        super().__init__(*arguments)
        self._login_guard = threading.Lock()
        self._session: AnySession | None = None
        self.carry_out(lambda session: None)

    @abc.abstractmethod
    def new_session(self) -> AnySession:
        """Log in where the volume is now. Raises `Unreachable`, `ObjectUnknown`."""

    @abc.abstractmethod
    def is_of_use(self, session: AnySession) -> bool:
        """Whether a session that met something unreachable may be used again."""

    def carry_out(self, act: Callable[[AnySession], T]) -> T:
        """Do something in a session, again in a new one as long as the volume can't be reached.

        Raises `StorageError` once the host's patience is over, and what `act` raises beside `Unreachable`.
        """
        give_up_ns = self._runtime.now() + PATIENCE_NS
        while True:
            session = None
            try:
                session = self._log_in()
                return act(session)
            except Unreachable as error:
                reason = str(error)
            if session is not None and not self.is_of_use(session):
                self._forget(session)
            if self._runtime.now() > give_up_ns:
                raise StorageError(f"{self.host} can't reach volume {self.volume_id} any more: {reason}")
            self._runtime.sleep(PAUSE_NS)

    def copy_to(self, destination: Attachment) -> None:
        """See `Attachment.copy_to`: reads what was ever written, and writes it; what the other held becomes zeros.

        Raises `StorageError` where it does not fit, `ValueError` for the attachment of another testbed.
        """
        self._runtime.checkpoint()
        if not isinstance(destination, type(self)):
            raise ValueError("the destination must be an attachment of the same testbed")
        if destination.volume.size < self.volume.size:
            raise StorageError(f"volume {self.volume_id} does not fit into volume {destination.volume_id}")
        for start, length in list(destination.extents()):
            for offset in range(start, start + length, self.at_once):
                self._runtime.checkpoint()
                destination.put(offset, bytes(min(self.at_once, start + length - offset)))
        for start, length in self.extents():
            for offset in range(start, start + length, self.at_once):
                self._runtime.checkpoint()
                destination.put(offset, self.get(offset, min(self.at_once, start + length - offset)))

    def log_out(self) -> None:
        """Log out. Repeating it is harmless."""
        session = self._take()
        if session is not None:
            session.close()

    def cut(self) -> None:
        """Cut the session, and free it; for the end of a testbed."""
        session = self._take()
        if session is not None:
            session.cut()
            session.close()

    def _take(self) -> AnySession | None:
        with self._login_guard:
            session, self._session = self._session, None
            return session

    def _log_in(self) -> AnySession:
        with self._login_guard:
            if self._session is None:
                self._session = self.new_session()
            return self._session

    def _forget(self, session: AnySession) -> None:
        with self._login_guard:
            if self._session is session:
                self._session = None
        session.cut()
        session.close()
