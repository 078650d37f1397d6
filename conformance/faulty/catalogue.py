"""The catalogue of faulty drivers: which clause has to find each, and which others may fail as a consequence."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass

MODULES = ("attributes", "quiescing", "endings", "stalls", "replication", "handles", "compression", "outcomes")
"""The modules of this package that hold faulty drivers, by section of the specification; handles have two."""


@dataclass(frozen=True)
class FaultyDriver:
    """One faulty driver: its class as `module:Class`, what is wrong with it, and what that has to bring about.

    `must_fail` are clauses of which every run fails all; `may_fail` further ones that may fail with them.
    """

    reference: str
    flaw: str
    must_fail: tuple[str, ...]
    may_fail: tuple[str, ...]

    @property
    def name(self) -> str:
        """The class's name."""
        return self.reference.rpartition(":")[2]


def catalogue() -> list[FaultyDriver]:
    """Every faulty driver, section by section, in the order of its file."""
    found = []
    for module_name in MODULES:
        module = importlib.import_module(f"conformance.faulty.{module_name}")
        for name, cls in vars(module).items():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or "must_fail" not in vars(cls):
                continue
            declared = vars(cls)
            flaw = (cls.__doc__ or "").strip().splitlines()[0]
            reference = f"{module.__name__}:{name}"
            found.append(FaultyDriver(reference, flaw, declared["must_fail"], declared.get("may_fail", ())))
    return found
