"""What an NFSv4.1 server holds of its clients (RFC 8881 sections 2.4, 2.10 and 8.3): owners, records, sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from harness.runtime import Signal
from harness.runtime.agenda import Alarm


@dataclass(frozen=True)
class ClientOwner:
    """client_owner4 and the principal of EXCHANGE_ID: the host's machine credential, whoever uses the host."""

    owner_id: str
    verifier: int
    principal: str


@dataclass(frozen=True)
class StateOwner:
    """To whom a copy stateid belongs: a client id, and the RPC principal that asked for the copy."""

    client_id: int
    principal: str


@dataclass(eq=False)
class Session:
    """A session of a client (RFC 8881 section 2.10), used by one RPC principal.

    `silent_since` (ns) is None while the client can be heard on it: its keep-alives are computed, not sent.
    """

    id: str
    client_id: int
    principal: str
    silent_since: int | None = None
    timer: Alarm | None = None

    @property
    def owner(self) -> StateOwner:
        """Whose copies are asked for on this session."""
        return StateOwner(self.client_id, self.principal)


@dataclass(eq=False)
class ClientRecord:
    """A client as the server holds it.

    `confirmed` by a CREATE_SESSION; `opens` and `stateids` are its state: files and copies. `renewed_ns` is when its
    lease was last renewed, as far as no session of it does so all the time. A `courtesy` client's lease has expired,
    but nobody has needed what it holds yet (RFC 8881 section 8.4.3). `when_heard` is what waits for a client that can't
    be heard.
    """

    client_id: int
    owner: ClientOwner
    renewed_ns: int
    confirmed: bool = False
    courtesy: bool = False
    reclaim_complete: bool = False
    sessions: dict[str, Session] = field(default_factory=dict)
    opens: set[str] = field(default_factory=set)
    stateids: set[str] = field(default_factory=set)
    when_heard: list[Callable[[], None]] = field(default_factory=list)
    timer: Alarm | None = None

    @property
    def is_heard(self) -> bool:
        """Whether some session renews the lease all the time."""
        return any(session.silent_since is None for session in self.sessions.values())

    @property
    def has_state(self) -> bool:
        """Whether the client holds anything that another may not take from it while its lease lasts."""
        return bool(self.sessions or self.opens or self.stateids)


Place = tuple[str, str]
"""An object by the name of its storage and its id."""


@dataclass(frozen=True)
class Work:
    """Work on objects: those that it names, and of these the one that it makes, removes or changes, so that nothing
    else may be under way on it; None for none."""

    names: tuple[Place, ...]
    claimed: Place | None

    def collides_with(self, other: Work) -> bool:
        """Whether one of the two claims an object that the other names."""
        return self.claimed in other.names or other.claimed in self.names


@dataclass(frozen=True)
class Held:
    """Work under way that hangs on the state of a client. `over` is set at its end, None if it ends with that state at
    once."""

    client_id: int
    work: Work
    over: Signal[None] | None = None


class StateListener(Protocol):
    """Who works for clients, and has to know when the server lets state go. Calls must not block."""

    def under_way(self) -> Iterable[Held]:
        """What hangs on the state of clients."""

    def session_destroyed(self, session_id: str) -> None:
        """The session is gone, for whatever reason."""

    def client_released(self, client_id: int, why: str) -> None:
        """The client's state is gone: its copy stateids are no longer known (RFC 7862 section 4.8)."""


def stop_timer(holder: ClientRecord | Session) -> None:
    """Cancel the timer of a client's lease or courtesy, or of a session's inactivity, if it runs."""
    if holder.timer is not None:
        holder.timer.cancel()
        holder.timer = None
