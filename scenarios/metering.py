"""What is counted while a scenario runs: bytes over links, activities and what they moved, temporary volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.model import Volume
from harness.recorder import Event, Recorder
from harness.runtime.agenda import Agenda
from harness.taskflow.catalog import Catalog
from simulated_backends.backend import SimulatedBackend
from simulated_backends.fabric import Fabric, Flow, Link, Path


class MeteredFabric(Fabric):
    """A fabric that counts the bytes over each of its links, and may keep a part of a link from bulk transfers."""

    def __init__(self, env: Agenda) -> None:
        super().__init__(env)
        self._crossed: dict[Link, int] = {}
        self._nominal: dict[Link, int] = {}
        self._reserved: dict[Link, int] = {}
        self.started: Callable[[], None] = lambda: None
        """Called at the start of each flow."""

    def start(self, path: Path, size: int, on_end: Callable[[], None]) -> Flow:
        """See `Fabric.start`."""
        links = tuple(path)

        def ended() -> None:
            self._count(links, size)
            on_end()

        self.started()
        return super().start(links, size, ended)

    def cancel(self, flow: Flow) -> None:
        """See `Fabric.cancel`."""
        if not flow.is_over:
            self._count(flow.path, flow.moved())
        super().cancel(flow)

    def nominal(self, link: Link) -> int:
        """See `Fabric.nominal`: without what is reserved."""
        return self._nominal.get(link, link.capacity)

    def set_capacity(self, link: Link, capacity: int) -> None:
        """See `Fabric.set_capacity`; what is reserved is taken from it."""
        self._apply(link, capacity)
        if link in self._nominal:  # not before: who is told of a change asks for what was until then
            self._nominal[link] = capacity

    def reserve(self, link: Link, rate: int) -> None:
        """Leave bulk transfers so many bytes a second less of a link, from now on."""
        if self._reserved.get(link, 0) != rate:
            capacity = self._nominal.setdefault(link, link.capacity)
            self._reserved[link] = rate
            self._apply(link, capacity)

    def _apply(self, link: Link, capacity: int) -> None:
        reserved = min(self._reserved.get(link, 0), capacity // 2)
        super().set_capacity(link, capacity - reserved)

    def crossed(self) -> dict[Link, int]:
        """The bytes over each link so far, those of the flows under way included."""
        total = dict(self._crossed)
        for flow in self.flows():
            for link in flow.path:
                total[link] = total.get(link, 0) + flow.moved()
        return total

    def forget(self) -> None:
        """Count anew from here; what is under way is counted whole."""
        self._crossed.clear()

    def _count(self, links: Path, size: int) -> None:
        for link in links:
            self._crossed[link] = self._crossed.get(link, 0) + size


@dataclass(frozen=True)
class ActivityRecord:
    """A backend activity that is over: what it was, how it ended, and how many bytes it had moved."""

    backend: str
    handle: str
    verb: str
    target: str
    state: str
    started_ns: int
    ended_ns: int
    moved: int


class ActivityMeter:
    """Notes each activity at its end, when the backend still knows how far it had got."""

    def __init__(self, recorder: Recorder, backends: Mapping[str, SimulatedBackend]) -> None:
        self.over: dict[tuple[str, str], ActivityRecord] = {}
        self._backends = backends
        self._started: dict[tuple[str, str], tuple[int, int]] = {}
        recorder.listen(self._look)

    def _look(self, event: Event) -> None:
        if event.kind == "activity.started":
            backend, handle = event.fields["backend"], event.fields["handle"]
            source = self._backends[backend].store.find(event.fields["source"])
            self._started[backend, handle] = (event.at_ns, source.bytes if source is not None else 0)
        elif event.kind == "activity.ended":
            backend, handle, verb = event.fields["backend"], event.fields["handle"], event.fields["verb"]
            started_ns, size = self._started.pop((backend, handle), (event.at_ns, 0))
            activity = self._backends[backend].engine.table.find(handle)
            progress = (activity.progress if activity is not None else None) or 0.0
            moves = size if verb in ("copy", "move", "replicate", "read") else 0
            self.over[backend, handle] = ActivityRecord(
                backend,
                handle,
                verb,
                event.fields["target"],
                event.fields["state"],
                started_ns,
                event.at_ns,
                int(progress * moves),
            )


class MeteredCatalog(Catalog):
    """A catalog that keeps its hidden volumes at hand, for `SpaceMeter`."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, None] = {}

    def add(self, record: object) -> None:
        """See `Catalog.add`."""
        super().add(record)  # type: ignore[arg-type]
        if isinstance(record, Volume) and not record.use_quota:
            self.hidden[record.id] = None

    def remove(self, record_id: str) -> None:
        """See `Catalog.remove`."""
        super().remove(record_id)
        self.hidden.pop(record_id, None)


class SpaceMeter:
    """The bytes that temporary volumes take on all backends together, noted whenever they may have changed."""

    _CHANGES = ("activity.started", "activity.ended", "method.returned", "volume.cutover", "flow.done", "flow.undone")

    def __init__(
        self,
        recorder: Recorder,
        fabric: MeteredFabric,
        backends: Mapping[str, SimulatedBackend],
        catalog: MeteredCatalog,
    ) -> None:
        self._fabric = fabric
        self.at_ns: list[int] = []
        self.bytes: list[int] = []
        self._backends = backends
        self._catalog = catalog
        recorder.listen(self._look)
        fabric.started = self._note  # what a move makes at its destination is there before the first byte

    def _look(self, event: Event) -> None:
        if event.kind in self._CHANGES:
            self._note()

    def _note(self) -> None:
        now, taken = self._fabric.now(), 0
        for volume_id in self._catalog.hidden:
            for backend in self._backends.values():
                held = backend.store.find(volume_id)
                if held is not None:
                    taken += held.bytes
        if taken == (self.bytes[-1] if self.bytes else 0):
            return
        if self.at_ns and self.at_ns[-1] == now:
            self.bytes[-1] = taken
        else:
            self.at_ns.append(now)
            self.bytes.append(taken)

    def most(self) -> int:
        """The most bytes at any time."""
        return max(self.bytes, default=0)

    def over_time(self, end_ns: int) -> int:
        """Bytes times nanoseconds up to `end_ns`."""
        total = 0
        for at_ns, until_ns, taken in zip(self.at_ns, [*self.at_ns[1:], end_ns], self.bytes, strict=False):
            total += taken * max(0, until_ns - at_ns)
        return total
