"""The objects of one backend by id: what may be added or removed, and what all of them take of the pool."""

from __future__ import annotations

import itertools
from collections.abc import Callable, ValuesView

from harness.model import GIB
from harness.storage import BLOCK, ObjectBusy, ObjectExists, ObjectUnknown, PoolFull
from simulated_backends.content import Content
from simulated_backends.kept_blocks import Kept, KeptBlocks, kept_by
from simulated_backends.pool import Pool
from simulated_backends.stored_object import HeldObject, Part, room_taken


class HeldObjects:
    """The objects that a backend holds in its pool; `mint_identity` makes exported identities.

    These are kept up to date: `provisioned`, what the objects count against the pool in GiB, the snapshots of each
    volume, and, where it could come to be more than the pool has room for beside what is provisioned, what snapshots
    that share blocks keep for themselves.
    """

    def __init__(self, pool: Pool, mint_identity: Callable[[], str]) -> None:
        self.pool = pool
        self.provisioned = 0
        self._mint_identity = mint_identity
        self._lineages = itertools.count(1)
        self._by_id: dict[str, HeldObject] = {}
        self._snapshots: dict[HeldObject, dict[str, None]] = {}
        self._sharing_gib = 0  # the size of all snapshots that share blocks: they can't keep more for themselves
        self._kept: KeptBlocks | None = None

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
        if not size:
            return
        if pool.is_full:
            raise PoolFull(f"the pool of {pool.name} is full")
        free = pool.figures.pool_bytes - GIB * self.provisioned
        if GIB * (size + self._sharing_gib) > free:
            free -= BLOCK * (self._kept or self._counted()).count
        if size * GIB > free:
            raise PoolFull(f"{pool.name} has {free} bytes left, which is less than {size} GiB")

    def check_removable(self, held: HeldObject) -> None:
        """Raises `ObjectBusy` while a transfer of the object is under way, or where its snapshots depend on it."""
        held.check_idle()
        dependants = self.snapshots_of(held) if self.pool.figures.snapshots_depend_on_volume else []
        if dependants:
            raise ObjectBusy(f"{held.id} has snapshots: {', '.join(dependants)}")

    # ---- changes ---------------------------------------------------------------------------------------------------

    def add(
        self, object_id: str, kind: str, size: int, sharing: HeldObject | None = None, provisioned: int | None = None
    ) -> HeldObject:
        """Make an empty object of `size` GiB; of a lineage of its own unless it is `sharing` another's blocks.

        It counts as `provisioned` GiB, None: as its size.
        """
        held = HeldObject(
            id=object_id,
            kind=kind,
            size=size,
            pool=self.pool,
            lineage=next(self._lineages) if sharing is None else sharing.lineage,
            identity=self._mint_identity(),
            provisioned=size if provisioned is None else provisioned,
        )
        if sharing is not None:
            sharing.kin = held.kin = sharing.kin or [sharing]
            held.kin.append(held)
        self.put(held)
        if sharing is not None:
            sharing.kept = held.kept = self._kept
        return held

    def put(self, held: HeldObject) -> None:
        """Take an object in."""
        self._by_id[held.id] = held
        self._account(held.provisioned, 0 if held.provisioned else held.size)
        held.tell_followers()

    def take(self, held: HeldObject) -> None:
        """Give an object away. Raises KeyError if it is not here."""
        del self._by_id[held.id]
        if held.kin is not None:
            kin = held.kin
            kin.remove(held)
            if held.kept is not None:
                held.kept.put(held.lineage, _kept_by(kin))
            held.kin = held.kept = None
            if len(kin) == 1 and kin[0].provisioned:
                kin[0].kin = kin[0].kept = None
        self._account(-held.provisioned, 0 if held.provisioned else -held.size)
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
        held.tell_followers()

    def provision(self, held: HeldObject, gib: int) -> None:
        """Let an object that is here count as so many GiB."""
        held.provisioned, before = gib, held.provisioned
        self._account(gib - before)

    def replace(self, volume: HeldObject, content: Content) -> None:
        """Give a volume another content as a whole. Raises `PoolFull` without room for that or what snapshots keep."""
        if self.pool.is_full and self._taken_by(volume, content) > self._taken_by(volume, volume.content):
            raise PoolFull(f"the pool of {self.pool.name} is full: no room for another content of {volume.id}")
        if volume.kept is not None and volume.kin is not None:
            kept = _kept_by([held for held in volume.kin if held is not volume], content)
            if not volume.kept.has_room_for(volume.lineage, kept):
                raise PoolFull(f"the pool of {self.pool.name} is full: no room for what snapshots of {volume.id} keep")
        volume.replace(content)
        self.recount(volume)
        if volume.moved_away is not None:
            volume.moved_away = set()

    def recount(self, volume: HeldObject) -> None:
        """Count anew what snapshots keep, after a volume got another content as a whole."""
        if volume.kept is not None and volume.kin is not None:
            volume.kept.put(volume.lineage, _kept_by(volume.kin))

    def make_snapshot(self, held: HeldObject, volume: HeldObject) -> None:
        """Note of which volume an object that is here is a snapshot."""
        held.origin = volume
        self._snapshots.setdefault(volume, {})[held.id] = None

    def _taken_by(self, volume: HeldObject, content: Content) -> int:
        """Bytes that the volume and what shares blocks with it take of the pool, if it has that content."""
        others = [held for held in volume.kin or () if held is not volume]
        parts = [Part(held.lineage, held.provisioned, held.content.image()) for held in others]
        parts.append(Part(volume.lineage, volume.provisioned, content.image()))
        return room_taken(parts, self.pool.figures.is_thin)

    def _account(self, gib: int, sharing_gib: int = 0) -> None:
        """So much more is provisioned, and only shared; what snapshots keep is counted while it might not fit."""
        self.provisioned += gib
        self._sharing_gib += sharing_gib
        left = self.pool.figures.pool_bytes - GIB * self.provisioned
        before = self._kept
        self._kept = None if GIB * self._sharing_gib <= left else before or self._counted()
        if self._kept is not None:
            self._kept.most = left // BLOCK
        if self._kept is not before:
            for held in self._by_id.values():
                held.kept = self._kept if held.kin else None
                held.tell_followers()

    def _counted(self) -> KeptBlocks:
        """What snapshots keep, by walking over all objects that share blocks."""
        counted = KeptBlocks()
        for held in self._by_id.values():
            if held.kin and held is held.kin[0]:
                counted.put(held.lineage, _kept_by(held.kin))
        return counted


def _kept_by(kin: list[HeldObject], *volumes: Content) -> Kept:
    """What those of one lineage that are snapshots keep, if there are volumes of such contents beside the others."""
    return kept_by(
        [held.content for held in kin if not held.provisioned],
        [*volumes, *[held.content for held in kin if held.provisioned]],
    )
