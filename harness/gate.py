"""The write gate of an attachment: holds, drains and releases writes, over the runtime port."""

from __future__ import annotations

import _thread
from collections.abc import Callable

from harness.recorder import Recorder
from harness.runtime import Expired, Runtime, Signal, Timer


class _Hold:
    """One owner's hold of a gate, and the timer at whose end the host releases it by itself."""

    timer: Timer

    def __init__(self, owner: str) -> None:
        self.owner = owner


class WriteGate:
    """One host's gate for one volume (Q-1 to Q-6).

    A writer brackets each write with `enter` and `leave`. `flush` is called once a hold has drained, to push what a
    write cache still holds; it may block until the instant (ns, by `Runtime.clock`) that it is given, and raise
    `Expired`. `call_later` is that of the host's clock, by which the limit of a hold counts; by default the runtime's.
    """

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        volume_id: str,
        host: str,
        flush: Callable[[int], None] | None = None,
        call_later: Callable[[int, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._runtime = runtime
        self._call_later = call_later or runtime.call_later
        self._recorder = recorder
        self.volume_id = volume_id
        self.host = host
        self._flush = flush
        self._guard = _thread.allocate_lock()  # short critical sections only, never held while switching
        self._holds: dict[str, _Hold] = {}
        self._first: _Hold | None = None  # the one that closed the gate, whose limit is that of all
        self._opened: Signal[None] | None = None
        self._in_flight = 0
        self._drained: Signal[None] | None = None
        self._held_writes = 0
        self._giving_back = 0
        self._watchers: list[Callable[[], None]] = []

    @property
    def holding(self) -> bool:
        """Whether writes are being held."""
        return self._opened is not None

    @property
    def held_writes(self) -> int:
        """How many writes are waiting at the gate."""
        return self._held_writes

    def is_held_by(self, owner: str) -> bool:
        """Whether that owner's hold still stands."""
        return owner in self._holds

    def enter(self) -> None:
        """Wait while the gate holds, then count a write as under way."""
        self._runtime.checkpoint()
        with self._guard:
            opened = self._opened
            if opened is None:
                self._in_flight += 1
                return
            self._held_writes += 1
        try:
            opened.wait()  # whoever opens the gate counts it as under way, so that no later hold gets before it
        except BaseException:
            with self._guard:
                is_held = self._opened is opened
                self._held_writes -= is_held
            if not is_held:
                self.leave()
            raise

    def leave(self) -> None:
        """Count a write as acknowledged."""
        with self._guard:
            self._in_flight -= 1
            drained = None
            if self._in_flight == 0:
                drained, self._drained = self._drained, None
        if drained is not None:
            drained.set(None)

    def note_passed(self, difference: int) -> None:
        """Count `difference` more writes under way; for a batch of writes that passed the open gate one by one."""
        with self._guard:
            self._in_flight += difference

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher`, which must not block, whenever an owner begins to hold; returns what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def hold(self, owner: str, within_ns: int, limit_ns: int) -> None:
        """Hold new writes and drain those under way; see `harness.testbed.Gate.hold`. Times in nanoseconds.

        Raises `Expired` if drain and flush take longer than `within_ns`, and the hold is given back then, or longer
        than `limit_ns`.
        """
        self._runtime.checkpoint()
        if limit_ns <= 0:
            raise Expired(f"{self.volume_id} may not be held at {self.host} any more")
        until_ns = self._runtime.clock() + within_ns
        hold = _Hold(owner)
        hold.timer = self._call_later(limit_ns, lambda: self._expire(hold))
        with self._guard:
            if self._opened is None:
                self._opened = self._runtime.signal(f"gate of {self.volume_id} at {self.host} opens")
                self._first = hold
            before, self._holds[owner] = self._holds.get(owner), hold
            goes_on = before is self._first
            drained = None
            if self._in_flight:
                drained = self._drained = self._drained or self._runtime.signal(
                    f"writes of {self.volume_id} at {self.host} drain"
                )
        if before is not None and not goes_on:
            before.timer.cancel()
        self._recorder.emit("gate.hold", volume=self.volume_id, host=self.host, owner=owner)
        for watcher in tuple(self._watchers):
            watcher()
        try:
            if drained is not None:
                drained.wait(within_ns)
            if self._flush is not None:
                self._flush(until_ns)
        except Expired:
            self._give_back(hold, "gate.timeout")
            raise Expired(
                f"writes to {self.volume_id} at {self.host} were not acknowledged within {within_ns / 1e9:g} s"
            ) from None
        if not self.is_held_by(owner):
            raise Expired(f"{self.host} has released {self.volume_id} before its writes were acknowledged")
        self._recorder.emit("gate.quiesced", volume=self.volume_id, host=self.host, owner=owner)

    def release(self, owner: str) -> None:
        """Give the hold back; see `harness.testbed.Gate.release`."""
        self._runtime.checkpoint()
        with self._guard:
            hold = self._holds.get(owner)
        if hold is not None:
            self._give_back(hold, "gate.release")

    def _expire(self, hold: _Hold) -> None:
        with self._guard:
            over = list(self._holds.values()) if hold is self._first else [hold]
        for each in over:
            self._give_back(each, "gate.expired")

    def _give_back(self, hold: _Hold, kind: str) -> None:
        with self._guard:
            if self._holds.get(hold.owner) is not hold:
                return
            del self._holds[hold.owner]
            self._giving_back += 1
            goes_on = hold is self._first
        if not goes_on:
            hold.timer.cancel()
        # recorded before the gate opens, for held writes and for new ones, so that the record's order is that of events
        self._recorder.emit(kind, volume=self.volume_id, host=self.host, owner=hold.owner)
        with self._guard:
            self._giving_back -= 1
            opened = first = None
            if not self._holds and not self._giving_back:
                opened, self._opened = self._opened, None
                first, self._first = self._first, None
                self._in_flight += self._held_writes
                self._held_writes = 0
        if first is not None:
            first.timer.cancel()
        if opened is not None:
            opened.set(None)
