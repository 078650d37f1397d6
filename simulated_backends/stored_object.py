"""One volume or snapshot of a simulated backend: its content, and what is under way with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.model import GIB
from harness.storage import Image, ObjectUnknown, StoredObject
from simulated_backends.content import Content, Crawl

if TYPE_CHECKING:
    from simulated_backends.volume_store import SimulatedStore


@dataclass(eq=False)
class HeldObject:
    """A volume or snapshot as its store holds it.

    A volume that moves stays this object and changes its `store`, so that attached hosts follow. `lineage` numbers
    what shares blocks on the medium; `provisioned` GiB is what the object counts against the pool. `readers` counts
    transfers out of it, `changing` names the transfer that is about to change or remove it, `partial` shows what has
    arrived of an object that is not complete.
    """

    id: str
    kind: str
    size: int
    store: SimulatedStore
    lineage: int
    identity: str
    provisioned: int
    parent: str | None = None
    complete: bool = True
    content: Content = field(default_factory=Content)
    readers: int = 0
    changing: str | None = None
    gone: bool = False
    partial: Callable[[], dict[int, int]] | None = None
    crawls: list[Crawl] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return self.size * GIB

    @property
    def busy_with(self) -> str | None:
        """What is under way with the object, for a message; None if nothing is."""
        if self.changing is not None:
            return f"is being {self.changing}"
        return "is being copied" if self.readers else None

    def write(self, block: int, stamp: int) -> None:
        """Change one block; those who crawl over the object are told first. Raises `ObjectUnknown` once it is gone."""
        if self.gone:
            raise ObjectUnknown(f"no {self.kind} {self.id} on {self.store.name}")
        for crawl in self.crawls:
            crawl.before_write(block, self.content.stamp(block))
        self.content.write(block, stamp)

    def replace(self, content: Content) -> None:
        """Give the object another content as a whole."""
        if not self.crawls:
            self.content = content
            return
        target = content.image()
        for block in sorted({**self.content.image(), **target}):
            self.write(block, target.get(block, 0))

    def image(self) -> Image:
        """What the object shows now; of an incomplete one, what has arrived."""
        return self.partial() if self.partial is not None else self.content.image()

    def described(self) -> StoredObject:
        """The object as the storage port shows it."""
        return StoredObject(self.id, self.kind, self.size, self.complete, self.parent, self.identity)
