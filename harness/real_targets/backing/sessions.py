"""Connections and attachments that are sessions with a server, whatever its protocol."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from harness.runtime import SECOND, end_run
from harness.storage import StorageError
from harness.testbed import Attachment

from .attachment import WallAttachment
from .backend import WallConnection
from .reaching import Unreachable
from .windows import Range, batches, cut_up

GONE_WITHIN_S = 20.0
"""Seconds within which a server has to have noticed that a session is gone, else the run ends; LIO takes two
(ISCSI_RX_THREAD_TCP_TIMEOUT)."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.001, 0.064
"""Seconds between two looks at the server's sessions; each is work for the server."""
PATIENCE_NS = 10 * SECOND
"""Nanoseconds for which a host tries to reach a volume that it does not find."""
PAUSE_NS = SECOND // 1000

T = TypeVar("T")


class SessionStands(Exception):
    """A server still has a session that was broken, longer than any takes to notice: a fault of the harness."""


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
        self.session = session
        self._stands = stands
        self._drop = drop
        self._ending = threading.Lock()
        self._is_struck = False

    def break_(self, noticed: bool = False) -> None:
        """Break the session in fact; returns once the server has noticed. See `BackendConnection.break_`.

        Where it does not notice, or its administrator can't tell, the run ends; raises `SessionStands` or that error.
        """
        with self._ending:
            if not self.is_open:
                return
            try:
                self.strike()
                self._wait_until_gone()
            except Exception as error:  # the caller's thread may be that of a driver, whose fault it is not
                end_run(self._runtime, error)
                raise
            super().break_(noticed)
            self.session.close()

    def _wait_until_gone(self) -> None:
        give_up, pause_s = time.monotonic() + GONE_WITHIN_S, FIRST_PAUSE_S
        while self._stands():
            if time.monotonic() > give_up:
                name = self.identity.connection_id
                raise SessionStands(f"the server still has the session {name}, {GONE_WITHIN_S:g} s after it was broken")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    def strike(self) -> None:
        """Do what breaks the session, whether or not the server has noticed by the end. Repeating it is harmless."""
        if not self._is_struck:
            self._is_struck = True
            if self._drop is not None:
                self._drop()
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
        for window in batches(cut_up(list(destination.extents()), self.at_once)):
            self._runtime.checkpoint()
            destination.put_many([(start, bytes(length)) for start, length in window])
        for window in batches(cut_up(self.extents(), self.at_once)):
            self._runtime.checkpoint()
            destination.put_many(self.get_many(window))

    def get_many(self, ranges: list[Range]) -> list[tuple[int, bytes]]:
        """Read pieces of at most `at_once` bytes each; returns offset and data of each. Raises as `get` does."""
        return [(offset, self.get(offset, length)) for offset, length in ranges]

    def put_many(self, pieces: list[tuple[int, bytes]]) -> None:
        """Write pieces, offset and data, of at most `at_once` bytes each. Raises as `put` does."""
        for offset, data in pieces:
            self.put(offset, data)

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
