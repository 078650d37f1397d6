"""The objects of one store by id, with two counts kept up to date: what is provisioned, and a volume's snapshots."""

from __future__ import annotations

from collections.abc import ValuesView

from simulated_backends.stored_object import HeldObject


class HeldObjects:
    """The objects that a store holds. `provisioned` is what they count against the pool, in GiB."""

    def __init__(self) -> None:
        self.provisioned = 0
        self._by_id: dict[str, HeldObject] = {}
        self._snapshots: dict[str, dict[str, None]] = {}

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._by_id

    def get(self, object_id: str) -> HeldObject | None:
        """The object of that id, or None."""
        return self._by_id.get(object_id)

    def values(self) -> ValuesView[HeldObject]:
        """All objects, in the order in which they came."""
        return self._by_id.values()

    def by_name(self) -> list[HeldObject]:
        """All objects, sorted by id."""
        return [self._by_id[object_id] for object_id in sorted(self._by_id)]

    def put(self, held: HeldObject) -> None:
        """Take an object in."""
        self._by_id[held.id] = held
        self.provisioned += held.provisioned

    def take(self, held: HeldObject) -> None:
        """Give an object away. Raises KeyError if it is not here."""
        del self._by_id[held.id]
        self.provisioned -= held.provisioned
        if held.parent is not None:
            self._snapshots[held.parent].pop(held.id, None)

    def provision(self, held: HeldObject, gib: int) -> None:
        """Let an object that is here count as so many GiB."""
        self.provisioned += gib - held.provisioned
        held.provisioned = gib

    def make_snapshot(self, held: HeldObject, volume_id: str) -> None:
        """Note of which volume an object that is here is a snapshot."""
        held.parent = volume_id
        self._snapshots.setdefault(volume_id, {})[held.id] = None

    def snapshots_of(self, volume: HeldObject) -> list[str]:
        """The ids of the snapshots here that were taken of that volume, sorted."""
        return sorted(self._snapshots.get(volume.id, ()))
