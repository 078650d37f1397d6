"""The catalogue of honest drivers: what each does otherwise than the reference driver, and before what array."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.honest import drivers
from harness.loading import CandidateSpec


@dataclass(frozen=True)
class HonestDriver:
    """One honest driver: its class as `module:Class`, how it differs, and the options of the testbed that it needs."""

    reference: str
    difference: str
    testbed_options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The class's name."""
        return self.reference.rpartition(":")[2]

    def spec(self) -> CandidateSpec:
        """The driver as a candidate, as a driver file with a table `testbed` makes it."""
        return replace(CandidateSpec.for_driver(self.reference), testbed_options=dict(self.testbed_options))


def catalogue() -> list[HonestDriver]:
    """Every honest driver, in the order of the file."""
    found = []
    for name, cls in vars(drivers).items():
        if not inspect.isclass(cls) or cls.__module__ != drivers.__name__ or name.startswith("_"):
            continue
        told = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
        found.append(HonestDriver(f"{drivers.__name__}:{name}", told, getattr(cls, "testbed", {})))
    return found
