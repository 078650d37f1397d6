"""How a host's foreground I/O gets to a backend, and what happens to it when the connection is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.contract import ConnectionLost
from harness.recorder import Recorder
from harness.runtime import SECOND, Signal, Timer
from harness.runtime.virtual import VirtualRuntime
from harness.storage import StorageError
from simulated_backends.lines import End, KeepAlive, Line, Network


class PathLost(StorageError):
    """A host's I/O failed: its login was refused, or its session was not back within its replacement timeout."""

    code = "path-lost"


@dataclass(frozen=True)
class Patience:
    """What the two ends of a host's session bear with; times in nanoseconds.

    `caller` and `backend` are their keep-alives, None where an end sends none. A lost session is opened again after
    `wait_ns`; commands are kept for `give_up_ns` from its loss and then fail, None meaning that they never do.
    `login_ns` is how long the host waits for the answer to a login.
    """

    caller: KeepAlive | None
    backend: KeepAlive | None
    wait_ns: int
    give_up_ns: int | None
    login_ns: int


_REFUSED_NS = SECOND
"""A host that was refused waits at least so long before it tries to log in again."""

HARD_MOUNT = Patience(KeepAlive(60 * SECOND, 60 * SECOND), None, 0, None, 60 * SECOND)
"""A Linux NFS client on a hard mount: it retries for ever; timeo is 60 s over TCP (nfs(5)), taken for both timers."""


class HostSession(Protocol):
    """The session under a route, as the protocol has it."""

    @property
    def is_known(self) -> bool:
        """Whether the backend's end has the session."""

    def open(self) -> None:
        """Log in, in place of the session that was there before. Does not block. Raises `ConnectionLost`."""

    def drop(self) -> None:
        """The backend's end drops the session. Harmless when it has done so."""

    def timed_out(self) -> None:
        """The backend gives the connection up by the keep-alive of its own end. Does not block."""


class HostRoute:
    """A host's way to one backend for foreground I/O: a session that the host opens again when it is lost.

    Commands that were under way on a lost session are ended by the loss, whatever became of them, and the host sends
    them again on the next one. `session` numbers the sessions. `call_later` is that of the host's clock.

    Making one logs the host in; raises `PathLost` if the backend refuses that. While nothing reaches the backend the
    host waits and logs in as after a loss. A login that is refused then is tried again.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        recorder: Recorder,
        network: Network,
        host: str,
        backend: str,
        patience: Patience,
        below: HostSession,
        call_later: Callable[[int, Callable[[], None]], Timer],
    ) -> None:
        self.host = host
        self.backend = backend
        self.session = 1
        self._runtime = runtime
        self._recorder = recorder
        self._network = network
        self._patience = patience
        self._is_up = not network.is_cut(host, backend)
        self._has_failed = False
        self._call_later = call_later
        self._give_up: Timer | None = None
        self._changed: Signal[None] | None = None
        self._watchers: list[Callable[[], None]] = []
        self._below = below
        if self._is_up:
            try:
                below.open()
            except ConnectionLost as error:
                raise PathLost(f"{host} can't log in to {backend}: {error}") from None
        keep_alives = (patience.caller, patience.backend)
        self._line = network.add(Line(runtime, host, backend, keep_alives, self._given_up, changed=self._look))
        if not self._is_up:
            self._line.close()  # until there is a session on it
            self._do_without(0)

    def ready(self) -> int:
        """Block until a session is up; returns its number. Raises `PathLost` once the host has lost patience."""
        while not self._is_up or self._line.cuts:
            if self._is_up:
                self._line.cross()
                continue
            if self._has_failed:
                raise PathLost(f"{self.host} has no session with {self.backend}")
            if self._changed is None:
                self._changed = self._runtime.signal(f"session of {self.host} with {self.backend} is back")
            self._changed.wait()
        return self.session

    def carry(self, session: int) -> bool:
        """Block while the network holds a message of that session back; returns whether it got through."""
        line = self._line
        if line.cuts and session == self.session:
            line.cross()
        if session != self.session:  # it counts on as soon as a session is lost
            return False
        line.heard_ns = self._runtime.now()
        return True

    @property
    def is_clear(self) -> bool:
        """Whether the session is up and nothing holds messages back: `ready` and `carry` would not block."""
        return self._is_up and not self._line.cuts

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher`, which must not block, whenever `is_clear` may have become False; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def wait_with(self, session: int, answer: Signal[None]) -> None:
        """Block until that signal is set, which is the caller's own, or that session is lost."""

        def look() -> None:
            if self.session != session:
                answer.set(None)

        end = self.watch(look)
        try:
            look()  # it may be lost by now
            answer.wait()
        finally:
            end()

    def heard_at(self, ns: int) -> None:
        """Note that the last of several messages got through at that instant; see `carry`."""
        self._line.heard_ns = max(self._line.heard_ns, ns)

    @property
    def is_open(self) -> bool:
        """Whether the host has a session."""
        return self._is_up

    @property
    def is_known(self) -> bool:
        """Whether the backend has a session of the host."""
        return self._below.is_known

    @property
    def is_half_open(self) -> bool:
        """Whether `half_open` has hit the connection."""
        return self._line.is_half_open

    def half_open(self) -> None:
        """Nothing gets through on this connection any more, and neither end is told."""
        self._line.half_open()

    def drop(self, reason: str, backend_knows: bool) -> None:
        """The host loses the connection now; the backend too if it knows, else by its keep-alive only."""
        if backend_knows:
            self.forget()
        if self._is_up:
            self._lose(reason)

    def end_at_backend(self, reason: str) -> None:
        """The backend ends the session by itself; where nothing gets through, the host does not hear of that."""
        self.forget()
        if self._is_up and not self._line.cuts:
            self._lose(reason)

    def forget(self) -> None:
        """The backend's end drops the session; the host finds out when it asks, or by its keep-alive."""
        self._below.drop()
        self._line.give_up(End.BACKEND)

    # ---- loss and recovery -----------------------------------------------------------------------------------------

    def _given_up(self, end: End) -> None:
        if end is End.BACKEND:
            self._below.timed_out()
        elif self._is_up:
            self._lose("keep-alive")

    def _lose(self, reason: str) -> None:
        self._is_up = False
        self.session += 1
        self._recorder.emit("session.lost", host=self.host, backend=self.backend, reason=reason)
        self._line.give_up(End.CALLER)
        self._do_without(self._patience.wait_ns)

    def _do_without(self, wait_ns: int) -> None:
        """Keep commands for as long as the host is patient, and log in after `wait_ns` nanoseconds."""
        if self._patience.give_up_ns is not None:
            self._give_up = self._call_later(self._patience.give_up_ns, self._fail)
        self._log_in_after(wait_ns)

    def _log_in_after(self, ns: int) -> None:
        self._call_later(ns, lambda: self._network.when_reachable(self.host, self.backend, self._log_in_again))

    def _log_in_again(self) -> None:
        try:
            self._below.open()
        except ConnectionLost:
            self._log_in_after(max(self._patience.wait_ns, _REFUSED_NS))
            return
        self._line.renew()
        self._is_up, self._has_failed = True, False
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None
        if self.session > 1:  # else none was lost
            self._recorder.emit("session.restored", host=self.host, backend=self.backend)
        self._wake()

    def _fail(self) -> None:
        self._give_up = None
        self._has_failed = True
        self._recorder.emit("session.failed", host=self.host, backend=self.backend)
        self._wake()

    def _look(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set(None)
