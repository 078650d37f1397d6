"""What testbeds under the wall clock can be asked for, and the profile that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.names import did_you_mean
from harness.runtime import SECOND, nanoseconds
from harness.testbed import LossPolicy, Profile

MILLISECOND = SECOND // 1000

SCALED = (
    "scaled: set by this testbed so that a check takes a second or so; the copying time is per GiB, timers of"
    " the loss of a connection are about 1/1000 of common iSCSI defaults"
)
"""Where the figures of the profile come from."""


@dataclass(frozen=True)
class Options:
    """The options that every testbed under the wall clock has.

    `directory`: where its temporary directory is made, whose file system must know holes. `whole_copy_s`: seconds that
    a copying process takes for one GiB, data or not. `snapshots_depend_on_volume`: a volume that has snapshots can't
    be deleted or moved.
    """

    directory: str | None = None
    whole_copy_s: float = 0.3
    snapshots_depend_on_volume: bool = False


COMMON = ("directory", "snapshots_depend_on_volume", "whole_copy_s")
"""The names of `Options`."""


def scaled_profile(name: str, options: Options, source: str = SCALED, scale: int = 1) -> Profile:
    """The profile; no figure is that of a product: all times are scaled down so that a check takes a second or so.

    `scale` is for a backend that takes its time: so many times longer is everything.
    """
    return Profile(
        name=name,
        source=source,
        loss=LossPolicy(
            detection_ns=30 * MILLISECOND * scale,
            time2wait_ns=20 * MILLISECOND * scale,
            time2retain_ns=40 * MILLISECOND * scale,
            abort_latency_ns=10 * MILLISECOND * scale,
        ),
        max_hold_ns=SECOND * scale,
        quiesce_timeout_ns=SECOND // 2 * scale,
        retention_ns=2 * SECOND * scale,
        settle_ns=50 * MILLISECOND * scale,
        whole_copy_ns=nanoseconds(options.whole_copy_s) * scale,
        snapshots_depend_on_volume=options.snapshots_depend_on_volume,
        think_ns=MILLISECOND,
    )


def read_options(testbed: str, options: Mapping[str, Any], more: tuple[str, ...] = ()) -> Options:
    """The common options of a testbed that knows `more` besides; texts are taken as a command line's.

    Raises `ValueError` for an unknown or senseless one.
    """
    known = sorted((*COMMON, *more))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r} for the testbed {testbed}; {did_you_mean(unknown[0], known)}")
    try:
        whole_copy_s = float(options.get("whole_copy_s", Options.whole_copy_s))
    except (TypeError, ValueError):
        raise ValueError(f"whole_copy_s is a number of seconds, not {options['whole_copy_s']!r}") from None
    if not 0 < whole_copy_s < 3600:
        raise ValueError(f"whole_copy_s must be above 0 and below 3600 seconds, not {whole_copy_s:g}")
    depend = options.get("snapshots_depend_on_volume", False)
    if isinstance(depend, str) and depend.lower() in ("true", "false"):
        depend = depend.lower() == "true"
    if not isinstance(depend, bool):
        raise ValueError(f"snapshots_depend_on_volume is true or false, not {depend!r}")
    directory = options.get("directory")
    return Options(None if directory is None else str(directory), whole_copy_s, depend)


def read_breaks(options: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """The option `breaks`: who breaks connections, the first of those known unless it says otherwise.

    Raises `ValueError` for another one.
    """
    breaks = options.get("breaks", known[0])
    if breaks not in known:
        raise ValueError(f"breaks can't be {breaks!r}; {did_you_mean(str(breaks), known)}")
    return str(breaks)
