"""The pool of one backend: where its objects are, by which links it is reached, and what figures it goes by."""

from __future__ import annotations

from dataclasses import dataclass

from simulated_backends.medium import Medium
from simulated_backends.profiles import Figures


@dataclass(eq=False)
class Pool:
    """A backend's pool. `is_full` is whether a fault has taken what is left of it."""

    name: str
    family: str
    medium: Medium
    figures: Figures
    is_full: bool = False
