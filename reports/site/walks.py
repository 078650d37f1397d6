"""What the page of a walk over in-tree drivers shows: what each class brings itself, and what does not bind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.driver_walk import DriverWalk, Origin, WalkedDriver

PREFIX = "cinder.volume.drivers."
"""What the names of all in-tree classes begin with."""

MARKS = {
    Origin.OWN: "●",
    Origin.FAMILY: "◕",
    Origin.SHARED: "◑",
    Origin.BASE: "○",
    Origin.STUB: "×",
    Origin.ABSENT: "–",
}
MEANINGS = {
    Origin.OWN: "the class itself implements it",
    Origin.FAMILY: "a base class of the same vendor implements it",
    Origin.SHARED: "a base class that several drivers share implements it (remotefs)",
    Origin.BASE: "inherited from Cinder’s own base class: generic behaviour",
    Origin.STUB: "a stub: it only raises, returns a constant, or does nothing",
    Origin.ABSENT: "it is not there",
}
"""What the origin of a method means."""


@dataclass(frozen=True)
class ShownDriver:
    """A class: the id of its part of the page, its name's parts, and how many methods it has from where."""

    anchor: str
    module: str
    short: str
    driver: WalkedDriver
    native: list[str]
    inherited: list[str]
    stubs: list[str]
    absent: list[str]

    @property
    def kind(self) -> str:
        """What rows are filtered by."""
        if self.driver.unbound_calls:
            return "a call does not bind"
        return "all calls bind" if self.driver.supported else "not supported upstream"


@dataclass(frozen=True)
class WalkPage:
    """A walk. `href` is the file of its page."""

    href: str
    walk: DriverWalk
    drivers: list[ShownDriver]

    @property
    def unbound(self) -> int:
        """How many classes the volume manager can't call as it does."""
        return sum(bool(each.driver.unbound_calls) for each in self.drivers)


def walk_page(walk: DriverWalk, href: str) -> WalkPage:
    """What the page of a walk shows."""
    return WalkPage(href, walk, [_shown(driver, number) for number, driver in enumerate(walk.drivers, 1)])


def origins() -> Sequence[tuple[Origin, str, str]]:
    """Each origin with its mark and its meaning."""
    return [(origin, MARKS[origin], MEANINGS[origin]) for origin in Origin]


def _shown(driver: WalkedDriver, number: int) -> ShownDriver:
    module, _, short = driver.name.removeprefix(PREFIX).rpartition(".")
    return ShownDriver(
        anchor=f"class-{number}",
        module=module,
        short=short,
        driver=driver,
        native=driver.with_origin(Origin.OWN, Origin.FAMILY, Origin.SHARED),
        inherited=driver.with_origin(Origin.BASE),
        stubs=driver.with_origin(Origin.STUB),
        absent=driver.with_origin(Origin.ABSENT),
    )
