"""A backend under the wall clock: its store, its job engine, and the connections and attachments to it."""

from __future__ import annotations

import abc
import contextlib
import itertools
import random
import threading
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from harness.connection import BackendConnection, Jobs
from harness.contract import ConnectionLost
from harness.model import Caller
from harness.recorder import Recorder
from harness.runtime import Runtime
from harness.schedule import Fault, random_source
from harness.storage import Image, ObjectUnknown, StoredObject
from harness.testbed import ActivityView, Inspection

from .attachment import WallAttachment
from .faults import DrainStalls, Pauses
from .options import MILLISECOND

ROUND_TRIP_NS = MILLISECOND // 5
"""Nanoseconds that a call on a connection takes, beside what its messages take in fact."""


class ShownStore(Protocol):
    """What a backend needs of its store; `FileStore` is one."""

    name: str
    family: str

    def objects(self) -> tuple[StoredObject, ...]:
        """See `VolumeStore.objects`."""

    def shown(self, found: StoredObject) -> tuple[StoredObject, Image]:
        """See `FileStore.shown`."""

    def used_bytes(self) -> int:
        """See `VolumeStore.used_bytes`."""

    def close(self) -> None:
        """Free what the store holds."""


class Engine(Jobs, Protocol):
    """What a backend needs of its jobs; `JobEngine` is one."""

    def views(self) -> tuple[ActivityView, ...]:
        """The activities as the backend sees them."""

    def plan_fault(self, fault: Fault) -> None:
        """Let an activity fail as that fault says."""


Store = TypeVar("Store", bound=ShownStore)


@dataclass(frozen=True)
class World:
    """What everything in one testbed shares."""

    runtime: Runtime
    recorder: Recorder
    stalls: DrainStalls
    pauses: Pauses
    seed: int


class WallConnection(BackendConnection):
    """A driver's connection; its calls wait while the caller's host stands still."""

    def __init__(self, pauses: Pauses, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._pauses = pauses

    def _cross(self) -> None:
        self._pauses.pass_call(self.caller.host)


class WallBackend(abc.ABC, Generic[Store]):
    """Implements `harness.testbed.Backend`."""

    def __init__(self, world: World, store: Store, engine: Engine) -> None:
        self.name = store.name
        self.family = store.family
        self.store = store
        self.engine = engine
        self.world = world
        self._guard = threading.Lock()
        self._numbers = itertools.count(1)
        self._connections: dict[str, BackendConnection] = {}
        self._replies_to_lose: list[str] = []
        self._is_closed = False

    @abc.abstractmethod
    def attach(self, volume_id: str, host: str) -> WallAttachment:
        """See `harness.testbed.Backend.attach`."""

    def open_connection(self, caller: Caller, connection_id: str) -> WallConnection:
        """A new connection. Raises `ConnectionLost` where the caller can't log in."""
        world = self.world
        return WallConnection(
            world.pauses, world.runtime, world.recorder, self.engine, caller, connection_id, ROUND_TRIP_NS, self.forget
        )

    def connect(self, caller: Caller) -> BackendConnection:
        """See `harness.testbed.Backend.connect`. Raises `ConnectionLost` once the testbed is closed."""
        self.world.runtime.checkpoint()
        self.world.pauses.pass_call(caller.host)
        if self._is_closed:
            raise ConnectionLost(f"backend {self.name} is closed")
        connection = self.open_connection(caller, f"{self.name}-{next(self._numbers)}")
        with self._guard:
            self._connections[connection.identity.connection_id] = connection
            if caller.host in self._replies_to_lose:
                self._replies_to_lose.remove(caller.host)
                connection.lose_next_reply()
        self.world.recorder.emit(
            "connection.opened",
            backend=self.name,
            host=caller.host,
            user=caller.user,
            id=connection.identity.connection_id,
        )
        return connection

    def source_of_load(self, volume_id: str, host: str) -> random.Random:
        """Where a workload of a host on a volume takes its choices from; another one at each call."""
        return random_source(self.world.seed, "load", volume_id, host, str(next(self._numbers)))

    def inspect(self) -> Inspection:
        """See `harness.testbed.Backend.inspect`; images are those of complete objects."""
        objects: list[StoredObject] = []
        images: dict[str, Image] = {}
        for found in self.store.objects():
            shown = found
            if found.complete:
                with contextlib.suppress(ObjectUnknown):  # deleted or moved away meanwhile
                    shown, images[found.id] = self.store.shown(found)
            objects.append(shown)
        with self._guard:
            connections = len(self._connections)
        return Inspection(tuple(objects), images, self.engine.views(), self.store.used_bytes(), connections)

    def connections_of(self, host: str) -> list[BackendConnection]:
        """The open connections of a host, oldest first; of every host for ""."""
        with self._guard:
            return [c for c in self._connections.values() if host in ("", c.caller.host)]

    def strike(self, connections: list[BackendConnection]) -> None:
        """Do what breaks connections, where somebody has to notice it. Does not wait."""

    def break_connections(self, connections: list[BackendConnection]) -> None:
        """Break connections, all at the same time; see `BackendConnection.break_`."""
        for connection in connections:
            connection.break_()

    def lose_next_reply_to(self, host: str) -> None:
        """Lose the answer to the next start of a host: on its newest connection, or on the next that it opens."""
        found = self.connections_of(host)
        if found:
            found[-1].lose_next_reply()
        else:
            with self._guard:
                self._replies_to_lose.append(host)

    def close(self) -> None:
        """Refuse new connections and stop what runs."""
        self._is_closed = True
        self.store.close()

    def forget(self, connection: BackendConnection, broke: bool) -> None:
        """A connection has ended."""
        with self._guard:
            self._connections.pop(connection.identity.connection_id, None)
