"""What a walk over the drivers of a package has seen: plain data between those who look and those who show."""

from __future__ import annotations

import enum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

WALK_SCHEMA: Final = "backend-activity/drivers/1"
"""The version of a written walk; a change that an old reader would misread gets a new number."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class Origin(enum.StrEnum):
    """Where a class has a method from."""

    OWN = "own"
    """The class itself."""
    FAMILY = "family"
    """A base class of the same vendor's code."""
    SHARED = "shared"
    """A base class that several drivers share (remotefs)."""
    BASE = "base"
    """Cinder's own base class: generic behaviour."""
    STUB = "stub"
    """There, but it only raises, returns a constant, or does nothing."""
    ABSENT = "absent"

    @property
    def is_native(self) -> bool:
        """Whether it is code of the vendor's, or of a base that drivers share, with a body of its own."""
        return self in (Origin.OWN, Origin.FAMILY, Origin.SHARED)


class DraftedPublication(_Model):
    """What a class could publish, by what can be seen of it; `open_questions` are for a person."""

    publishes_itself: bool
    backend_activity_attributes: dict[str, Any]
    seen: tuple[str, ...]
    open_questions: tuple[str, ...]


class WalkedDriver(_Model):
    """One registered class. `unbound_calls` are calls of the volume manager that do not bind to its signatures."""

    name: str = Field(alias="class")
    driver_version: str
    supported: bool
    methods: dict[str, Origin]
    unbound_calls: tuple[str, ...]
    draft: DraftedPublication

    def with_origin(self, *origins: Origin) -> list[str]:
        """The methods that it has from there."""
        return [method for method, origin in self.methods.items() if origin in origins]


class DriverWalk(_Model):
    """All registered classes by name, and the modules that can't be imported, each with the reason."""

    schema_version: Literal["backend-activity/drivers/1"] = WALK_SCHEMA
    cinder_version: str
    drivers: tuple[WalkedDriver, ...]
    broken_modules: dict[str, str]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that were looked at, in their order."""
        return tuple(self.drivers[0].methods) if self.drivers else ()

    def count(self, method: str, origin: Origin) -> int:
        """How many classes have a method from there."""
        return sum(driver.methods.get(method) is origin for driver in self.drivers)
