"""An inspection whose images and room are worked out when somebody asks for them: most only ask what is there.

What can change after the inspection is taken along: contents as frozen layers, which copies no block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

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
        # the class is frozen
        vars(self).update(
            activities=activities,
            connections=connections,
            _held=[(each.described(), each.lineage, each.provisioned, each.look()) for each in held],
            _thin=thin,
        )

    def __getattr__(self, name: str) -> Any:
        value: Any
        match name:
            case "objects":
                value = tuple([described for described, _, _, _ in self._held])
            case "images":
                value = _Images({described.id: look for described, _, _, look in self._held})
            case "used_bytes":
                images = self.images
                parts = [Part(lineage, provisioned, images[o.id]) for o, lineage, provisioned, _ in self._held]
                value = room_taken(parts, self._thin)
            case _:
                raise AttributeError(name)
        object.__setattr__(self, name, value)
        return value
