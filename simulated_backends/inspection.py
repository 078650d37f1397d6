"""An inspection whose images and room are worked out when somebody asks for them: most only ask what is there.

What can change after the inspection is taken along: contents as frozen layers, which copies no block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from harness.storage import Image
from harness.testbed import ActivityView, Inspection
from simulated_backends.stored_object import HeldObject, Part, room_taken


class _Images(Mapping[str, Image]):
    """Object id → image, each worked out once, on demand."""

    def __init__(self, looks: Mapping[str, Callable[[], Image]]) -> None:
        self._looks = looks
        self._known: dict[str, Image] = {}

    def __getitem__(self, object_id: str) -> Image:
        image = self._known.get(object_id)
        if image is None:
            image = self._known[object_id] = self._looks[object_id]()
        return image

    def __iter__(self) -> Iterator[str]:
        return iter(self._looks)

    def __len__(self) -> int:
        return len(self._looks)


class LazyInspection(Inspection):
    """See `harness.testbed.Inspection`; made of `held`, which are sorted by id. `thin`: how the pool counts room."""

    def __init__(
        self, held: Collection[HeldObject], thin: bool, activities: tuple[ActivityView, ...], connections: int
    ) -> None:
        images = _Images({each.id: each.look() for each in held})
        parts = [(each.id, each.lineage, each.provisioned) for each in held]

        def used_bytes() -> int:
            return room_taken([Part(lineage, provisioned, images[name]) for name, lineage, provisioned in parts], thin)

        vars(self).update(  # the class is frozen
            objects=tuple([each.described() for each in held]),
            images=images,
            activities=activities,
            connections=connections,
            _used_bytes=used_bytes,
        )

    def __getattr__(self, name: str) -> int:
        if name != "used_bytes":
            raise AttributeError(name)
        used: int = self.__dict__["_used_bytes"]()
        object.__setattr__(self, name, used)
        return used
