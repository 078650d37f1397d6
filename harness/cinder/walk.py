"""All of Cinder's in-tree volume drivers: what each brings itself, inherits, or only stubs."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.cinder.draft import Draft, draft_of
from harness.cinder.manager_calls import unbound_calls
from harness.cinder.native import Origin, origin
from harness.contract import METHODS

SHOWN = (
    *[name for name, spec in METHODS.items() if not spec.is_hook],
    "clone_image",
    "update_migrated_volume",
    "get_backup_device",
    "backup_use_temp_snapshot",
    "failover_host",
)
"""The methods that the walk looks at: those of specification section 6, and what bears on copying and backups."""


@dataclass(frozen=True)
class DriverEntry:
    """One registered class. `unbound` are calls of the volume manager that do not bind to its signatures."""

    name: str
    driver_version: str
    supported: bool
    methods: dict[str, Origin]
    unbound: tuple[str, ...]
    draft: Draft

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON has it."""
        return {
            "class": self.name,
            "driver_version": self.driver_version,
            "supported": self.supported,
            "methods": {name: where.value for name, where in self.methods.items()},
            "unbound_calls": list(self.unbound),
            "draft": self.draft.to_dict(),
        }


@dataclass(frozen=True)
class Walk:
    """All registered classes by name, and the modules that can't be imported, each with the reason."""

    cinder_version: str
    drivers: tuple[DriverEntry, ...]
    broken: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The walk as JSON has it."""
        return {
            "cinder_version": self.cinder_version,
            "drivers": [entry.to_dict() for entry in self.drivers],
            "broken_modules": self.broken,
        }


def walk() -> Walk:
    """Import every module under `cinder.volume.drivers` and look at every class that is registered there.

    Modules are found by where the installed Cinder lies; its own `get_volume_drivers` finds none from elsewhere. Raises
    `CandidateError` where Cinder is not installed.
    """
    from harness.cinder.installed import import_cinder

    import_cinder()
    import cinder
    from cinder import interface

    root = Path(cinder.__file__).parent
    broken: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted((root / "volume" / "drivers").rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            try:
                importlib.import_module(module)
            except (Exception, SystemExit) as error:
                broken[module] = f"{type(error).__name__}: {error}"[:300]
    classes: dict[str, type] = {}
    for cls in interface._volume_register:
        classes.setdefault(f"{cls.__module__}.{cls.__qualname__}", cls)
    entries = tuple(_entry(name, classes[name]) for name in sorted(classes))
    return Walk(metadata.version("cinder"), entries, broken)


def _entry(name: str, cls: Any) -> DriverEntry:
    return DriverEntry(
        name=name,
        driver_version=str(getattr(cls, "VERSION", "")),
        supported=bool(getattr(cls, "SUPPORTED", True)),
        methods={method: origin(cls, method) for method in SHOWN},
        unbound=tuple(unbound_calls(cls)),
        draft=draft_of(cls),
    )
