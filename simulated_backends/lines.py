"""Transport connections between hosts and backends, as either end sees them when the network fails.

A line costs nothing while it is healthy: what its keep-alives would have found out is computed when a fault cuts it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from harness.runtime import Signal
from harness.runtime.agenda import Alarm
from harness.runtime.virtual import VirtualRuntime


class End(enum.Enum):
    """The two ends of a line."""

    CALLER = "caller"
    BACKEND = "backend"


@dataclass(frozen=True)
class KeepAlive:
    """One end's pings on an idle connection: their interval, above 0, and how long an answer may take (ns)."""

    interval_ns: int
    response_ns: int

    @property
    def detection_ns(self) -> int:
        """The longest time until a dropped connection is noticed: it drops just after an answer."""
        return self.interval_ns + self.response_ns

    def gives_up_ns(self, heard_ns: int, silent_ns: int) -> int:
        """When this end gives the connection up that is silent since `silent_ns` (all of them instants, in ns).

        Pings go out every interval after the last PDU, which came at `heard_ns`; those before the silence were
        answered, the next one is not.
        """
        answered = (silent_ns - heard_ns) // self.interval_ns
        return heard_ns + answered * self.interval_ns + self.detection_ns


class Line:
    """One connection between `host` and `backend`.

    `lost` is called, once for each end, when that end gives the connection up by its keep-alive. An end without one
    (`None`) never does. `cuts` counts what lets nothing through now; what heals before an end gave up loses nothing:
    what was under way is delivered at the healing. `heard` is for a backend that times its clients itself: it is told
    False when the caller falls silent, and True when it is heard again, and answers whether it still knows it.
    `changed` is called when a cut begins, and when whoever waits for the line has to look again; it must not block.
    """

    def __init__(
        self,
        runtime: VirtualRuntime,
        host: str,
        backend: str,
        keep_alives: tuple[KeepAlive | None, KeepAlive | None],
        lost: Callable[[End], None],
        heard: Callable[[bool], bool] | None = None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.host = host
        self.backend = backend
        self.heard_ns = runtime.now()
        self._runtime = runtime
        self._keep_alives = {End.CALLER: keep_alives[0], End.BACKEND: keep_alives[1]}
        self._lost = lost
        self._heard = heard
        self._on_change = changed
        self.is_half_open = False
        """Whether `half_open` has cut it."""
        self._frozen = 0
        self._left_ns: int | None = None
        self.cuts = 0
        self._gone: set[End] = set()
        self._timers: dict[End, Alarm] = {}
        self._changed: Signal[None] | None = None

    def has_keep_alive(self, end: End) -> bool:
        """Whether that end finds out by itself that the connection is lost."""
        return self._keep_alives[end] is not None

    def cut(self) -> None:
        """Let nothing through in either direction from now on; cuts nest."""
        self.cuts += 1
        if self.cuts > 1:
            return
        for end in End:
            if not (self._frozen and end is End.CALLER):
                self._hears_nothing(end)
        if self._heard is not None and End.BACKEND not in self._gone:
            self._heard(False)
        if self._on_change is not None:
            self._on_change()

    def half_open(self) -> None:
        """Cut it for as long as this connection lasts."""
        self.is_half_open = True
        self.cut()

    def heal(self) -> None:
        """Take one cut back.

        A caller whose backend has given the connection up meanwhile is told so by a reset, since it asks at once; a
        backend, which has nothing to ask, goes on to the end of its keep-alive.
        """
        self.cuts -= 1
        if self.cuts:
            return
        self.heard_ns = self._runtime.now()
        known = End.BACKEND not in self._gone
        if known and End.CALLER not in self._gone and self._heard is not None:
            known = self._heard(True)
        if not known:
            self.give_up(End.CALLER)
        if not self._gone:
            self._stop_timers()
        self._wake()

    def freeze(self) -> None:
        """The caller's host stands still: nothing gets through, and the keep-alive of that end does not go on."""
        self._frozen += 1
        timer = self._timers.pop(End.CALLER, None)
        if timer is not None:
            self._left_ns = self._runtime.env.due_ns(timer) - self._runtime.now()
            timer.cancel()
        self.cut()

    def thaw(self) -> None:
        """Take one freezing back; what else cuts the line is then found out by what the keep-alive has left."""
        self._frozen = max(0, self._frozen - 1)
        if not self.cuts:  # renewed meanwhile
            return
        self.heal()
        keep_alive = self._keep_alives[End.CALLER]
        runs = End.CALLER in self._gone or End.CALLER in self._timers
        if self.cuts and not self._frozen and keep_alive is not None and not runs:
            left_ns = keep_alive.detection_ns if self._left_ns is None else self._left_ns
            self._give_up_at(End.CALLER, self._runtime.now() + left_ns)
        if not self._frozen:
            self._left_ns = None

    def give_up(self, end: End) -> None:
        """That end closes the connection; the backend's end, if it does not do so too, is left to its keep-alive.

        Harmless when it has done so.
        """
        if end in self._gone:
            return
        self._gone.add(end)
        timer = self._timers.pop(end, None)
        if timer is not None:
            timer.cancel()
        if end is End.CALLER:
            self._hears_nothing(End.BACKEND)
        self._lost(end)
        self._wake()

    def renew(self) -> None:
        """Both ends have a new connection, which is not cut by what was peculiar to the old one."""
        self._stop_timers()
        self._gone.clear()
        self.cuts = 0
        self.is_half_open = False
        self.heard_ns = self._runtime.now()
        self._wake()

    def close(self) -> None:
        """Both ends have closed it: no keep-alive runs on it any more, and whoever waits for it is woken."""
        self._stop_timers()
        self._gone.update(End)
        self._wake()

    def deliver(self) -> None:
        """Bring a message over: `cross`, and then both ends have heard of each other."""
        if (not self._gone and not self.cuts) or self.cross():
            self.heard_ns = self._runtime.now()

    def cross(self) -> bool:
        """Block while the line is cut; returns whether the caller's end still has the connection."""
        while self.cuts and End.CALLER not in self._gone:
            if self._changed is None:
                self._changed = self._runtime.signal(f"the line from {self.host} to {self.backend} changes")
            self._changed.wait()
        return End.CALLER not in self._gone

    def _hears_nothing(self, end: End) -> None:
        """Let an end that hears nothing from now on go on to the end of its keep-alive, unless it does so already."""
        keep_alive = self._keep_alives[end]
        if keep_alive is not None and end not in self._gone and end not in self._timers:
            now = self._runtime.now()
            self._give_up_at(end, max(now, keep_alive.gives_up_ns(self.heard_ns, now)))

    def _give_up_at(self, end: End, at_ns: int) -> None:
        self._timers[end] = self._runtime.env.alarm(at_ns - self._runtime.now(), lambda: self.give_up(end))

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set(None)
        if self._on_change is not None:
            self._on_change()


class Network:
    """Which hosts and backends can't reach each other now, and the lines that this concerns."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._cuts: list[tuple[str, str]] = []
        self._waiting: list[tuple[str, str, Callable[[], None]]] = []

    def add(self, line: Line) -> Line:
        """Take a new line in; returns it. It is cut if its ends can't reach each other now."""
        self._lines.append(line)
        for host, backend in self._cuts:
            if self._concerns(host, backend, line.host, line.backend):
                line.cut()
        return line

    def remove(self, line: Line) -> None:
        """Forget a line that is closed."""
        self._lines = [known for known in self._lines if known is not line]

    def is_cut(self, host: str, backend: str) -> bool:
        """Whether nothing gets from that host to that backend now."""
        return any(self._concerns(h, b, host, backend) for h, b in self._cuts)

    def cut(self, host: str, backend: str) -> None:
        """Part a host from a backend; "" stands for all of them. Cuts nest."""
        self._cuts.append((host, backend))
        for line in tuple(self._lines):
            if self._concerns(host, backend, line.host, line.backend):
                line.cut()

    def heal(self, host: str, backend: str) -> None:
        """Take back one cut with the same names."""
        self._cuts.remove((host, backend))
        for line in tuple(self._lines):
            if line.cuts and self._concerns(host, backend, line.host, line.backend):
                line.heal()
        self._tell_waiting()

    def freeze(self, host: str) -> None:
        """A host stands still: nothing reaches it or comes from it, and its keep-alives do not go on. Nests."""
        self._cuts.append((host, ""))
        for line in tuple(self._lines):
            if line.host == host:
                line.freeze()

    def thaw(self, host: str) -> None:
        """Take one freezing of that host back."""
        self._cuts.remove((host, ""))
        for line in tuple(self._lines):
            if line.host == host:
                line.thaw()
        self._tell_waiting()

    def when_reachable(self, host: str, backend: str, action: Callable[[], None]) -> None:
        """Call `action` as soon as that host can reach that backend; it must not block."""
        if self.is_cut(host, backend):
            self._waiting.append((host, backend, action))
        else:
            action()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for of_host, of_backend, action in waiting:
            self.when_reachable(of_host, of_backend, action)

    @staticmethod
    def _concerns(host: str, backend: str, of_host: str, of_backend: str) -> bool:
        return host in ("", of_host) and backend in ("", of_backend)
