"""The objects of one backend by id: what may be added or removed, and what all of them take of the pool."""

from __future__ import annotations

import itertools
from collections.abc import Callable, ValuesView

from harness.model import GIB
from harness.storage import ObjectBusy, ObjectExists, ObjectUnknown, PoolFull
from simulated_backends.pool import Pool
from simulated_backends.stored_object import HeldObject, Part, room_taken


class HeldObjects:
    """The objects that a backend holds in its pool; `mint_identity` makes exported identities.

    Two counts are kept up to date: `provisioned`, what the objects count against the pool in GiB, and the snapshots of
    each volume.
    """

    def __init__(self, pool: Pool, mint_identity: Callable[[], str]) -> None:
        self.pool = pool
        self.provisioned = 0
        self._mint_identity = mint_identity
        self._lineages = itertools.count(1)
        self._by_id: dict[str, HeldObject] = {}
        self._snapshots: dict[HeldObject, dict[str, None]] = {}

    # ---- looking ---------------------------------------------------------------------------------------------------

    def get(self, object_id: str) -> HeldObject | None:
        """The object of that id, complete or not, or None."""
        return self._by_id.get(object_id)

    def find(self, object_id: str) -> HeldObject:
        """The object of that id, complete or not. Raises `ObjectUnknown`."""
        held = self._by_id.get(object_id)
        if held is None:
            raise ObjectUnknown(f"no volume or snapshot {object_id} on {self.pool.name}")
        return held

    def usable(self, object_id: str, kind: str | None = None) -> HeldObject:
        """The complete object of that id and kind. Raises `ObjectUnknown` for any other, incomplete ones included."""
        held = self.find(object_id)
        if not held.complete or (kind is not None and held.kind != kind):
            raise ObjectUnknown(f"no usable {kind or 'volume or snapshot'} {object_id} on {self.pool.name}")
        return held

    def values(self) -> ValuesView[HeldObject]:
        """All objects, in the order in which they came."""
        return self._by_id.values()

    def by_name(self) -> list[HeldObject]:
        """All objects, sorted by id."""
        return [self._by_id[object_id] for object_id in sorted(self._by_id)]

    def snapshots_of(self, volume: HeldObject) -> list[str]:
        """The ids of the snapshots here that were taken of that volume, sorted."""
        return sorted(self._snapshots.get(volume, ()))

    def used_bytes(self) -> int:
        """Bytes that the objects take of the pool."""
        parts = [Part(held.lineage, held.provisioned, held.image()) for held in self.values()]
        return room_taken(parts, self.pool.figures.is_thin)

    # ---- what may be done ------------------------------------------------------------------------------------------

    def check_new(self, object_id: str, size: int) -> None:
        """Raises `ObjectExists` for an id in use, `PoolFull` without room for `size` GiB."""
        if object_id in self._by_id:
            raise ObjectExists(f"{object_id} is in use on {self.pool.name}")
        self.check_room(size)

    def check_room(self, size: int) -> None:
        """Raises `PoolFull` without room for `size` GiB."""
        pool = self.pool
        if pool.is_full and size:
            raise PoolFull(f"the pool of {pool.name} is full")
        free = pool.figures.pool_bytes - GIB * self.provisioned
        if size * GIB > free:
            raise PoolFull(f"{pool.name} has {free} bytes left, which is less than {size} GiB")

    def check_removable(self, held: HeldObject) -> None:
        """Raises `ObjectBusy` while a transfer of the object is under way, or where its snapshots depend on it."""
        held.check_idle()
        dependants = self.snapshots_of(held) if self.pool.figures.snapshots_depend_on_volume else []
        if dependants:
            raise ObjectBusy(f"{held.id} has snapshots: {', '.join(dependants)}")

    # ---- changes ---------------------------------------------------------------------------------------------------

    def add(self, object_id: str, kind: str, size: int, sharing: HeldObject | None = None) -> HeldObject:
        """Make an empty object of `size` GiB; of a lineage of its own unless it is `sharing` another's blocks."""
        held = HeldObject(
            id=object_id,
            kind=kind,
            size=size,
            pool=self.pool,
            lineage=next(self._lineages) if sharing is None else sharing.lineage,
            identity=self._mint_identity(),
            provisioned=size,
        )
        if sharing is not None:
            sharing.kin = held.kin = sharing.kin or [sharing]
            held.kin.append(held)
        self.put(held)
        return held

    def put(self, held: HeldObject) -> None:
        """Take an object in."""
        self._by_id[held.id] = held
        self.provisioned += held.provisioned

    def take(self, held: HeldObject) -> None:
        """Give an object away. Raises KeyError if it is not here."""
        del self._by_id[held.id]
        self.provisioned -= held.provisioned
        if held.kin is not None:
            held.kin.remove(held)
            held.kin = None
        if held.origin is not None:
            snapshots = self._snapshots[held.origin]
            del snapshots[held.id]
            if not snapshots:
                del self._snapshots[held.origin]

    def remove(self, held: HeldObject) -> None:
        """Take an object off the pool; it is gone. Raises KeyError if it is not here."""
        held.gone = True
        held.resume()
        self.take(held)
        volume = held.origin
        if volume is not None and volume.pool is self.pool and not self.snapshots_of(volume):
            volume.moved_away = None

    def provision(self, held: HeldObject, gib: int) -> None:
        """Let an object that is here count as so many GiB."""
        self.provisioned += gib - held.provisioned
        held.provisioned = gib

    def make_snapshot(self, held: HeldObject, volume: HeldObject) -> None:
        """Note of which volume an object that is here is a snapshot."""
        held.origin = volume
        self._snapshots.setdefault(volume, {})[held.id] = None
